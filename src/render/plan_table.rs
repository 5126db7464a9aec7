//! A conversion's plan as a table and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};
use siskin_model::FileType;
use siskin_quant::plan::{Plan, PlannedTensor};

use super::{size, text};

/// Prints one line per tensor: name, type, shape, size, sources; then the total.
pub(crate) fn print(
    out: &mut impl Write,
    plan: &Plan,
    file_type: FileType,
    file_bytes: u64,
) -> io::Result<()> {
    let width = plan.tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
    for tensor in &plan.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let (name, ty, bytes) = (
            text::escaped(&tensor.name),
            tensor.ty,
            size::bytes(tensor.bytes()),
        );
        writeln!(
            out,
            "{name:width$}  {ty:5} {:>13} {bytes:>9}  {}",
            shape.join(" x "),
            sources(tensor)
        )?;
    }
    let (count, bytes) = (plan.tensors.len(), size::bytes(file_bytes));
    writeln!(
        out,
        "{count} tensors, {} weights, {file_type}, {bytes}, {:.2} bits per weight",
        plan.weights(),
        bits(plan, file_bytes)
    )
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
    json!({
        "type": file_type, "weights": plan.weights(), "file_bytes": file_bytes,
        "bits_per_weight": bits(plan, file_bytes),
        "tensors": plan.tensors.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn sources(tensor: &PlannedTensor) -> String {
    match tensor.sources.as_slice() {
        [] => "(computed)".into(),
        [one] => text::escaped(&one.name),
        [first, .., last] => {
            let (first, last) = (text::escaped(&first.name), text::escaped(&last.name));
            format!("{first} … {last} ({})", tensor.sources.len())
        }
    }
}
