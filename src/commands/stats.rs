//! What making a text took: tokens, speed, memory.

use std::time::{Duration, Instant};

use serde::Serialize;
use siskin::device::memory::Memory;
use siskin::engine::Model;

use super::size;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    prompt_tokens: usize,
    generated_tokens: usize,
    load_seconds: f64,
    time_to_first_token_seconds: Option<f64>,
    prompt_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
    peak_rss_bytes: Option<u64>,
    rss_anonymous_bytes: Option<u64>,
    rss_file_bytes: Option<u64>,
}

/// Times one text from its prompt to its end.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    prefill: Duration,
    first: Option<Duration>,
}

impl Clock {
    /// The prompt is about to be fed.
    pub(crate) fn start() -> Self {
        Clock {
            start: Instant::now(),
            prefill: Duration::ZERO,
            first: None,
        }
    }

    /// The prompt has been fed.
    pub(crate) fn prompt_done(&mut self) {
        self.prefill = self.start.elapsed();
    }

    /// A token has been drawn.
    pub(crate) fn token(&mut self) {
        self.first.get_or_insert_with(|| self.start.elapsed());
    }

    /// The text has ended.
    pub(crate) fn stats(&self, model: &Model, prompt_tokens: usize, generated_tokens: usize) -> Stats {
        let memory = Memory::now();
        let rate = |count: usize, time: Duration| {
            (count > 0 && !time.is_zero()).then(|| count as f64 / time.as_secs_f64())
        };
        // The first token comes out of the prompt's computation; each later one costs a decode.
        let decoding = self
            .first
            .map(|first| self.start.elapsed().saturating_sub(first))
            .unwrap_or_default();
        Stats {
            prompt_tokens,
            generated_tokens,
            load_seconds: model.load_time().as_secs_f64(),
            time_to_first_token_seconds: self.first.map(|time| time.as_secs_f64()),
            prompt_tokens_per_second: rate(prompt_tokens, self.prefill),
            decode_tokens_per_second: rate(generated_tokens.saturating_sub(1), decoding),
            peak_rss_bytes: memory.peak_bytes,
            rss_anonymous_bytes: memory.anonymous_bytes,
            rss_file_bytes: memory.file_bytes,
        }
    }
}

/// Prints four lines to stderr.
pub(crate) fn print(stats: &Stats) {
    let rate = |rate: Option<f64>| rate.map_or("unmeasured".into(), |rate| format!("{rate:.1} tokens/s"));
    let bytes = |count: Option<u64>| count.map_or("unknown".into(), size::bytes);
    let millis = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
    say!(
        "prompt   {} tokens, {}",
        stats.prompt_tokens,
        rate(stats.prompt_tokens_per_second)
    );
    say!(
        "decode   {} tokens, {}",
        stats.generated_tokens,
        rate(stats.decode_tokens_per_second)
    );
    let first = stats.time_to_first_token_seconds.map_or("none".into(), millis);
    say!("load     {}, first token {first}", millis(stats.load_seconds));
    let (peak, anonymous, file) = (
        bytes(stats.peak_rss_bytes),
        bytes(stats.rss_anonymous_bytes),
        bytes(stats.rss_file_bytes),
    );
    say!("memory   peak RSS {peak}; now {anonymous} anonymous, {file} mapped from files");
}
