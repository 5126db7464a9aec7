//! A session: a model, a context of limited size, and what was fed into it.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::{EngineError, Generate, Model, SamplerConfig, Token, raw};

/// The largest context taken where none is asked for: the training length of Llama 3.2 would be 4 GiB of KV cache.
const DEFAULT_CONTEXT: u32 = 4096;
/// Tokens computed together; bounds the compute buffers.
const BATCH: u32 = 512;

/// How to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Context in tokens; where `None`, the training length, at most 4096.
    pub context: Option<u32>,
    /// Threads for decoding, a token at a time.
    pub threads: usize,
    /// Threads for the prompt, many tokens at a time.
    pub threads_batch: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        let cpus = crate::device::available_cpus();
        SessionOptions {
            context: None,
            threads: cpus,
            threads_batch: cpus,
        }
    }
}

/// A running context.
#[derive(Debug)]
pub struct Session<'m> {
    model: &'m Model,
    context: LlamaContext<'m>,
    position: u32,
    last: Option<Token>,
}

impl<'m> Session<'m> {
    /// An empty context.
    pub fn new(model: &'m Model, options: &SessionOptions) -> Result<Self, EngineError> {
        let context = options
            .context
            .unwrap_or_else(|| model.training_context().min(DEFAULT_CONTEXT))
            .max(1);
        let threads = |count: usize| i32::try_from(count.max(1)).unwrap_or(i32::MAX);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(context))
            .with_n_batch(BATCH)
            .with_n_ubatch(BATCH)
            .with_n_threads(threads(options.threads))
            .with_n_threads_batch(threads(options.threads_batch));
        let context =
            model
                .inner
                .new_context(raw::backend(), params)
                .map_err(|error| EngineError::Context {
                    context,
                    reason: error.to_string(),
                })?;
        Ok(Session {
            model,
            context,
            position: 0,
            last: None,
        })
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Tokens the context has room for.
    pub fn capacity(&self) -> u32 {
        self.context.n_ctx()
    }

    /// Tokens fed so far.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// The token fed last.
    pub fn last(&self) -> Option<Token> {
        self.last
    }

    /// Feeds tokens; logits of the last are kept. More than there is room for are refused before any is fed.
    pub fn feed(&mut self, tokens: &[Token]) -> Result<(), EngineError> {
        self.feed_batches(tokens, false, |_| {})
    }

    /// Feeds tokens and returns the logits behind each: `[tokens][vocabulary]`.
    pub fn feed_for_logits(&mut self, tokens: &[Token]) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut rows = Vec::with_capacity(tokens.len());
        self.feed_batches(tokens, true, |logits| rows.push(logits.to_vec()))?;
        Ok(rows)
    }

    /// The logits behind the token fed last: `[vocabulary]`; `None` before the first.
    pub fn logits(&self) -> Option<&[f32]> {
        self.last.map(|_| self.context.get_logits_ith(-1))
    }

    /// Continues the text with tokens drawn as `config` says, until an end token or a full context.
    pub fn generate(&mut self, config: &SamplerConfig) -> Result<Generate<'_, 'm>, EngineError> {
        Generate::new(self, config)
    }

    pub(super) fn context(&self) -> &LlamaContext<'m> {
        &self.context
    }

    fn feed_batches(
        &mut self,
        tokens: &[Token],
        every: bool,
        mut row: impl FnMut(&[f32]),
    ) -> Result<(), EngineError> {
        let (context, position) = (self.capacity(), self.position);
        let room = context.saturating_sub(position);
        if u32::try_from(tokens.len()).map_or(true, |count| count > room) {
            return Err(EngineError::TooLong {
                tokens: tokens.len(),
                room,
                context,
            });
        }
        for chunk in tokens.chunks(BATCH as usize) {
            let position = self.position;
            let failed = |reason: String| EngineError::Decode {
                tokens: chunk.len(),
                position,
                reason,
            };
            let mut batch = LlamaBatch::new(chunk.len(), 1);
            for (at, token) in chunk.iter().enumerate() {
                let logits = at + 1 == chunk.len() || every;
                let place = i32::try_from(position as usize + at).map_err(|e| failed(e.to_string()))?;
                batch
                    .add(LlamaToken(token.0), place, &[0], logits)
                    .map_err(|e| failed(e.to_string()))?;
            }
            self.context
                .decode(&mut batch)
                .map_err(|e| failed(e.to_string()))?;
            self.position += chunk.len() as u32;
            self.last = chunk.last().copied();
            for at in (0..chunk.len()).filter(|_| every) {
                row(self
                    .context
                    .get_logits_ith(i32::try_from(at).map_err(|e| failed(e.to_string()))?));
            }
        }
        Ok(())
    }
}
