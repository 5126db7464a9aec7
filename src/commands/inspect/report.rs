//! A file's figures, metadata and tensors: as text of 80 columns, and as JSON.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value as Json, json};
use siskin_model::gguf::Header;
use siskin_model::summary::Summary;

use super::values;
use crate::render::{size, text};

/// The width of the text, in columns.
const COLUMNS: usize = 80;
/// The longest key, in columns, that the other keys are aligned with.
const MAX_KEY: usize = 40;

/// One JSON value: the figures, the metadata in the file's order, and the tensors if requested.
pub(super) fn json(
    path: &Path,
    summary: &Summary,
    header: &Header,
    tensors: bool,
) -> serde_json::Result<Json> {
    let mut report = serde_json::to_value(summary)?;
    report["file"] = json!(path.display().to_string());
    let keys = header
        .metadata
        .iter()
        .map(|(key, value)| values::json(key, value));
    report["metadata"] = keys.collect();
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

/// Prints the figures, the types and the metadata.
pub(super) fn print(out: &mut impl Write, path: &Path, summary: &Summary, header: &Header) -> io::Result<()> {
    let file = text::escaped(&path.display().to_string());
    writeln!(
        out,
        "{file}: GGUF version {}, {}, {} keys, {} tensors",
        summary.version,
        size::bytes(summary.file_bytes),
        summary.keys,
        summary.tensors
    )?;
    for (label, value) in figures(summary) {
        let width = COLUMNS - 15;
        writeln!(
            out,
            "{label:13}  {}",
            text::shortened(&text::escaped(&value), width)
        )?;
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
    let longest = header
        .metadata
        .iter()
        .map(|(key, _)| key.chars().count())
        .max()
        .unwrap_or(0);
    let width = longest.min(MAX_KEY);
    for (key, value) in header.metadata.iter() {
        let start = format!(
            "{:width$}  {:12} ",
            text::shortened(&text::escaped(key), COLUMNS - 30),
            values::type_name(value)
        );
        let left = COLUMNS.saturating_sub(start.chars().count()).max(16);
        writeln!(out, "{}", (start + &values::one_line(value, left)).trim_end())?;
    }
    Ok(())
}

/// Label and value of each figure that the file has.
fn figures(summary: &Summary) -> Vec<(&'static str, String)> {
    let count = |n: Option<u64>| n.map_or("?".into(), |n| n.to_string());
    let mut lines = Vec::new();
    if let Some(architecture) = &summary.architecture {
        lines.push(("architecture", architecture.clone()));
    }
    if let Some(name) = &summary.name {
        lines.push(("name", name.clone()));
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
        let pre = summary
            .pre_tokenizer
            .as_ref()
            .map_or(String::new(), |pre| format!(", split as {pre}"));
        let model = summary.tokenizer.as_deref().unwrap_or("?");
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
pub(super) fn print_tensors(out: &mut impl Write, header: &Header) -> io::Result<()> {
    writeln!(out, "\ntensors")?;
    let longest = header
        .tensors
        .iter()
        .map(|t| t.name.chars().count())
        .max()
        .unwrap_or(0);
    let width = longest.min(MAX_KEY);
    for tensor in &header.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let range = header.range(tensor);
        writeln!(
            out,
            "{:width$}  {:7} {:>13} {:>9} {:>11}",
            text::escaped(&tensor.name),
            tensor.ty,
            shape.join(" x "),
            size::bytes(range.end - range.start),
            tensor.offset
        )?;
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
