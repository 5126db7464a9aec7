//! What tuning found, as a table.

use super::{Row, TuneReport};
use crate::model_info::ModelInfo;
use crate::report::Table;
use crate::report::number::bytes;

/// A row for each value that was measured.
pub fn table(report: &TuneReport, info: &ModelInfo) -> Table {
    let shape = &info.shape;
    let title = format!(
        "{} of {} blocks, {}: medians in tokens per second",
        shape.arch, shape.layers, info.model.file_type
    );
    let columns = [
        "setting",
        "value",
        ">prompt",
        ">decode",
        ">peak RSS",
        "chosen",
        "note",
    ];
    let mut table = Table::new(&title, &columns);
    for row in &report.measurements {
        let median = |show: fn(&super::Sample) -> String| row.median.as_ref().map_or(String::new(), show);
        table.row([
            row.setting.into(),
            row.value.clone(),
            median(|sample| format!("{:.1}", sample.prefill)),
            median(|sample| format!("{:.1}", sample.decode)),
            median(|sample| bytes(sample.peak_rss_bytes)),
            if row.chosen { "*" } else { "" }.into(),
            note(row),
        ]);
    }
    table.without_empty_columns()
}

fn note(row: &Row) -> String {
    let mut notes = Vec::new();
    match (&row.failure, &row.median) {
        // The reason is long and would turn the table into lists; `TuneReport::notes` has it.
        (Some(_), _) => notes.push("skipped".into()),
        (None, None) => notes.push("throttled in every round".into()),
        (None, Some(_)) => {}
    }
    if row.dropped_rounds > 0 {
        notes.push(format!("{} throttled rounds not counted", row.dropped_rounds));
    }
    notes.join("; ")
}
