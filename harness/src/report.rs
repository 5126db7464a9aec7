//! Writes results for people and machines: one plain struct, many writers.

mod brief;
#[cfg(feature = "html")]
mod chart;
mod csv;
#[cfg(feature = "html")]
mod html;
pub(crate) mod markdown;
pub mod number;
mod passes;
mod sustained;
mod table;
mod tables;
mod text;
mod toml;

use std::fmt;
use std::str::FromStr;

use siskin_device::settings::UnknownName;

use crate::result::{Results, Run};

pub use markdown::table as markdown_table;
pub use table::{Column, Table};
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
    /// The figures as tables of a device profile.
    Toml,
    /// One self-contained HTML page with charts.
    #[cfg(feature = "html")]
    Html,
}

impl Format {
    /// Every format that this build can write.
    pub const ALL: &'static [Format] = &[
        Format::Table,
        Format::Json,
        Format::Jsonl,
        Format::Csv,
        Format::Md,
        Format::Toml,
        #[cfg(feature = "html")]
        Format::Html,
    ];

    /// Its name, as a flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Md => "md",
            Format::Toml => "toml",
            #[cfg(feature = "html")]
            Format::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Format::ALL.iter().find(|format| format.name() == text);
        found.copied().ok_or_else(|| UnknownName {
            found: text.to_owned(),
            allowed: Format::ALL
                .iter()
                .map(|format| format.name())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

/// How tables for a terminal are laid out; the other formats always have everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The terminal's width in columns.
    pub width: usize,
    /// Every table and note, not only speed, memory and what changes how they are read.
    pub details: bool,
    /// Lines printed before the memory and the speeds, e.g. how to see more.
    pub hints: Vec<String>,
}

impl Default for Layout {
    fn default() -> Self {
        Layout {
            width: 80,
            details: false,
            hints: vec![],
        }
    }
}

/// Writes `results` as `format`.
pub fn render(results: &Results, format: Format, layout: &Layout) -> String {
    match format {
        Format::Table => text::report(results, layout),
        Format::Json => json(results, true),
        Format::Jsonl => jsonl(results),
        Format::Csv => csv::render(results),
        Format::Md => markdown::render(results),
        Format::Toml => toml::render(results),
        #[cfg(feature = "html")]
        Format::Html => html::render(results),
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
    let line = |run: &Run| {
        let sure = "numbers, texts and lists";
        let mut line = serde_json::json!({
            "schema_version": results.schema_version,
            "command": results.command,
        });
        // An imported run has its own machine and date, or none.
        let from = results
            .provenance_of(run)
            .map(|from| serde_json::to_value(from).expect(sure));
        let unknown = || {
            serde_json::json!({
                "date_utc": null, "siskin_version": null, "llama_cpp_version": null, "machine": null,
            })
        };
        let run = Run {
            measured: None,
            ..run.clone()
        };
        let parts = [
            from.unwrap_or_else(unknown),
            serde_json::to_value(run).expect(sure),
        ];
        for part in parts {
            if let (Some(line), serde_json::Value::Object(part)) = (line.as_object_mut(), part) {
                line.extend(part);
            }
        }
        json(&line, false)
    };
    results.runs.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::results as fixture;
