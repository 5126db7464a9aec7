//! The tables of a report.

use super::number::{bytes, decimal_bytes, millis, parameters, percent, three};
use super::table::Table;
use super::{passes, sustained};
use crate::result::{Comparison, Kind, Results, Run, Setting, Tool};
use crate::stats::{Ratio, Spread};

/// Every table that has something to show, in the order of a document: the speeds first.
pub(super) fn all(results: &Results) -> Vec<Table> {
    let mut tables = speeds(results);
    tables.push(memory(results, true));
    tables.extend(details(results));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// The speeds, and what they are compared with.
pub(super) fn speeds(results: &Results) -> Vec<Table> {
    let mut tables = vec![
        speed(results),
        passes::relative(results),
        sustained::brief(results),
    ];
    tables.extend(results.comparisons.iter().map(comparison));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// What most readers of a terminal do not need.
pub(super) fn details(results: &Results) -> Vec<Table> {
    let tables = [
        first_token(results),
        latency(results),
        passes::all(results),
        reading(results),
        load(results),
        models(results),
        energy(results),
        heat(results),
        sustained::all(results),
        settings(results),
    ];
    tables
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

pub(super) fn model(run: &Run, results: &Results) -> String {
    run.title(&results.runs)
}

pub(super) fn unless<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or(String::new(), show)
}

/// The programs' names, if not all of them are siskin.
pub(super) fn tools(runs: &[&Run]) -> Vec<String> {
    let alone = runs.iter().all(|run| run.tool == Tool::Siskin);
    let name = |run: &&Run| {
        if alone {
            String::new()
        } else {
            run.tool.name().into()
        }
    };
    runs.iter().map(name).collect()
}

/// The file that a run was imported from; empty if it was measured with the others.
pub(super) fn imported(run: &Run) -> String {
    run.imported_from.clone().unwrap_or_default()
}

/// A table with one row per run that `figures` has something for. Every such table begins with what tells its rows
/// apart (model, program, test, threads) and ends with the file that a row was imported from.
pub(super) fn by_run(
    title: &str,
    columns: &[&str],
    results: &Results,
    figures: impl Fn(&Run) -> Option<Vec<String>>,
) -> Table {
    let columns = [&["model", "tool", "test", ">thr"], columns, &["imported"]].concat();
    let mut table = Table::new(title, &columns);
    let runs = results.runs.iter();
    let (runs, figures): (Vec<&Run>, Vec<_>) = runs.filter_map(|run| Some((run, figures(run)?))).unzip();
    for ((run, tool), figures) in runs.iter().zip(tools(&runs)).zip(figures) {
        let key = [
            model(run, results),
            tool,
            run.test.name(),
            run.threads.to_string(),
        ];
        let row = key.into_iter().chain(figures).chain([imported(run)]);
        table.rows.push(row.collect());
    }
    table.without_empty_columns()
}

/// The same with one row per process. Its threads are shown if they differ. A program that does not report its context
/// has the depth of its tests instead, if they differ: `d512`.
fn by_process(
    title: &str,
    columns: &[&str],
    results: &Results,
    figures: impl Fn(&Run) -> Option<Vec<String>>,
) -> Table {
    let columns = [&["model", "tool", ">thr", ">ctx"], columns, &["imported"]].concat();
    let mut table = Table::new(title, &columns);
    let runs = processes(results).into_iter();
    let (runs, figures): (Vec<&Run>, Vec<_>) = runs.filter_map(|run| Some((run, figures(run)?))).unzip();
    let column = |show: fn(&Run) -> String| if_they_differ(runs.iter().map(|run| show(run)).collect());
    let threads = column(decode_threads);
    let depths = column(|run| format!("d{}", run.test.depth_tokens));
    let keys = tools(&runs).into_iter().zip(threads).zip(depths);
    for ((run, figures), ((tool, threads), depth)) in runs.iter().zip(figures).zip(keys) {
        let context = match (run.context_tokens, run.sequences) {
            (None, _) => depth,
            (Some(tokens), None) => tokens.to_string(),
            (Some(tokens), Some(sequences)) => format!("{sequences}x{tokens}"),
        };
        let key = [model(run, results), tool, threads, context];
        let row: Vec<String> = key.into_iter().chain(figures).chain([imported(run)]).collect();
        if !table.rows.contains(&row) {
            table.rows.push(row);
        }
    }
    table.without_empty_columns()
}

/// The value of a setting.
fn setting<'s>(settings: &'s [Setting], name: &str) -> Option<&'s str> {
    let found = settings.iter().find(|setting| setting.name == name);
    found.map(|setting| setting.value.as_str())
}

