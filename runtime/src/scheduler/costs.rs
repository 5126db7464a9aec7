//! What a pass takes, from what passes took.

use std::time::Duration;

/// Streams whose step is kept apart.
const STREAMS: usize = 8;

/// The fewest tokens of prompt in a pass that tell how long one takes. No piece of a prompt has fewer, but its last: what
/// was once too slow is measured again.
pub(super) const LEAST_TO_LEARN: u32 = 12;

/// Measured costs; every pass makes them better.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// Seconds of a pass that decodes so many streams, from one on; 0 if not measured.
    step: [f64; STREAMS],
    /// Tokens of prompt a second.
    prefill: f64,
    /// Tokens that answers have.
    length: f64,
    /// Answers that were counted, at most 20.
    answers: u32,
}

impl Default for Costs {
    /// A slow machine, so that the first pieces of prompts are small.
    fn default() -> Self {
        Costs::new(0.1, 60.0)
    }
}

impl Costs {
    /// Seconds of a step of one stream, and tokens of prompt a second.
    pub fn new(step_seconds: f64, prefill_rate: f64) -> Self {
        let mut step = [0.0; STREAMS];
        step[0] = step_seconds.max(1e-6);
        Costs {
            step,
            prefill: prefill_rate.max(1.0),
            length: 128.0,
            answers: 0,
        }
    }

    /// The same, with the time of a pass that decodes so many streams relative to that of one: `None` for what was not
    /// measured.
    pub fn measured(step_seconds: f64, prefill_rate: f64, relative: impl Fn(u32) -> Option<f64>) -> Self {
        let mut costs = Costs::new(step_seconds, prefill_rate);
        for streams in 2..=STREAMS as u32 {
            let times = relative(streams).filter(|times| times.is_finite() && *times >= 1.0);
            costs.step[streams as usize - 1] = times.map_or(0.0, |times| costs.step[0] * times);
        }
        costs
    }

    /// Seconds of a pass that decodes so many streams.
    pub fn step(&self, streams: usize) -> f64 {
        let index = streams.clamp(1, STREAMS) - 1;
        let known = (0..=index).rev().find(|&at| self.step[at] > 0.0).unwrap_or(0);
        // A stream more costs its arithmetic, a fifth of a whole pass; the weights are read once.
        self.step[known] * (1.0 + 0.2 * (streams.max(1) - known - 1) as f64)
    }

    /// Tokens of prompt a second.
    pub fn prefill_rate(&self) -> f64 {
        self.prefill
    }

    /// Tokens that an answer is expected to have.
    pub fn expected_length(&self, max_tokens: u32) -> f64 {
        self.length.min(f64::from(max_tokens))
    }

    /// Tokens of prompt that can join a pass of so many streams if it is to take so long.
    pub(super) fn tokens_within(&self, time: Duration, streams: usize) -> u32 {
        // A tenth is left for what was measured badly.
        let tokens = (time.as_secs_f64() - self.step(streams)) * self.prefill * 0.9;
        if tokens.is_finite() {
            tokens.clamp(0.0, 1e6) as u32
        } else {
            0
        }
    }

    /// Seconds of so many tokens of prompt.
    pub(super) fn prefill(&self, tokens: u32) -> f64 {
        f64::from(tokens) / self.prefill
    }

    /// A pass took so long.
    pub(super) fn computed(&mut self, streams: usize, prompt_tokens: u32, took: Duration) {
        let took = took.as_secs_f64();
        if !(took.is_finite() && took > 0.0) {
            return;
        }
        if prompt_tokens == 0 && (1..=STREAMS).contains(&streams) {
            let step = &mut self.step[streams - 1];
            *step = if *step == 0.0 {
                took
            } else {
                *step + 0.2 * (took - *step)
            };
        }
        // A pass reads the weights once, which takes a step; tokens of prompt come on top. Of a few of them the
        // difference is mostly noise.
        if prompt_tokens >= LEAST_TO_LEARN {
            let rate = f64::from(prompt_tokens) / (took - self.step(streams)).max(took / 4.0);
            // Deep in a context a token takes longer: what is slower counts more, so that streams do not wait.
            let weight = if rate < self.prefill { 0.5 } else { 0.2 };
            self.prefill += weight * (rate - self.prefill);
        }
    }

    /// An answer had so many tokens.
    pub(super) fn ended(&mut self, tokens: u32) {
        self.answers = (self.answers + 1).min(20);
        self.length += (f64::from(tokens) - self.length) / f64::from(self.answers + 1);
    }
}
