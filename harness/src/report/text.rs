//! Tables for a terminal: columns if they fit, otherwise one list per row.

use super::table::Table;
use super::{Layout, brief, number, tables};
use crate::result::{Hardware, Results};

/// The space between two columns.
const GAP: &str = "  ";

/// The speeds are last, so that they are what remains visible of a long report. Without `details`: memory, the
/// settings on one line, and the notes that change how the speeds are read.
pub(super) fn report(results: &Results, layout: &Layout) -> String {
    let width = layout.width;
    let mut out: String = head(results).iter().map(|line| wrap(line, "", width)).collect();
    let notes = if layout.details {
        for table in tables::details(results) {
            out = out + "\n" + &render(&table, width);
        }
        results.notes.clone()
    } else {
        let settings = brief::settings(results);
        settings
            .iter()
            .for_each(|line| out.push_str(&wrap(line, "", width)));
        brief::notes(results)
    };
    for hint in &layout.hints {
        out.push_str(&wrap(hint, "", width));
    }
    if !notes.is_empty() {
        out.push_str("\nNotes\n");
        notes
            .iter()
            .for_each(|note| out.push_str(&wrap(note, "- ", width)));
    }
    let memory = Some(tables::memory(results, layout.details)).filter(|table| !table.rows.is_empty());
    for table in memory.into_iter().chain(tables::speeds(results)) {
        out = out + "\n" + &render(&table, width);
    }
    out
}

/// What was measured and on which machine, as one line each.
pub(super) fn head(results: &Results) -> Vec<String> {
    let machine = &results.machine;
    let (siskin, llama_cpp, rounds, date) = (
        &results.siskin_version,
        &results.llama_cpp_version,
        results.rounds,
        &results.date_utc,
    );
    let mut lines = vec![
        format!(
            "siskin {siskin}, llama.cpp {llama_cpp}, {rounds} round{}, {date}",
            plural(rounds)
        ),
        format!("{}, {}", machine.identity(), machine.kernel),
    ];
    lines.extend(results.hardware.as_ref().map(hardware));
    lines.extend(results.read_bandwidths.iter().map(|entry| {
        let speed = number::decimal_bytes(entry.bytes_per_second.median);
        format!(
            "memory is read at {speed}/s with {} thread{}",
            entry.threads,
            plural(entry.threads)
        )
    }));
    lines
}

/// What speeds depend on, beside the CPU's name and the size of the memory.
fn hardware(hardware: &Hardware) -> String {
    let mut parts = vec![format!("{} CPUs, {} cores", hardware.cpus_online, hardware.cores)];
    let clocks: Vec<String> = hardware.max_mhz.iter().map(u64::to_string).collect();
    if !clocks.is_empty() {
        parts.push(format!("at most {} MHz", clocks.join(" and ")));
    }
    let known = [
        ("profile", &hardware.profile),
        ("governor", &hardware.governor),
        ("huge pages", &hardware.huge_pages),
    ];
    for (name, value) in known {
        parts.extend(value.as_ref().map(|value| format!("{name} {value}")));
    }
    parts.push(format!("pages of {}", number::bytes(hardware.page_bytes)));
    if !hardware.slowed_since_boot.is_empty() {
        parts.push(format!("since boot: {}", hardware.slowed_since_boot.join(", ")));
    }
    parts.join(", ")
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Draws one table, `width` columns wide.
pub fn render(table: &Table, width: usize) -> String {
    let widest = |column: usize| {
        let cells = table.rows.iter().map(|row| length(&row[column]));
        cells
            .chain([length(&table.columns[column].name)])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(widest).collect();
    let mut out = table.title.clone() + "\n";
    if widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1) > width {
        table
            .rows
            .iter()
            .for_each(|row| out.push_str(&list(table, row, width)));
        return out;
    }
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    for row in [&names].into_iter().chain(&table.rows) {
        let cells = row.iter().zip(&table.columns).zip(&widths);
        let cells: Vec<String> = cells
            .map(|((cell, column), &width)| pad(cell, width, column.right))
            .collect();
        out = out + cells.join(GAP).trim_end() + "\n";
    }
    out
}

/// A row as a list: its first cell, then a line for each other cell that is not empty.
fn list(table: &Table, row: &[String], width: usize) -> String {
    let mut out = wrap(&row[0], "", width);
    let names = table
        .columns
        .iter()
        .skip(1)
        .map(|column| length(&column.name))
        .max()
        .unwrap_or(0);
    for (cell, column) in row
        .iter()
        .zip(&table.columns)
        .skip(1)
        .filter(|(cell, _)| !cell.is_empty())
    {
        let first = format!("  {}  ", pad(&column.name, names, false));
        out.push_str(&wrap(cell, &first, width));
    }
    out
}

/// The length in characters, not bytes, because of `±` and `°`.
fn length(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(length(text)));
    if right {
        space + text
    } else {
        text.to_owned() + &space
    }
}

/// Breaks a text at spaces into lines of at most `width`. `first` precedes the first line, and as many spaces
/// precede the others. A word longer than a line gets a line to itself.
pub fn wrap(text: &str, first: &str, width: usize) -> String {
    let mut lines = vec![first.to_owned()];
    let mut empty = true;
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !empty && length(line) + 1 + length(word) > width {
            lines.push(" ".repeat(length(first)) + word);
            continue;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal_unless_a_word_is() {
        let mut table = Table::new("Speed", &["model", ">tokens/s", "spread"]);
        table.row(["a model with a long name".into(), "12.3".into(), "steady".into()]);
        let wide =
            "Speed\nmodel                     tokens/s  spread\na model with a long name      12.3  steady\n";
        assert_eq!(render(&table, 42), wide);
        let narrow = "Speed\na model with a long name\n  tokens/s  12.3\n  spread    steady\n";
        assert_eq!(render(&table, 41), narrow);
        assert_eq!(wrap("one two three", "- ", 9), "- one two\n  three\n");
        assert_eq!(wrap("incomprehensible", "", 4), "incomprehensible\n");
        assert_eq!(wrap("", "- ", 4), "-\n");
    }
}