/// The threads that decode in this run's process.
fn decode_threads(run: &Run) -> String {
    setting(&run.settings, "threads").map_or_else(|| run.threads.to_string(), str::to_owned)
}

/// The texts if they differ, else as many empty ones.
pub(super) fn if_they_differ(mut texts: Vec<String>) -> Vec<String> {
    if texts.windows(2).all(|pair| pair[0] == pair[1]) {
        texts.iter_mut().for_each(String::clear);
    }
    texts
}

pub(super) fn speed(results: &Results) -> Table {
    by_run("Speed", &[">tokens/s", ">±", "spread"], results, |run| {
        let speed = Some(&run.tokens_per_second).filter(|_| !run.test.kind.is_pass())?;
        Some(vec![
            three(speed.median),
            three(speed.mad),
            spread(speed.spread).into(),
        ])
    })
}

pub(super) fn spread(spread: Spread) -> &'static str {
    match spread {
        Spread::Steady => "steady",
        Spread::Noisy => "noisy",
        Spread::Unknown => "unknown",
    }
}

fn comparison(comparison: &Comparison) -> Table {
    let title = format!("Ratio to {}", comparison.with);
    let columns = [
        "model", "test", ">thr", ">here", ">there", ">ratio", ">95 %", ">RSS",
    ];
    let mut table = Table::new(&title, &columns);
    for row in &comparison.rows {
        table.row([
            row.model.clone(),
            row.test.name(),
            row.threads.to_string(),
            three(row.tokens_per_second),
            three(row.other_tokens_per_second),
            format!("{:.2}", row.speed.ratio),
            interval(&row.speed),
            unless(row.peak_rss, |ratio| format!("{ratio:.2}")),
        ]);
    }
    table.without_empty_columns()
}

pub(super) fn interval(ratio: &Ratio) -> String {
    match (ratio.low, ratio.high) {
        (Some(low), Some(high)) => format!("{low:.2} to {high:.2}"),
        _ => "too few".into(),
    }
}

/// One run per process, because the runs of a process share its memory and its heat.
pub(super) fn processes(results: &Results) -> Vec<&Run> {
    let process = |run: &Run| {
        (
            run.tool,
            run.model.clone(),
            run.settings.clone(),
            (run.context_tokens, run.sequences),
            run.kernels.clone(),
            decode_threads(run),
            run.test.depth_tokens,
            run.imported_from.clone(),
        )
    };
    let mut runs: Vec<&Run> = Vec::new();
    for run in results.runs.iter().filter(|run| run.memory.is_some()) {
        if !runs.iter().any(|other| process(other) == process(run)) {
            runs.push(run);
        }
    }
    runs
}

/// Without `details` only what must fit: the peak, and the cache, which grows with the context.
pub(super) fn memory(results: &Results, details: bool) -> Table {
    let columns = [">peak RSS", ">anonymous", ">file", ">KV cache"];
    let part = |bytes_of: Option<u64>| unless(bytes_of.filter(|_| details), bytes);
    by_process("Memory", &columns, results, |run| {
        let memory = run.memory?;
        Some(vec![
            bytes(memory.peak_rss_bytes),
            part(memory.anonymous_bytes),
            part(memory.file_bytes),
            unless(run.kv_bytes, bytes),
        ])
    })
}

/// Time until a prompt's first token: its prefill, and the choice of the token.
fn first_token(results: &Results) -> Table {
    by_run("First token", &[">median", ">±"], results, |run| {
        let time = run.time_to_first_token_seconds.as_ref()?;
        Some(vec![millis(time.median), millis(time.mad)])
    })
}

fn latency(results: &Results) -> Table {
    by_run(
        "Time of a token",
        &[">p50", ">p95", ">p99", ">longest"],
        results,
        |run| {
            let latency = run.token_latency.as_ref()?;
            let percentiles = [
                latency.p50_seconds,
                latency.p95_seconds,
                latency.p99_seconds,
                latency.max_seconds,
            ];
            Some(percentiles.map(millis).to_vec())
        },
    )
}

