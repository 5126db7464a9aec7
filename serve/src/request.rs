//! What every dialect asks for, and what it gets: one internal request, one stream of events.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use siskin_grammar::{CallParser, Constraint};
use siskin_runtime::scheduler::{Class, RequestId};
use siskin_runtime::{SamplerConfig, Token};

use crate::error::{ApiError, Kind};

/// What is to be computed.
#[derive(Debug)]
pub(crate) struct Request {
    /// The tokens to continue.
    pub(crate) prompt: Arc<[Token]>,
    /// Tokens to draw at most.
    pub(crate) max_tokens: u32,
    /// How they are chosen; the seed is set.
    pub(crate) sampler: SamplerConfig,
    /// Added to the logits of tokens.
    pub(crate) bias: Vec<(Token, f32)>,
    /// The text ends before any of these.
    pub(crate) stop: Vec<String>,
    /// Reads calls from it; what ends the text then counts around them only.
    pub(crate) calls: Option<CallParser>,
    /// The tokens that end texts are never drawn.
    pub(crate) ignore_end: bool,
    /// Leave out the space that SentencePiece writes before a text's first word.
    pub(crate) strip_space: bool,
    /// With each token its probability, and those of so many of the likeliest.
    pub(crate) logprobs: Option<usize>,
    /// The same for the tokens of the prompt, from this place on.
    pub(crate) prompt_logprobs: Option<usize>,
    /// The form that the text must have.
    pub(crate) constraint: Option<Constraint>,
    /// Who waits for it.
    pub(crate) class: Class,
    /// Whose prefixes it may use.
    pub(crate) namespace: u64,
    /// The conversation that it belongs to, if the client says so.
    pub(crate) conversation: Option<u64>,
    /// The request with the same prompt that comes before it.
    pub(crate) follows: Option<RequestId>,
    /// It is one of several texts of one request over HTTP, and not the first.
    pub(crate) joined: bool,
}

/// What happens to a request. After [`Event::End`] or [`Event::Failed`] nothing comes.
#[derive(Debug)]
pub(crate) enum Event {
    /// Probabilities of tokens of the prompt, in order; the first of a text has none.
    Prompt(Vec<Option<Scored>>),
    /// A token was drawn. Its text may come later: characters are whole, and the beginning of a stop string is held back.
    Token(Drawn),
    /// The text has ended.
    End(Box<End>),
    /// It could not be computed.
    Failed(Box<ApiError>),
}

impl Event {
    /// The engine could not compute it.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Event::Failed(Box::new(ApiError::new(Kind::Internal, reason)))
    }
}

/// A token that was drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Text that may be shown now.
    pub(crate) text: String,
    /// Its probability, if it was asked for.
    pub(crate) scored: Option<Scored>,
}

/// A token with its probability and its rivals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scored {
    /// The token.
    pub(crate) token: Token,
    /// The natural logarithm of its probability, before any sampling setting.
    pub(crate) logprob: f32,
    /// The likeliest tokens with theirs.
    pub(crate) top: Vec<(Token, f32)>,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The model ended it, or its form is complete.
    Stop,
    /// A stop string came.
    StopString,
    /// It has as many tokens as it may have.
    Length,
}

/// The end of a text.
#[derive(Debug)]
pub(crate) struct End {
    /// Why.
    pub(crate) finish: Finish,
    /// The stop string that came.
    pub(crate) stop: Option<String>,
    /// What was held back.
    pub(crate) text: String,
    /// What it took.
    pub(crate) timings: Timings,
}

/// What an answer took, with llama-server's names; times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Timings {
    /// Waited for a place.
    pub(crate) queue_ms: f64,
    /// Tokens of the prompt that the cache had.
    pub(crate) cache_n: u32,
    /// Tokens of the prompt that were computed.
    pub(crate) prompt_n: u32,
    /// Computing them took.
    pub(crate) prompt_ms: f64,
    /// Tokens of the prompt a second.
    pub(crate) prompt_per_second: f64,
    /// Tokens drawn.
    pub(crate) predicted_n: u32,
    /// Drawing them took, from the first on.
    pub(crate) predicted_ms: f64,
    /// Tokens drawn a second.
    pub(crate) predicted_per_second: f64,
    /// The place at which the prompt differed from the best prefix of the cache, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) differs_at: Option<u32>,
    /// The hottest sensor at the end, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temp_c: Option<f64>,
    /// Energy that the machine drew in the passes over these tokens, in joules, shared with the other tokens of each pass;
    /// of the whole package or board, idle power included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) joules: Option<f64>,
    /// Tokens that were guessed and computed before they were drawn; missing if nothing is guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) draft_n: Option<u64>,
    /// Those that were right: each saved a pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) draft_n_accepted: Option<u64>,
    /// Tokens that the text got for each pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mean_accepted_length: Option<f64>,
    /// Tokens a second that it would have had without guesses, about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) predicted_per_second_without: Option<f64>,
    /// The service slowed down, so that the firmware need not.
    pub(crate) throttled: bool,
}

impl Timings {
    /// Rates follow from counts and times.
    pub(crate) fn with_rates(mut self) -> Self {
        let rate = |count: u32, ms: f64| {
            if ms > 0.0 {
                f64::from(count) * 1000.0 / ms
            } else {
                0.0
            }
        };
        self.prompt_per_second = rate(self.prompt_n, self.prompt_ms);
        self.predicted_per_second = rate(self.predicted_n.saturating_sub(1), self.predicted_ms);
        self
    }
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
