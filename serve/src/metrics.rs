//! Figures for Prometheus, in its text format 0.0.4. One table has every metric.
//!
//! Names and meanings that dashboards know from llama.cpp's server are the same here, with `siskin_` before them.

mod labels;
mod series;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use siskin_device::memory::Memory;

use crate::listen::{Doorman, Peer};
pub use labels::{Reason, StatusClass};
use series::Series;
pub use series::{Bounds, Counter, Counters, Gauge, Histogram, Joules, Label, Reading, Seconds};

/// The type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Buckets for what a person waits for.
#[derive(Debug)]
pub struct Waits;

impl Bounds for Waits {
    const BOUNDS: &'static [f64] = &[
        0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
    ];
}

/// Buckets for the time between two tokens.
#[derive(Debug)]
pub struct Steps;

impl Bounds for Steps {
    const BOUNDS: &'static [f64] = &[
        0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0,
    ];
}

/// Buckets for relative errors.
#[derive(Debug)]
pub struct Errors;

impl Bounds for Errors {
    const BOUNDS: &'static [f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0];
}

/// The table: field, type, name, help.
macro_rules! metrics {
    ($($field:ident: $kind:ty = $name:literal, $help:literal;)*) => {
        /// All figures. Each is added to by the thread that knows it, without a lock.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)*
            models: Mutex<BTreeMap<String, bool>>,
            build: Vec<(&'static str, String)>,
        }

        impl Metrics {
            fn table(&self) -> Vec<(&'static str, &'static str, &dyn Series)> {
                vec![$(($name, $help, &self.$field as &dyn Series),)*]
            }
        }
    };
}

metrics! {
    prompt_tokens: Counter = "siskin_prompt_tokens_total", "Prompt tokens computed, without those known from earlier requests.";
    prompt_tokens_cached: Counter = "siskin_prompt_tokens_cached_total", "Prompt tokens that were known from earlier requests.";
    prompt_seconds: Seconds = "siskin_prompt_seconds_total", "Time spent on prompts.";
    predicted_tokens: Counter = "siskin_tokens_predicted_total", "Tokens generated.";
    drafted_tokens: Counter = "siskin_tokens_drafted_total", "Tokens guessed and computed before they were drawn.";
    accepted_tokens: Counter = "siskin_tokens_accepted_total", "Guessed tokens that were right.";
    predicted_seconds: Seconds = "siskin_tokens_predicted_seconds_total", "Time spent on generating tokens.";
    prompt_speed: Gauge = "siskin_prompt_tokens_seconds", "Prompt tokens per second, averaged over recent requests.";
    predicted_speed: Gauge = "siskin_predicted_tokens_seconds", "Generated tokens per second, averaged over recent requests.";
    processing: Gauge = "siskin_requests_processing", "Requests that are computed now.";
    deferred: Gauge = "siskin_requests_deferred", "Requests that wait for their turn.";
    tokens_max: Gauge = "siskin_n_tokens_max", "The longest context that a request has had, in tokens.";
    decodes: Counter = "siskin_n_decode_total", "Passes through the model.";
    busy_slots: Counter = "siskin_n_busy_slots_total", "Requests in all passes through the model together.";
    busy_slots_per_decode: Gauge = "siskin_n_busy_slots_per_decode", "Requests in a pass through the model, on average.";
    requests: Counter = "siskin_requests_total", "Requests that were admitted.";
    background: Counter = "siskin_requests_background_total", "Requests of the background class that were admitted.";
    cancelled: Counter = "siskin_requests_cancelled_total", "Requests whose client left before the end.";
    refused: Counters<Reason> = "siskin_requests_refused_total", "Requests that were refused.";
    responses: Counters<StatusClass> = "siskin_http_responses_total", "Answers by class of status.";
    connections: Gauge = "siskin_http_connections", "Open connections.";
    connections_refused: Counter = "siskin_http_connections_refused_total", "Connections refused because there were too many.";
    connections_evicted: Counter = "siskin_http_connections_evicted_total", "Unused connections closed so that others could be served.";
    queue_wait: Histogram<Waits> = "siskin_queue_wait_seconds", "Time from a request's arrival to its turn.";
    first_token: Histogram<Waits> = "siskin_time_to_first_token_seconds", "Time from a request's arrival to its first token.";
    next_token: Histogram<Steps> = "siskin_inter_token_seconds", "Time between two tokens of a request.";
    duration: Histogram<Waits> = "siskin_request_seconds", "Time from a request's arrival to its end.";
    predicted_wait: Gauge = "siskin_predicted_wait_seconds", "How long a request that comes now would wait.";
    wait_error: Histogram<Errors> = "siskin_predicted_wait_error_ratio", "Difference between the predicted and the real wait, relative to the real one.";
    prefix_hits: Counter = "siskin_prefix_hits_total", "Requests that began with tokens known from earlier requests.";
    prefix_misses: Counter = "siskin_prefix_misses_total", "Requests that shared no beginning with earlier ones.";
    store_hits: Counter = "siskin_prefix_store_hits_total", "Beginnings of prompts read from the store.";
    store_tokens: Counter = "siskin_prefix_store_tokens_total", "Tokens that were read from the store instead of computed.";
    store_writes: Counter = "siskin_prefix_store_writes_total", "Beginnings of prompts written to the store.";
    store_written_bytes: Counter = "siskin_prefix_store_written_bytes_total", "Bytes written to the store.";
    store_damaged: Counter = "siskin_prefix_store_damaged_total", "Damaged files found in the store and removed.";
    cells: Gauge = "siskin_kv_cache_cells", "Tokens that the KV cache has room for.";
    cells_used: Gauge = "siskin_kv_cache_cells_used", "Tokens in the KV cache, with those reserved for running requests.";
    model_loads: Counter = "siskin_model_loads_total", "Models loaded.";
    model_unloads: Counter = "siskin_model_unloads_total", "Models unloaded.";
    temperature: Reading = "siskin_temperature_celsius", "Temperature of the sensor that is nearest to its limit.";
    energy: Joules = "siskin_energy_joules_total", "Energy that the machine drew in passes through the model, where a meter tells.";
    duty: Gauge = "siskin_duty_ratio", "The part of the time in which the service computes; below 1 the machine is too hot.";
    throttled: Seconds = "siskin_throttled_seconds_total", "Time in which the service paused because the machine was too hot.";
    memory_predicted: Gauge = "siskin_memory_predicted_bytes", "Memory that this process is predicted to use.";
    resident: Gauge = "process_resident_memory_bytes", "Memory that this process uses.";
    started: Gauge = "process_start_time_seconds", "When the service started, in seconds since 1970.";
}

