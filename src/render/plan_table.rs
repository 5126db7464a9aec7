//! A conversion's plan as a table and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};
use siskin_model::{FileType, TensorType};
use siskin_quant::plan::{Plan, PlannedTensor};
use siskin_quant::recipe;

use super::{size, text};

/// Prints one line per tensor: name, type, shape, size, sources; then the sums by type and the total.
pub(crate) fn print(
    out: &mut impl Write,
    plan: &Plan,
    file_type: FileType,
    file_bytes: u64,
) -> io::Result<()> {
    let names = plan.tensors.iter().map(|t| text::escaped(&t.name));
    let names: Vec<String> = names.collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(6);
    let line = |name: &str, ty: &str, shape: &str, bytes: &str, from: &str| {
        let line = format!("{name:width$}  {ty:5} {shape:>13} {bytes:>9}  {from}");
        line.trim_end().to_owned()
    };
    writeln!(out, "{}", line("tensor", "type", "shape", "size", "from"))?;
    for (tensor, name) in plan.tensors.iter().zip(&names) {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let bytes = size::bytes(tensor.bytes());
        let from = sources(tensor);
        writeln!(
            out,
            "{}",
            line(name, tensor.ty.name(), &shape.join(" x "), &bytes, &from)
        )?;
    }
    writeln!(out, "\ntype   tensors       size   share")?;
    for sum in sums(plan) {
        let share = 100.0 * sum.bytes as f64 / plan.data_bytes().max(1) as f64;
        let (ty, count, bytes) = (sum.ty, sum.tensors, size::bytes(sum.bytes));
        writeln!(out, "{ty:6} {count:7} {bytes:>10} {share:6.1}%")?;
    }
    writeln!(out)?;
    for line in fallbacks(plan, file_type) {
        writeln!(out, "{line}")?;
    }
    let (count, bytes) = (plan.tensors.len(), size::bytes(file_bytes));
    writeln!(
        out,
        "{count} tensors, {} weights, {file_type}, {bytes}, {:.2} bits per weight",
        plan.weights(),
        bits(plan, file_bytes)
    )
}

/// The tensors of one type.
struct Sum {
    ty: TensorType,
    tensors: usize,
    bytes: u64,
}

/// The sum of each type, the largest first.
fn sums(plan: &Plan) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for tensor in &plan.tensors {
        let (ty, bytes) = (tensor.ty, tensor.bytes());
        match sums.iter_mut().find(|sum| sum.ty == ty) {
            Some(sum) => {
                sum.tensors += 1;
                sum.bytes += bytes;
            }
            None => sums.push(Sum {
                ty,
                tensors: 1,
                bytes,
            }),
        }
    }
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.bytes));
    sums
}

/// Which matrices have a larger type than the file's, and why: a line for each length of rows.
fn fallbacks(plan: &Plan, file_type: FileType) -> Vec<String> {
    let is_matrix = |tensor: &&PlannedTensor| tensor.shape.iter().skip(1).any(|&dim| dim > 1);
    let matrices: Vec<&PlannedTensor> = plan.tensors.iter().filter(is_matrix).collect();
    let mut found: Vec<(u64, TensorType, usize)> = Vec::new();
    for tensor in &matrices {
        let len = tensor.shape[0];
        if !recipe::is_fallback(file_type, tensor.role, tensor.ty, len) {
            continue;
        }
        match found
            .iter_mut()
            .find(|known| (known.0, known.1) == (len, tensor.ty))
        {
            Some(known) => known.2 += 1,
            None => found.push((len, tensor.ty, 1)),
        }
    }
    let line = |(len, ty, count): (u64, TensorType, usize)| {
        format!(
            "{count} of {} matrices fall back to {ty}: rows of {len} weights are not whole blocks of {file_type}",
            matrices.len()
        )
    };
    found.into_iter().map(line).collect()
}

/// Bits of the file per weight.
pub(crate) fn bits(plan: &Plan, file_bytes: u64) -> f64 {
    file_bytes as f64 * 8.0 / plan.weights().max(1) as f64
}

/// The plan as one JSON value.
pub(crate) fn json(plan: &Plan, file_type: FileType, file_bytes: u64) -> Value {
    let tensor = |t: &PlannedTensor| {
        let sources: Vec<&str> = t.sources.iter().map(|source| source.name.as_str()).collect();
        json!({"name": t.name, "sources": sources, "transform": t.transform, "role": t.role, "type": t.ty,
               "shape": t.shape, "offset": t.offset, "bytes": t.bytes()})
    };
    let sum = |sum: Sum| json!({"type": sum.ty, "tensors": sum.tensors, "bytes": sum.bytes});
    json!({
        "type": file_type, "weights": plan.weights(), "file_bytes": file_bytes,
        "bits_per_weight": bits(plan, file_bytes),
        "types": sums(plan).into_iter().map(sum).collect::<Vec<_>>(),
        "fallbacks": fallbacks(plan, file_type),
        "tensors": plan.tensors.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn sources(tensor: &PlannedTensor) -> String {
    match tensor.sources.as_slice() {
        [] => "(computed)".into(),
        [one] => text::bounded(&one.name),
        [first, .., last] => {
            let (first, last) = (text::bounded(&first.name), text::bounded(&last.name));
            format!("{first} … {last} ({})", tensor.sources.len())
        }
    }
}
