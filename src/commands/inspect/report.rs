//! A file's figures, metadata and tensors: as text as wide as the terminal, and as JSON.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value as Json, json};
use siskin_harness::report::wrap;
use siskin_model::gguf::{Header, ModelFile, Value};
use siskin_model::summary::Summary;

use super::values;
use crate::render::{size, text};

/// The longest key, in columns, that the other keys are aligned with.
const MAX_KEY: usize = 40;
/// A narrower terminal has no room for types and offsets.
const NARROW: usize = 70;

/// One JSON value: the figures, the metadata and its types as objects in the file's order, and the tensors if
/// requested.
pub(super) fn json(
    path: &Path,
    summary: &Summary,
    header: &Header,
    tensors: bool,
) -> serde_json::Result<Json> {
    let mut report = serde_json::to_value(summary)?;
    report["file"] = json!(path.display().to_string());
    let object = |show: fn(&Value) -> Json| -> Json {
        let keys = header.metadata.iter();
        let keys = keys.map(|(key, value)| (key.to_owned(), show(value)));
        Json::Object(keys.collect())
    };
    report["metadata"] = object(values::json);
    report["metadata_types"] = object(|value| values::type_name(value).into());
    if tensors {
        let tensor = |t: &siskin_model::gguf::TensorInfo| {
            let range = header.range(t);
            json!({"name": t.name, "type": t.ty, "shape": t.shape, "offset": t.offset,
                   "bytes": range.end - range.start})
        };
        report["tensor_list"] = header.tensors.iter().map(tensor).collect();
    }
    Ok(report)
}

/// Prints the figures, the types and the metadata in lines of `columns`.
pub(super) fn print(
    out: &mut impl Write,
    path: &Path,
    summary: &Summary,
    model: &ModelFile,
    columns: usize,
) -> io::Result<()> {
    let header = &model.header;
    let file = text::bounded(&path.display().to_string());
    writeln!(
        out,
        "{file}: GGUF version {}, {}, {} keys, {} tensors",
        summary.version,
        size::bytes(summary.file_bytes),
        summary.keys,
        summary.tensors
    )?;
    for (label, value) in figures(summary, model.parts()) {
        let value = text::cell(&value, 4 * columns);
        write!(out, "{}", wrap(&value, &format!("{label:13}  "), columns))?;
    }
    writeln!(out, "\ntype       tensors       size   share")?;
    for share in &summary.types {
        writeln!(
            out,
            "{:10} {:7} {:>10} {:6.1}%",
            share.ty,
            share.tensors,
            size::bytes(share.bytes),
            share.share * 100.0
        )?;
    }
    writeln!(out, "\nmetadata")?;
    let longest = header.metadata.iter().map(|(key, _)| key.chars().count()).max();
    let width = longest.unwrap_or(0).min(MAX_KEY).min(columns / 2);
    for (key, value) in header.metadata.iter() {
        let most = if columns < NARROW { width } else { columns - 30 };
        let key = text::cell(key, most);
        let ty = match columns < NARROW {
            true => String::new(),
            false => format!("{:12} ", values::type_name(value)),
        };
        let start = format!("{key:width$}  {ty}");
        let left = match columns >= values::UNLIMITED {
            true => columns,
            false => columns.saturating_sub(start.chars().count()).max(16),
        };
        writeln!(out, "{}", (start + &values::one_line(value, left)).trim_end())?;
    }
    Ok(())
}

/// Label and value of each figure that the file has.
fn figures(summary: &Summary, parts: usize) -> Vec<(&'static str, String)> {
    let count = |n: Option<u64>| n.map_or("?".into(), |n| n.to_string());
    let mut lines = Vec::new();
    if let Some(architecture) = &summary.architecture {
        lines.push(("architecture", architecture.clone()));
    }
    if let Some(name) = &summary.name {
        lines.push(("name", name.clone()));
    }
    if parts > 1 {
        lines.push(("parts", format!("{parts}, shown as one model")));
    }
    lines.push((
        "parameters",
        format!(
            "{}, {}, {:.2} bits each",
            grouped(summary.parameters),
            summary.file_type,
            summary.bits_per_weight
        ),
    ));
    if summary.layers.is_some() {
        lines.push((
            "layers",
            format!(
                "{}, width {}, feed-forward {}, heads {}, key/value heads {}",
                count(summary.layers),
                count(summary.width),
                count(summary.feed_forward),
                count(summary.heads),
                count(summary.kv_heads)
            ),
        ));
    }
    if let Some(context) = summary.context {
        let cache = summary.kv_bytes_per_token.map(|bytes| {
            let whole = size::bytes(bytes.saturating_mul(context));
            format!("; cache {} a token, {whole} in full (f16)", size::bytes(bytes))
        });
        lines.push((
            "context",
            format!("{context} tokens{}", cache.unwrap_or_default()),
        ));
    }
    if let Some(tokens) = summary.vocabulary {
        let model = summary.tokenizer.as_deref().unwrap_or("?");
        let pre = match &summary.pre_tokenizer {
            Some(pre) => format!(", split as {pre}"),
            None if model == "gpt2" => "; tokenizer.ggml.pre is missing".to_owned(),
            None => String::new(),
        };
        lines.push(("vocabulary", format!("{tokens} tokens, tokenizer {model}{pre}")));
    }
    if let Some(characters) = summary.chat_template {
        lines.push(("chat template", format!("{characters} characters")));
    }
    lines
}

/// Groups digits: `1,100,048,384`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Prints one line per tensor: name, type, shape, size, offset in the data.
pub(super) fn print_tensors(out: &mut impl Write, header: &Header, columns: usize) -> io::Result<()> {
    let longest = header.tensors.iter().map(|t| t.name.chars().count()).max();
    let is_narrow = columns < NARROW;
    // What follows the name takes 44 columns, in a narrow terminal 21.
    let room = columns.saturating_sub(if is_narrow { 21 } else { 44 }).max(12);
    let width = longest.unwrap_or(0).clamp(6, MAX_KEY).min(room);
    let line = |name: &str, ty: &str, shape: &str, bytes: &str, offset: &str| {
        let start = format!("{name:width$}  {ty:7}");
        match is_narrow {
            true => format!("{start} {bytes:>9}"),
            false => format!("{start} {shape:>13} {bytes:>9} {offset:>11}"),
        }
    };
    writeln!(out, "\n{}", line("tensor", "type", "shape", "size", "offset"))?;
    for tensor in &header.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let range = header.range(tensor);
        let bytes = size::bytes(range.end - range.start);
        let name = text::bounded(&tensor.name);
        let name = match columns >= values::UNLIMITED {
            true => name,
            false => text::shortened(&name, width),
        };
        let (shape, offset) = (shape.join(" x "), tensor.offset.to_string());
        writeln!(out, "{}", line(&name, tensor.ty.name(), &shape, &bytes, &offset))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_in_groups() {
        for (count, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_100_048_384, "1,100,048,384"),
        ] {
            assert_eq!(super::grouped(count), want);
        }
    }
}
