//! What prompts came to, as plain data; every unit is in its field's name.

use serde::Serialize;
use serde_json::Value;
use siskin_runtime::speculate::Speculation;
use siskin_runtime::{SamplerConfig, StopReason};

use super::file::shown;
use crate::result::{Machine, Model};
use crate::stats::Ratio;

/// Version of the shape of [`PromptResults`]; raised whenever a field changes its name or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that was measured, and what is needed to judge and repeat it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptResults {
    /// The value of [`SCHEMA_VERSION`] when the results were written.
    pub schema_version: u32,
    /// The command line.
    pub command: String,
    /// When it began, RFC 3339.
    pub date_utc: String,
    /// Version of siskin.
    pub siskin_version: String,
    /// Version of the llama.cpp built into siskin.
    pub llama_cpp_version: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// The model.
    pub model: Model,
    /// What was asked for.
    pub settings: Settings,
    /// Prompts that were to be measured.
    pub prompts: usize,
    /// Prompts of the file that were left out because the same text came before.
    pub duplicates: usize,
    /// Prompts that were left out because they and their text do not fit into the context.
    pub too_long: Vec<String>,
    /// Whether the user ended it: the results have the pairs before.
    pub interrupted: bool,
    /// What a reader must know: noise, throttling, what was left out.
    pub notes: Vec<String>,
    /// All pairs.
    pub all: Group,
    /// The pairs of each kind.
    pub kinds: Vec<Group>,
    /// Every pair, in the order in which they were measured.
    pub pairs: Vec<Pair>,
}

impl PromptResults {
    /// How many texts are not the same with guesses, and the first of them; `None` if all are.
    pub fn first_difference(&self) -> Option<String> {
        let mut different = self.pairs.iter().filter(|pair| !pair.same_text);
        let first = different.next()?;
        let (count, measured) = (different.count() + 1, self.pairs.len());
        let (kind, id) = (&first.kind, shown(&first.id));
        let token = first.differs_at.unwrap_or_default() + 1;
        Some(format!(
            "not the same text with guesses: {count} of {measured}, the first is {kind} {id} (token {token})"
        ))
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// How tokens were guessed.
    pub spec: String,
    /// Whether how often guesses were right was kept from prompt to prompt.
    pub keeps_acceptance: bool,
    /// Whether the prompts were put on the model's chat template.
    pub chat_template: bool,
    /// Tokens to draw for each prompt.
    pub tokens: usize,
    /// How tokens were chosen.
    pub sampler: SamplerConfig,
    /// Decided with which side each pair began.
    pub seed: u64,
    /// The context's size.
    pub context_tokens: u32,
    /// Threads for decoding.
    pub threads: usize,
    /// Threads for prompts.
    pub threads_batch: usize,
}

/// One prompt, without ("off") and with guesses ("on").
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The prompt's kind.
    pub kind: String,
    /// The prompt's id.
    pub id: Value,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens drawn.
    pub tokens: usize,
    /// Tokens of the text that were computed: without guesses, each took a pass. The last one drawn need not be.
    pub computed_tokens: usize,
    /// What ended the text.
    pub stop: Option<StopReason>,
    /// Whether the side with guesses was measured first.
    pub on_first: bool,
    /// Seconds from the end of the prompt to the end of the text, without guesses.
    pub off_seconds: f64,
    /// The same with guesses.
    pub on_seconds: f64,
    /// `off_seconds / on_seconds`; `None` if the text is too short or differs.
    pub speed_up: Option<f64>,
    /// Whether both texts are the same.
    pub same_text: bool,
    /// The first token that differs, from 0.
    pub differs_at: Option<usize>,
    /// Seconds that the drafters took to read the prompt; part of `on_seconds`.
    pub prompt_drafter_seconds: f64,
    /// Seconds that they took afterwards; part of `on_seconds`.
    pub drafter_seconds: f64,
    /// What guessing came to.
    pub speculation: Option<Speculation>,
}

/// A prompt and its speed-up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extreme {
    /// The prompt's kind.
    pub kind: String,
    /// The prompt's id.
    pub id: Value,
    /// Its speed-up.
    pub speed_up: f64,
}

/// Pairs of one kind, or all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Group {
    /// The kind; `None` of all.
    pub kind: Option<String>,
    /// Pairs measured.
    pub prompts: usize,
    /// Pairs with fewer tokens than count. What follows, except for the texts, is of the others.
    pub short: usize,
    /// Pairs with the same text on both sides.
    pub same_text: usize,
    /// The median of the pairs' speed-ups, with its 95 % bootstrap interval.
    pub speed_up: Option<Ratio>,
    /// The slowest pair.
    pub worst: Option<Extreme>,
    /// The fastest pair.
    pub best: Option<Extreme>,
    /// Passes with guesses on.
    pub passes: u64,
    /// Tokens guessed and computed.
    pub drafted: u64,
    /// Those that were right.
    pub accepted: u64,
    /// Tokens that the texts got for each pass.
    pub mean_accepted_length: Option<f64>,
    /// Tokens computed a second without guesses.
    pub tokens_per_second_without: Option<f64>,
    /// The same with guesses.
    pub tokens_per_second_with: Option<f64>,
    /// What the side with guesses takes for the speed without.
    pub estimated_tokens_per_second_without: Option<f64>,
    /// The estimate relative to what was measured: 1 if it is right.
    pub estimate_ratio: Option<f64>,
    /// Seconds of the drafters for each token computed, the prompt not counted.
    pub drafter_seconds_per_token: Option<f64>,
}
