//! The tables of passes: what n tokens cost that are computed together.

use super::number::{millis, three};
use super::table::Table;
use super::tables::{by_run, if_they_differ, imported, interval, model, spread, tools, unless};
use crate::result::{Results, Run};

/// T(n) in one row for each model, depth and kind of pass, with a column for each n.
pub(super) fn relative(results: &Results) -> Table {
    let runs: Vec<&Run> = results.runs.iter().filter(|run| run.pass.is_some()).collect();
    let mut lengths: Vec<u32> = runs.iter().map(|run| run.test.tokens).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.retain(|tokens| *tokens > 1);
    let names = lengths.iter().map(|tokens| format!(">n={tokens}"));
    let names: Vec<String> = names.collect();
    let columns = ["model", "tool", "pass", ">thr", ">depth", ">n=1"].into_iter();
    let columns = columns
        .chain(names.iter().map(String::as_str))
        .chain(["imported"]);
    let title = "T(n): time of n tokens relative to one";
    let mut table = Table::new(title, &columns.collect::<Vec<_>>());
    // Threads may differ between one token and several: each row has those of several.
    let rows = rows(&runs);
    let threads = |row: &[&Run]| row.last().map_or(String::new(), |run| run.threads.to_string());
    let threads = if_they_differ(rows.iter().map(|row| threads(row)).collect());
    let tools = tools(&rows.iter().map(|row| row[0]).collect::<Vec<_>>());
    for ((row, tool), threads) in rows.iter().zip(tools).zip(threads) {
        let first = row[0];
        let of = |tokens: u32| row.iter().find(|run| run.test.tokens == tokens);
        let pass = |tokens| of(tokens).and_then(|run| run.pass.as_ref());
        let name = first.test.name();
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || " @d".contains(c));
        let key = [
            model(first, results),
            tool,
            name.to_owned(),
            threads,
            first.test.depth_tokens.to_string(),
            unless(pass(1), |pass| millis(pass.seconds.median)),
        ];
        let relative = lengths.iter().map(|&tokens| {
            let ratio = pass(tokens).and_then(|pass| pass.relative_time);
            unless(ratio, |ratio| format!("{:.2}", ratio.ratio))
        });
        let cells = key.into_iter().chain(relative).chain([imported(first)]);
        table.rows.push(cells.collect());
    }
    table.without_empty_columns()
}

/// The runs of each row: those that differ in nothing but n.
fn rows<'r>(runs: &[&'r Run]) -> Vec<Vec<&'r Run>> {
    let key = |run: &Run| {
        (
            run.tool,
            run.model.clone(),
            run.kernels.clone(),
            run.settings.clone(),
            run.test.kind,
            run.test.depth_tokens,
            run.imported_from.clone(),
        )
    };
    let mut rows: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        match rows.iter_mut().find(|row| key(row[0]) == key(run)) {
            Some(row) => row.push(run),
            None => rows.push(vec![run]),
        }
    }
    rows
}

/// Every pass with its spread. T(n) is the ratio to a pass of one token in the same rounds.
pub(super) fn all(results: &Results) -> Table {
    let columns = [">time", ">±", ">tokens/s", ">T(n)", ">95 %", "spread"];
    by_run("Passes", &columns, results, |run| {
        let pass = run.pass.as_ref()?;
        let ratio = pass.relative_time.as_ref();
        Some(vec![
            millis(pass.seconds.median),
            millis(pass.seconds.mad),
            three(run.tokens_per_second.median),
            unless(ratio, |ratio| format!("{:.2}", ratio.ratio)),
            unless(ratio.filter(|_| run.test.tokens > 1), interval),
            spread(pass.seconds.spread).into(),
        ])
    })
}