impl Metrics {
    /// All figures at zero. `build` tells which program this is, as names and values: version, target and so on.
    pub fn new(build: Vec<(&'static str, String)>) -> Self {
        let metrics = Metrics {
            build,
            ..Metrics::default()
        };
        metrics.duty.set(1.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics.started.set(now.as_secs_f64());
        metrics
    }

    /// Notes whether a model is loaded.
    pub fn model(&self, name: &str, loaded: bool) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.insert(name.to_owned(), loaded);
    }

    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        if let Some(class) = StatusClass::of(status) {
            self.responses.one(class);
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        let memory = Memory::now();
        let resident = memory.anonymous_bytes.unwrap_or(0) + memory.file_bytes.unwrap_or(0);
        self.resident.set(resident as f64);
        let decodes = self.decodes.get();
        if decodes > 0 {
            self.busy_slots_per_decode
                .set(self.busy_slots.get() as f64 / decodes as f64);
        }
        let mut text = String::with_capacity(16 << 10);
        for (name, help, series) in self.table() {
            head(&mut text, name, help, series.kind());
            series.write(name, &mut text);
        }
        const MODEL: &str = "siskin_model_loaded";
        head(&mut text, MODEL, "Whether a model is loaded.", "gauge");
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        for (model, loaded) in models.iter() {
            series::sample(
                &mut text,
                MODEL,
                &series::labels(&[("model", model)]),
                u8::from(*loaded),
            );
        }
        const BUILD: &str = "siskin_build_info";
        head(&mut text, BUILD, "The program that runs.", "gauge");
        let build = self.build.iter().map(|(name, value)| (*name, value.as_str()));
        series::sample(&mut text, BUILD, &series::labels(&build.collect::<Vec<_>>()), 1);
        text
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a String does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

impl Doorman for Metrics {
    fn connections(&self, open: usize) {
        self.connections.set(open as f64);
    }

    fn refused(&self, _: Peer) {
        self.connections_refused.one();
    }

    fn evicted(&self, _: Peer) {
        self.connections_evicted.one();
    }
}

#[cfg(test)]
mod tests;
