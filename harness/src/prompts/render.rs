//! Writes what prompts came to.

use csv::Writer;

use super::file::shown;
use super::outcome::{Extreme, Group, Pair, PromptResults};
use crate::report::markdown::document;
use crate::report::number::three;
use crate::report::{Table, text_table, wrap};

/// A format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables for a terminal with so many columns.
    Table(usize),
    /// One indented JSON object with every pair.
    Json,
    /// One row for each pair.
    Csv,
    /// Markdown tables for a document.
    Md,
}

/// Writes `results` as `format`.
pub fn render(results: &PromptResults, format: Format) -> String {
    match format {
        Format::Table(width) => text(results, width),
        Format::Json => serde_json::to_string_pretty(results).expect("numbers, texts and lists") + "\n",
        Format::Csv => csv(results),
        Format::Md => markdown(results),
    }
}

fn text(results: &PromptResults, width: usize) -> String {
    let mut out: String = head(results).iter().map(|line| wrap(line, "", width)).collect();
    if !results.notes.is_empty() {
        out.push_str("\nNotes\n");
        results
            .notes
            .iter()
            .for_each(|note| out.push_str(&wrap(note, "- ", width)));
    }
    for table in tables(results) {
        out = out + "\n" + &text_table(&table, width);
    }
    let extremes = extremes(&results.all);
    if !extremes.is_empty() {
        out = out + "\n" + &wrap(&extremes, "", width);
    }
    out
}

fn markdown(results: &PromptResults) -> String {
    let lines = head(results).into_iter().chain([extremes(&results.all)]);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    document(&results.command, &lines, &tables(results), &results.notes)
}

/// What was measured, with what and on which machine, as one line each.
fn head(results: &PromptResults) -> Vec<String> {
    let (settings, machine) = (&results.settings, &results.machine);
    let frame = if settings.chat_template {
        "on its chat template"
    } else {
        "without a chat template"
    };
    vec![
        format!(
            "siskin {}, llama.cpp {}, {}",
            results.siskin_version, results.llama_cpp_version, results.date_utc
        ),
        format!("{}, {}", machine.identity(), machine.kernel),
        format!(
            "{} {frame}, threads {}, context {}, {} tokens a text, temperature {}, seed {}, guesses by {}",
            results.model.title(),
            settings.threads,
            settings.context_tokens,
            settings.tokens,
            settings.sampler.temp,
            settings.seed,
            settings.spec
        ),
    ]
}

fn tables(results: &PromptResults) -> [Table; 3] {
    let rows: Vec<&Group> = results.kinds.iter().chain([&results.all]).collect();
    let name = |group: &Group| group.kind.clone().unwrap_or_else(|| "all".into());
    let fine = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    let rough = |value: Option<f64>| value.map_or("-".into(), three);
    let mut guesses = Table::new(
        "Guesses",
        &[
            "kind",
            ">passes",
            ">drafted",
            ">accepted",
            ">tokens a pass",
            ">drafter us a token",
        ],
    );
    let mut speeds = Table::new(
        "Tokens a second",
        &[
            "kind",
            ">without",
            ">with",
            ">estimated without",
            ">estimated/measured",
        ],
    );
    let mut ratios = Table::new(
        "Speed with guesses / without, median of pairs",
        &[
            "kind",
            ">prompts",
            ">too short",
            ">same text",
            ">speed-up",
            ">95 %",
            ">worst",
            ">best",
        ],
    );
    for group in rows {
        guesses.row([
            name(group),
            group.passes.to_string(),
            group.drafted.to_string(),
            group.accepted.to_string(),
            rough(group.mean_accepted_length),
            rough(group.drafter_seconds_per_token.map(|seconds| seconds * 1e6)),
        ]);
        speeds.row([
            name(group),
            rough(group.tokens_per_second_without),
            rough(group.tokens_per_second_with),
            rough(group.estimated_tokens_per_second_without),
            fine(group.estimate_ratio),
        ]);
        let ends = group.speed_up.and_then(|ratio| ratio.low.zip(ratio.high));
        let extreme = |end: &Option<Extreme>| fine(end.as_ref().map(|end| end.speed_up));
        ratios.row([
            name(group),
            group.prompts.to_string(),
            group.short.to_string(),
            same(group),
            fine(group.speed_up.map(|ratio| ratio.ratio)),
            ends.map_or("-".into(), |(low, high)| format!("{low:.3} to {high:.3}")),
            extreme(&group.worst),
            extreme(&group.best),
        ]);
    }
    [guesses, speeds, ratios]
}

/// The share of prompts with the same text. It is 100 % only if every text is the same.
fn same(group: &Group) -> String {
    match group.prompts {
        0 => "-".into(),
        all if group.same_text == all => "100 %".into(),
        all => format!("{:.1} %", (group.same_text as f64 * 100.0 / all as f64).min(99.9)),
    }
}

/// The prompts at both ends, in one line; nothing if there are none.
fn extremes(all: &Group) -> String {
    let name = |end: &Extreme| format!("{} {} ({:.3})", end.kind, shown(&end.id), end.speed_up);
    match (&all.worst, &all.best) {
        (Some(worst), Some(best)) => format!("worst: {}; best: {}", name(worst), name(best)),
        _ => String::new(),
    }
}

type Field = (&'static str, fn(&Pair) -> String);

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Every column of a pair: its heading and its cells.
const FIELDS: [Field; 17] = [
    ("kind", |pair| pair.kind.clone()),
    ("id", |pair| shown(&pair.id)),
    ("line", |pair| pair.line.to_string()),
    ("prompt_tokens", |pair| pair.prompt_tokens.to_string()),
    ("tokens", |pair| pair.tokens.to_string()),
    ("computed_tokens", |pair| pair.computed_tokens.to_string()),
    ("on_first", |pair| pair.on_first.to_string()),
    ("off_seconds", |pair| pair.off_seconds.to_string()),
    ("on_seconds", |pair| pair.on_seconds.to_string()),
    ("speed_up", |pair| known(pair.speed_up)),
    ("same_text", |pair| pair.same_text.to_string()),
    ("prompt_drafter_seconds", |pair| {
        pair.prompt_drafter_seconds.to_string()
    }),
    ("drafter_seconds", |pair| pair.drafter_seconds.to_string()),
    ("passes", |pair| {
        known(pair.speculation.as_ref().map(|counts| counts.passes))
    }),
    ("drafted", |pair| {
        known(pair.speculation.as_ref().map(|counts| counts.drafted))
    }),
    ("accepted", |pair| {
        known(pair.speculation.as_ref().map(|counts| counts.accepted))
    }),
    ("estimated_tokens_per_second_without", |pair| {
        known(
            pair.speculation
                .as_ref()
                .and_then(|counts| counts.tokens_per_second_without),
        )
    }),
];

fn csv(results: &PromptResults) -> String {
    let mut out = Writer::from_writer(Vec::new());
    let fine = "a list of bytes takes every row";
    out.write_record(FIELDS.map(|field| field.0)).expect(fine);
    for pair in &results.pairs {
        out.write_record(FIELDS.map(|field| field.1(pair))).expect(fine);
    }
    String::from_utf8(out.into_inner().expect(fine)).expect("texts and numbers")
}
