//! Markdown tables for a document.

use super::table::Table;
use super::{tables, text};
use crate::result::Results;

pub(super) fn render(results: &Results) -> String {
    document(
        &results.command,
        &text::head(results),
        &tables::all(results),
        &results.notes,
    )
}

/// A document: the command line, what is known of the measurement in a line each, tables, notes.
pub(crate) fn document(command: &str, head: &[String], tables: &[Table], notes: &[String]) -> String {
    let mut out = format!("Command: `{}`\n\n", command.replace('`', "'"));
    head.iter().for_each(|line| out = format!("{out}- {line}\n"));
    for one in tables {
        out = out + "\n" + &table(one);
    }
    if !notes.is_empty() {
        out.push_str("\n### Notes\n");
        notes.iter().for_each(|note| out = format!("{out}- {note}\n"));
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
