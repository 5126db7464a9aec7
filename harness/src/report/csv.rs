//! One row per run, for spreadsheets; units are in the headings.

use csv::Writer;

use crate::result::{Results, Run};
use crate::stats::Ratio;

type Field = (&'static str, fn(&Results, &Run) -> String);

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Every column: its heading and its cells.
const FIELDS: [Field; 43] = [
    ("date_utc", |all, run| {
        shown(all.provenance_of(run).map(|from| from.date_utc))
    }),
    ("siskin_version", |all, run| {
        shown(all.provenance_of(run).map(|from| from.siskin_version))
    }),
    ("llama_cpp_version", |all, run| {
        shown(all.provenance_of(run).map(|from| from.llama_cpp_version))
    }),
    ("machine", |all, run| {
        shown(all.provenance_of(run).map(|from| from.machine.identity()))
    }),
    ("tool", |_, run| run.tool.name().into()),
    ("imported_from", |_, run| shown(run.imported_from.as_ref())),
    ("model", |_, run| run.model.name.clone()),
    ("architecture", |_, run| run.model.architecture.clone()),
    ("file_type", |_, run| run.model.file_type.clone()),
    ("sha256", |_, run| shown(run.model.sha256.as_ref())),
    ("file_bytes", |_, run| run.model.file_bytes.to_string()),
    ("parameters", |_, run| run.model.parameters.to_string()),
    ("bits_per_weight", |_, run| run.model.bits_per_weight.to_string()),
    ("threads", |_, run| run.threads.to_string()),
    ("kernels", |_, run| shown(run.kernels.as_ref())),
    ("context_tokens", |_, run| shown(run.context_tokens)),
    ("sequences", |_, run| shown(run.sequences)),
    ("test", |_, run| run.test.name()),
    ("tokens", |_, run| run.test.tokens.to_string()),
    ("depth_tokens", |_, run| run.test.depth_tokens.to_string()),
    ("rounds", |_, run| run.tokens_per_second.samples.len().to_string()),
    ("tokens_per_second_median", |_, run| {
        run.tokens_per_second.median.to_string()
    }),
    ("tokens_per_second_mad", |_, run| {
        run.tokens_per_second.mad.to_string()
    }),
    ("tokens_per_second_min", |_, run| {
        run.tokens_per_second.min.to_string()
    }),
    ("tokens_per_second_max", |_, run| {
        run.tokens_per_second.max.to_string()
    }),
    ("outliers", |_, run| {
        run.tokens_per_second.outliers.len().to_string()
    }),
    ("first_token_seconds_median", |_, run| {
        shown(run.time_to_first_token_seconds.as_ref().map(|time| time.median))
    }),
    ("token_p50_seconds", |_, run| {
        shown(run.token_latency.as_ref().map(|latency| latency.p50_seconds))
    }),
    ("token_p95_seconds", |_, run| {
        shown(run.token_latency.as_ref().map(|latency| latency.p95_seconds))
    }),
    ("token_p99_seconds", |_, run| {
        shown(run.token_latency.as_ref().map(|latency| latency.p99_seconds))
    }),
    ("pass_seconds_median", |_, run| {
        shown(run.pass.as_ref().map(|pass| pass.seconds.median))
    }),
    ("relative_time", |_, run| {
        shown(relative_time(run).map(|ratio| ratio.ratio))
    }),
    ("relative_time_low", |_, run| {
        shown(relative_time(run).and_then(|ratio| ratio.low))
    }),
    ("relative_time_high", |_, run| {
        shown(relative_time(run).and_then(|ratio| ratio.high))
    }),
    ("peak_rss_bytes", |_, run| {
        shown(run.memory.map(|memory| memory.peak_rss_bytes))
    }),
    ("rss_anonymous_bytes", |_, run| {
        shown(run.memory.and_then(|memory| memory.anonymous_bytes))
    }),
    ("rss_file_bytes", |_, run| {
        shown(run.memory.and_then(|memory| memory.file_bytes))
    }),
    ("kv_bytes", |_, run| shown(run.kv_bytes)),
    ("bytes_read_per_token", |_, run| shown(run.bytes_read_per_token)),
    ("read_bandwidth_share", |_, run| shown(run.read_bandwidth_share)),
    ("joules_per_token_median", |_, run| {
        shown(run.energy.as_ref().map(|energy| energy.joules_per_token.median))
    }),
    ("after_celsius", |_, run| {
        shown(run.heat.and_then(|heat| heat.after_celsius))
    }),
    ("throttled", |_, run| {
        shown(run.heat.and_then(|heat| heat.throttled))
    }),
];

/// T(n), if the run is a pass.
fn relative_time(run: &Run) -> Option<Ratio> {
    run.pass.as_ref()?.relative_time
}

pub(super) fn render(results: &Results) -> String {
    let mut out = Writer::from_writer(Vec::new());
    let fine = "a list of bytes takes every row";
    out.write_record(FIELDS.map(|field| field.0)).expect(fine);
    for run in &results.runs {
        out.write_record(FIELDS.map(|field| field.1(results, run)))
            .expect(fine);
    }
    String::from_utf8(out.into_inner().expect(fine)).expect("texts and numbers")
}
