//! The tables of a report.

use super::number::{bytes, decimal_bytes, millis, parameters, percent, three};
use super::table::Table;
use crate::result::{Comparison, Kind, Results, Run, Setting, Tool};
use crate::stats::{Ratio, Spread};

/// Every table that has something to show, in the order of a report.
pub(super) fn all(results: &Results) -> Vec<Table> {
    let mut tables = vec![speed(results)];
    tables.extend(results.comparisons.iter().map(comparison));
    tables.extend([
        memory(results),
        first_token(results),
        latency(results),
        reading(results),
        load(results),
    ]);
    tables.extend([models(results), energy(results), heat(results), settings(results)]);
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn model(run: &Run, results: &Results) -> String {
    run.title(&results.runs)
}

fn unless<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or(String::new(), show)
}

/// The program's name, if the table contains several programs.
fn tool(run: &Run, results: &Results) -> String {
    let alone = results.runs.iter().all(|other| other.tool == Tool::Siskin);
    if alone {
        String::new()
    } else {
        run.tool.name().into()
    }
}

/// The file that a run was imported from; empty if it was measured with the others.
fn imported(run: &Run) -> String {
    run.imported_from.clone().unwrap_or_default()
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
fn if_they_differ(mut texts: Vec<String>) -> Vec<String> {
    if texts.windows(2).all(|pair| pair[0] == pair[1]) {
        texts.iter_mut().for_each(String::clear);
    }
    texts
}

fn speed(results: &Results) -> Table {
    let columns = [
        "model",
        "tool",
        "test",
        ">thr",
        ">tokens/s",
        ">±",
        "spread",
        "imported",
    ];
    let mut table = Table::new("Speed", &columns);
    for run in &results.runs {
        let speed = &run.tokens_per_second;
        table.row([
            model(run, results),
            tool(run, results),
            run.test.name(),
            run.threads.to_string(),
            three(speed.median),
            three(speed.mad),
            spread(speed.spread).into(),
            imported(run),
        ]);
    }
    table.without_empty_columns()
}

fn spread(spread: Spread) -> &'static str {
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

fn interval(ratio: &Ratio) -> String {
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
            run.context_tokens,
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

fn memory(results: &Results) -> Table {
    let columns = [
        "model",
        "tool",
        ">thr",
        ">ctx",
        ">peak RSS",
        ">anonymous",
        ">file",
        ">KV cache",
        "imported",
    ];
    let mut table = Table::new("Memory", &columns);
    let runs = processes(results);
    let threads = if_they_differ(runs.iter().map(|run| decode_threads(run)).collect());
    for (run, threads) in runs.into_iter().zip(threads) {
        let Some(memory) = run.memory else { continue };
        table.row_once([
            model(run, results),
            tool(run, results),
            threads,
            unless(run.context_tokens, |tokens| tokens.to_string()),
            bytes(memory.peak_rss_bytes),
            unless(memory.anonymous_bytes, bytes),
            unless(memory.file_bytes, bytes),
            unless(run.kv_bytes, bytes),
            imported(run),
        ]);
    }
    table.without_empty_columns()
}

/// Time until a prompt's first token: its prefill, and the choice of the token.
fn first_token(results: &Results) -> Table {
    let mut table = Table::new(
        "First token",
        &["model", "test", ">thr", ">median", ">±", "imported"],
    );
    for run in &results.runs {
        let Some(time) = &run.time_to_first_token_seconds else {
            continue;
        };
        let [median, mad] = [time.median, time.mad].map(millis);
        table.row([
            model(run, results),
            run.test.name(),
            run.threads.to_string(),
            median,
            mad,
            imported(run),
        ]);
    }
    table.without_empty_columns()
}

fn latency(results: &Results) -> Table {
    let columns = [
        "model", "test", ">thr", ">p50", ">p95", ">p99", ">longest", "imported",
    ];
    let mut table = Table::new("Time of a token", &columns);
    for run in &results.runs {
        let Some(latency) = &run.token_latency else {
            continue;
        };
        let percentiles = [
            latency.p50_seconds,
            latency.p95_seconds,
            latency.p99_seconds,
            latency.max_seconds,
        ];
        let [p50, p95, p99, longest] = percentiles.map(millis);
        table.row([
            model(run, results),
            run.test.name(),
            run.threads.to_string(),
            p50,
            p95,
            p99,
            longest,
            imported(run),
        ]);
    }
    table.without_empty_columns()
}

fn reading(results: &Results) -> Table {
    let columns = [
        "model",
        "test",
        ">thr",
        ">a token",
        ">a second",
        ">memory",
        ">share",
        "imported",
    ];
    let mut table = Table::new("Reading", &columns);
    let gives = |threads| {
        results
            .read_bandwidths
            .iter()
            .find(|entry| entry.threads == threads)
    };
    let per_second = |bytes: f64| format!("{}/s", decimal_bytes(bytes));
    for run in results.runs.iter().filter(|run| run.test.kind == Kind::Decode) {
        let Some(read) = run.bytes_read_per_token else {
            continue;
        };
        table.row([
            model(run, results),
            run.test.name(),
            run.threads.to_string(),
            decimal_bytes(read as f64),
            per_second(read as f64 * run.tokens_per_second.median),
            unless(gives(run.threads), |entry| {
                per_second(entry.bytes_per_second.median)
            }),
            unless(run.read_bandwidth_share, percent),
            imported(run),
        ]);
    }
    table.without_empty_columns()
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
        &["model", "type", ">parameters", ">file", ">bits/weight", "sha256"],
    );
    for run in &results.runs {
        let model = &run.model;
        table.row_once([
            model.name.clone(),
            model.file_type.clone(),
            parameters(model.parameters),
            bytes(model.file_bytes),
            format!("{:.2}", model.bits_per_weight),
            unless(model.sha256.as_deref(), |hash| hash.chars().take(12).collect()),
        ]);
    }
    table.without_empty_columns()
}

fn energy(results: &Results) -> Table {
    let mut table = Table::new(
        "Energy",
        &["model", "test", ">a token", "measured by", "imported"],
    );
    for run in &results.runs {
        let Some(energy) = &run.energy else { continue };
        let joules = format!("{} J", three(energy.joules_per_token.median));
        table.row([
            model(run, results),
            run.test.name(),
            joules,
            energy.source.clone(),
            imported(run),
        ]);
    }
    table.without_empty_columns()
}

fn heat(results: &Results) -> Table {
    let columns = [
        "model",
        ">depth",
        ">before",
        ">after",
        ">clock before",
        ">clock after",
        "throttled",
        "imported",
    ];
    let mut table = Table::new("Heat", &columns);
    let celsius = |degrees| unless(degrees, |degrees: f64| format!("{degrees:.0} °C"));
    let clock = |hertz| unless(hertz, |hertz: f64| format!("{:.2} GHz", hertz / 1e9));
    for run in processes(results) {
        let Some(heat) = run.heat else { continue };
        let throttled = match heat.throttled {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let [before, after] = [heat.before_celsius, heat.after_celsius].map(celsius);
        let [clock_before, clock_after] = [heat.before_hertz, heat.after_hertz].map(clock);
        let depth = run.test.depth_tokens.to_string();
        table.row_once([
            model(run, results),
            depth,
            before,
            after,
            clock_before,
            clock_after,
            throttled.into(),
            imported(run),
        ]);
    }
    table.without_empty_columns()
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
    let mut table = Table::new("Settings", &["setting", "value", "from", "models"]);
    for run in &results.runs {
        let of_tool = |other: &&Run| other.tool == run.tool;
        let everyone = titles(&mut results.runs.iter().filter(of_tool));
        for setting in &run.settings {
            let same = |other: &&Run| of_tool(other) && other.settings.contains(setting);
            let mut models = titles(&mut results.runs.iter().filter(same));
            if models == everyone {
                models = vec!["all".into()];
            }
            table.row_once([
                setting.name.clone(),
                setting.value.clone(),
                setting.origin.clone(),
                models.join(", "),
            ]);
        }
    }
    table
}
