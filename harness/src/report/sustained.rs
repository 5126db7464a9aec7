//! The tables of decoding without a pause.

use super::number::three;
use super::table::Table;
use super::tables::unless;
use crate::result::{Results, Sustained};

fn celsius(degrees: f64) -> String {
    format!("{degrees:.0} °C")
}

fn clock(hertz: f64) -> String {
    format!("{:.2} GHz", hertz / 1e9)
}

fn throttled(throttled: Option<bool>) -> String {
    match throttled {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
    .into()
}

/// One row for each model: its speed at first and at last, and the heat.
pub(super) fn brief(results: &Results) -> Table {
    let columns = [
        "model",
        ">thr",
        ">time",
        ">first",
        ">last",
        ">last/first",
        ">hottest",
        "throttled",
        "imported",
    ];
    let mut table = Table::new("Decoding without a pause, tokens/s", &columns);
    for one in &results.sustained {
        let Some((first, last)) = one.first_and_last() else {
            continue;
        };
        table.row([
            one.model.title(),
            one.threads.to_string(),
            unless(one.moments.last(), |moment| format!("{:.0} s", moment.seconds)),
            three(first),
            three(last),
            format!("{:.2}", last / first),
            unless(one.hottest(), celsius),
            throttled(one.throttled()),
            imported(one),
        ]);
    }
    table.without_empty_columns()
}

/// Every moment.
pub(super) fn all(results: &Results) -> Table {
    let columns = [
        "model",
        ">at",
        ">tokens/s",
        ">heat",
        ">clock",
        "throttled",
        "slowed by",
        "imported",
    ];
    let mut table = Table::new("Moments of decoding", &columns);
    let moments = results
        .sustained
        .iter()
        .flat_map(|one| one.moments.iter().map(move |moment| (one, moment)));
    for (one, moment) in moments {
        table.row([
            one.model.title(),
            format!("{:.0} s", moment.seconds),
            three(moment.tokens_per_second),
            unless(moment.celsius, celsius),
            unless(moment.hertz, clock),
            throttled(moment.throttled),
            moment.conditions.join(", "),
            imported(one),
        ]);
    }
    table.without_empty_columns()
}

fn imported(one: &Sustained) -> String {
    one.imported_from.clone().unwrap_or_default()
}