fn reading(results: &Results) -> Table {
    let gives = |run: &Run| {
        // The bandwidth of this machine says nothing about a run from another one.
        let here = run.imported_from.is_none();
        let mut entries = results.read_bandwidths.iter();
        entries.find(|entry| here && entry.threads == run.threads)
    };
    let per_second = |bytes: f64| format!("{}/s", decimal_bytes(bytes));
    let columns = [">a token", ">a second", ">memory", ">share"];
    by_run("Reading", &columns, results, |run| {
        let read = run
            .bytes_read_per_token
            .filter(|_| run.test.kind == Kind::Decode)?;
        Some(vec![
            decimal_bytes(read as f64),
            per_second(read as f64 * run.tokens_per_second.median),
            unless(gives(run), |entry| per_second(entry.bytes_per_second.median)),
            unless(run.read_bandwidth_share, percent),
        ])
    })
}

fn load(results: &Results) -> Table {
    let columns = [
        "model",
        ">thr",
        "kernels",
        "page cache",
        ">load",
        ">±",
        ">to first token",
        ">from storage",
    ];
    let mut table = Table::new("Load", &columns);
    let column = |name| {
        let values = results.loads.iter().map(|load| setting(&load.settings, name));
        if_they_differ(values.map(|value| value.unwrap_or_default().to_owned()).collect())
    };
    let (threads, kernels) = (column("threads"), column("kernels"));
    for (load, (threads, kernels)) in results.loads.iter().zip(threads.into_iter().zip(kernels)) {
        table.row([
            load.model.title(),
            threads,
            kernels,
            if load.cold { "dropped" } else { "warm" }.into(),
            millis(load.load_seconds.median),
            millis(load.load_seconds.mad),
            millis(load.first_token_seconds.median),
            unless(load.storage_read_bytes, bytes),
        ]);
    }
    table.without_empty_columns()
}

fn models(results: &Results) -> Table {
    let mut table = Table::new(
        "Models",
        &[
            "model",
            "type",
            ">parameters",
            ">file",
            ">bits/weight",
            "sha256",
            "imported",
        ],
    );
    for run in &results.runs {
        let model = &run.model;
        let file = [
            model.name.clone(),
            model.file_type.clone(),
            parameters(model.parameters),
            bytes(model.file_bytes),
            format!("{:.2}", model.bits_per_weight),
            unless(model.sha256.as_deref(), |hash| hash.chars().take(12).collect()),
        ];
        // A file that was also measured here needs no second row.
        if !table.rows.iter().any(|row| row.starts_with(&file)) {
            table.rows.push(file.into_iter().chain([imported(run)]).collect());
        }
    }
    table.without_empty_columns()
}

fn energy(results: &Results) -> Table {
    by_run("Energy", &[">a token", "measured by"], results, |run| {
        let energy = run.energy.as_ref()?;
        let joules = format!("{} J", three(energy.joules_per_token.median));
        Some(vec![joules, energy.source.clone()])
    })
}

fn heat(results: &Results) -> Table {
    let columns = [">before", ">after", ">clock before", ">clock after", "throttled"];
    let celsius = |degrees| unless(degrees, |degrees: f64| format!("{degrees:.0} °C"));
    let clock = |hertz| unless(hertz, |hertz: f64| format!("{:.2} GHz", hertz / 1e9));
    by_process("Heat", &columns, results, |run| {
        let heat = run.heat?;
        let throttled = match heat.throttled {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let [before, after] = [heat.before_celsius, heat.after_celsius].map(celsius);
        let [clock_before, clock_after] = [heat.before_hertz, heat.after_hertz].map(clock);
        Some(vec![before, after, clock_before, clock_after, throttled.into()])
    })
}

/// A row for each value; settings that apply to every model are listed once.
fn settings(results: &Results) -> Table {
    let titles = |runs: &mut dyn Iterator<Item = &Run>| {
        let mut titles: Vec<String> = Vec::new();
        runs.for_each(|run| titles.push(model(run, results)));
        titles.sort_unstable();
        titles.dedup();
        titles
    };
    let mut table = Table::new("Settings", &["setting", "value", "from", "models", "imported"]);
    for run in &results.runs {
        let alike = |other: &&Run| (other.tool, &other.imported_from) == (run.tool, &run.imported_from);
        let everyone = titles(&mut results.runs.iter().filter(alike));
        for setting in &run.settings {
            let same = |other: &&Run| alike(other) && other.settings.contains(setting);
            let mut models = titles(&mut results.runs.iter().filter(same));
            if models == everyone {
                let is_everywhere = results.runs.iter().filter(alike).all(|run| same(&run));
                models = vec![if is_everywhere { "all" } else { "all, some runs" }.into()];
            }
            table.row_once([
                setting.name.clone(),
                setting.value.clone(),
                setting.origin.clone(),
                models.join(", "),
                imported(run),
            ]);
        }
    }
    table.without_empty_columns()
}
