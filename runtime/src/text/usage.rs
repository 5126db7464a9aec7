//! What making a text took.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Tokens and speed of one text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt that were computed; what the cache had is not counted.
    pub prompt_tokens: usize,
    /// Tokens drawn.
    pub generated_tokens: usize,
    /// From the beginning of the prompt to the first token drawn; `None` if none was.
    pub time_to_first_token_seconds: Option<f64>,
    /// Speed of the prompt; `None` if there was nothing to measure.
    pub prompt_tokens_per_second: Option<f64>,
    /// Speed of decoding; `None` for less than two tokens.
    pub decode_tokens_per_second: Option<f64>,
}

/// Times one text from its prompt to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    prefill: Duration,
    first: Option<Duration>,
    last: Duration,
}

impl Clock {
    /// The prompt is about to be computed.
    pub(crate) fn start() -> Self {
        Clock {
            start: Instant::now(),
            prefill: Duration::ZERO,
            first: None,
            last: Duration::ZERO,
        }
    }

    /// The prompt has been computed.
    pub(crate) fn prompt_done(&mut self) {
        self.prefill = self.start.elapsed();
    }

    /// A token has been drawn, or the text has ended.
    pub(crate) fn drawn(&mut self, token: bool) {
        self.last = self.start.elapsed();
        if token {
            self.first.get_or_insert(self.last);
        }
    }

    /// What it took so far.
    pub(crate) fn usage(&self, prompt_tokens: usize, generated_tokens: usize) -> Usage {
        let rate = |count: usize, time: Duration| {
            (count > 0 && !time.is_zero()).then(|| count as f64 / time.as_secs_f64())
        };
        // The first token comes out of the prompt's computation; each later one costs a decode.
        let decoding = self.first.map(|first| self.last.saturating_sub(first));
        Usage {
            prompt_tokens,
            generated_tokens,
            time_to_first_token_seconds: self.first.map(|time| time.as_secs_f64()),
            prompt_tokens_per_second: rate(prompt_tokens, self.prefill),
            decode_tokens_per_second: rate(generated_tokens.saturating_sub(1), decoding.unwrap_or_default()),
        }
    }
}
