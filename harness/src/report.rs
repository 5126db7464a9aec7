//! Writes results for people and machines: one plain struct, many writers.

mod chart;
mod csv;
mod html;
mod markdown;
pub mod number;
pub mod table;
mod tables;
mod text;

use super::result::Results;
use super::roofline::Device;

pub use markdown::table as markdown_table;
pub use text::{render as text_table, wrap};

/// An output format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables for a terminal; lists if it is too narrow.
    #[default]
    Table,
    /// One indented JSON object.
    Json,
    /// One JSON line per run, each with all that is needed to judge it alone.
    Jsonl,
    /// One CSV row per run.
    Csv,
    /// Markdown tables for a document.
    Md,
    /// One self-contained HTML page with charts.
    Html,
}

/// An extra column for another machine, next to the speeds.
#[derive(Debug, Clone)]
pub struct Beside {
    /// The other machine.
    pub device: Device,
    /// Results measured there; for tests without a result, its bound is shown.
    pub results: Option<Results>,
}

/// Writes `results` as `format`. `width` is the terminal's width in columns, for tables.
pub fn render(results: &Results, format: Format, width: usize, beside: Option<&Beside>) -> String {
    match format {
        Format::Table => text::report(results, width, beside),
        Format::Json => json(results, true),
        Format::Jsonl => jsonl(results),
        Format::Csv => csv::render(results),
        Format::Md => markdown::render(results, beside),
        Format::Html => html::render(results, beside),
    }
}

fn json(value: &impl serde::Serialize, indented: bool) -> String {
    let text = if indented {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.expect("numbers, texts and lists") + "\n"
}

fn jsonl(results: &Results) -> String {
    let line = |run| {
        let mut line = serde_json::json!({
            "schema_version": results.schema_version,
            "date_utc": results.date_utc,
            "command": results.command,
            "siskin_version": results.siskin_version,
            "llama_cpp_version": results.llama_cpp_version,
            "machine": results.machine,
        });
        let run = serde_json::to_value(run).expect("numbers, texts and lists");
        if let (Some(line), serde_json::Value::Object(run)) = (line.as_object_mut(), run) {
            line.extend(run);
        }
        json(&line, false)
    };
    results.runs.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::results as fixture;
