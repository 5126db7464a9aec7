//! What making a text took, as JSON and as four lines.

use serde::Serialize;
use siskin::device::memory::Memory;
use siskin::speculate::Speculation;
use siskin::{Model, SamplerConfig, Usage};

use super::spec_args;
use crate::render::size;

/// Tokens, speed, memory.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    #[serde(flatten)]
    usage: Usage,
    /// What guessing came to; missing if nothing was guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    speculation: Option<Speculation>,
    /// Why nothing was guessed, though it was left to siskin.
    #[serde(skip_serializing_if = "Option::is_none")]
    speculation_off: Option<String>,
    load_seconds: f64,
    peak_rss_bytes: Option<u64>,
    rss_anonymous_bytes: Option<u64>,
    rss_file_bytes: Option<u64>,
}

impl Stats {
    /// With the memory that is resident now.
    pub(crate) fn new(usage: Usage, speculation: Option<Speculation>, model: &Model) -> Self {
        let memory = Memory::now();
        Stats {
            usage,
            speculation,
            speculation_off: None,
            load_seconds: model.load_time().as_secs_f64(),
            peak_rss_bytes: memory.peak_bytes,
            rss_anonymous_bytes: memory.anonymous_bytes,
            rss_file_bytes: memory.file_bytes,
        }
    }

    /// With the reason why nothing was guessed.
    pub(crate) fn without_guesses(mut self, reason: Option<&str>) -> Self {
        self.speculation_off = reason.map(str::to_owned);
        self
    }

    /// Prints the seed, with which the same text can be had again, if chance has a part in it.
    pub(crate) fn print_seed(sampler: &SamplerConfig) {
        if let Some(seed) = sampler.seed.filter(|_| sampler.temp > 0.0) {
            say!("seed     {seed}");
        }
    }

    /// Prints four lines to stderr, five if tokens were guessed.
    pub(crate) fn print(&self) {
        let usage = &self.usage;
        let rate = |rate: Option<f64>| rate.map_or("unmeasured".into(), |rate| format!("{rate:.1} tokens/s"));
        let bytes = |count: Option<u64>| count.map_or("unknown".into(), size::bytes);
        let millis = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
        say!(
            "prompt   {} tokens, {}",
            usage.prompt_tokens,
            rate(usage.prompt_tokens_per_second)
        );
        say!(
            "decode   {} tokens, {}",
            usage.generated_tokens,
            rate(usage.decode_tokens_per_second)
        );
        if let Some(counts) = self.speculation.as_ref().filter(|counts| counts.drafted > 0) {
            say!("{}", spec_args::line(counts));
        }
        if let Some(reason) = &self.speculation_off {
            say!("guessed  nothing: {reason}");
        }
        let first = usage.time_to_first_token_seconds.map_or("none".into(), millis);
        say!("load     {}, first token {first}", millis(self.load_seconds));
        let (peak, anonymous, file) = (
            bytes(self.peak_rss_bytes),
            bytes(self.rss_anonymous_bytes),
            bytes(self.rss_file_bytes),
        );
        say!("memory   peak RSS {peak}; now {anonymous} anonymous, {file} mapped from files");
    }
}
