//! Markdown tables for a document.

use super::table::Table;
use super::{Beside, tables, text};
use crate::bench::result::Results;

pub(super) fn render(results: &Results, beside: Option<&Beside>) -> String {
    let mut out = format!("Command: `{}`\n\n", results.command.replace('`', "'"));
    text::head(results)
        .iter()
        .for_each(|line| out = format!("{out}- {line}\n"));
    for one in tables::all(results, beside) {
        out = out + "\n" + &table(&one);
    }
    if let Some(Beside { device, .. }) = beside {
        let (low, high) = device.decode_bytes_per_second;
        let (low, high) = (low / 1e9, high / 1e9);
        let (title, source) = (device.title, device.source);
        out = format!(
            "{out}\n{title}: the bound is {low} to {high} GB/s ({source}) over the bytes read a token.\n"
        );
    }
    if !results.notes.is_empty() {
        out.push_str("\n### Notes\n");
        results
            .notes
            .iter()
            .for_each(|note| out = format!("{out}- {note}\n"));
    }
    out
}

/// Writes one table, under its title.
pub fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let cell = |text: &String| text.replace('|', "\\|");
    let rule = |right: bool| if right { "---:" } else { "---" }.to_owned();
    let mut out = format!("### {}\n\n", table.title);
    out += &line(table.columns.iter().map(|column| cell(&column.name)).collect());
    out += &line(table.columns.iter().map(|column| rule(column.right)).collect());
    for row in &table.rows {
        out += &line(row.iter().map(cell).collect());
    }
    out
}
