//! A session: a model, a context of limited size, and what was fed into it.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2::{
    LLAMA_FLASH_ATTN_TYPE_AUTO, LLAMA_FLASH_ATTN_TYPE_DISABLED, LLAMA_FLASH_ATTN_TYPE_ENABLED,
    llama_flash_attn_type,
};

use super::{EngineError, Generate, Model, SamplerConfig, Token, raw};
use crate::device::profile::{KvType, Switch};

/// The largest context taken where none is asked for: the training length of Llama 3.2 would be 4 GiB of KV cache.
const DEFAULT_CONTEXT: u32 = 4096;
/// Tokens handed over together.
const BATCH: u32 = 512;

/// How to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Context in tokens; where `None`, the training length, at most 4096.
    pub context: Option<u32>,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Whether attention is computed in one fused step; quantized values need it, f32 ones do without.
    pub flash_attention: Switch,
    /// Tokens computed together; bounds the compute buffers.
    pub ubatch: u32,
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
            kv_type: KvType::F16,
            flash_attention: Switch::Auto,
            ubatch: BATCH,
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
    capacity: u32,
    /// What was fed, in order; the cache holds their keys and values.
    tokens: Vec<Token>,
    /// The token whose logits are at hand.
    last: Option<Token>,
}

impl SessionOptions {
    /// llama.cpp's flash attention rounds to f16 on the way: exact keys and values want the plain form.
    fn flash_attention(&self) -> llama_flash_attn_type {
        match (self.kv_type, self.flash_attention) {
            (KvType::F32, _) | (_, Switch::Off) => LLAMA_FLASH_ATTN_TYPE_DISABLED,
            (_, Switch::On) => LLAMA_FLASH_ATTN_TYPE_ENABLED,
            (_, Switch::Auto) => LLAMA_FLASH_ATTN_TYPE_AUTO,
        }
    }
}

impl From<KvType> for KvCacheType {
    fn from(ty: KvType) -> Self {
        match ty {
            KvType::F16 => KvCacheType::F16,
            KvType::F32 => KvCacheType::F32,
            KvType::Q8_0 => KvCacheType::Q8_0,
            KvType::Q4_0 => KvCacheType::Q4_0,
        }
    }
}

impl<'m> Session<'m> {
    /// An empty context.
    pub fn new(model: &'m Model, options: &SessionOptions) -> Result<Self, EngineError> {
        let capacity = options
            .context
            .unwrap_or_else(|| model.training_context().min(DEFAULT_CONTEXT))
            .max(1);
        let threads = |count: usize| i32::try_from(count.max(1)).unwrap_or(i32::MAX);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(capacity))
            .with_n_batch(BATCH.max(options.ubatch))
            .with_n_ubatch(options.ubatch.max(1))
            .with_flash_attention_policy(options.flash_attention())
            .with_type_k(options.kv_type.into())
            .with_type_v(options.kv_type.into())
            .with_n_threads(threads(options.threads))
            .with_n_threads_batch(threads(options.threads_batch));
        let context =
            model
                .inner
                .new_context(raw::backend(), params)
                .map_err(|error| EngineError::Context {
                    context: capacity,
                    reason: error.to_string(),
                })?;
        // llama.cpp rounds contexts up; what was asked for is what counts.
        let capacity = capacity.min(context.n_ctx());
        Ok(Session {
            model,
            context,
            capacity,
            tokens: Vec::new(),
            last: None,
        })
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Tokens the context has room for.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Tokens fed so far.
    pub fn position(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    /// What was fed so far.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token fed last.
    pub fn last(&self) -> Option<Token> {
        self.last
    }

    /// Makes ready for `tokens` to be the whole context: keeps what they begin with and is in the cache already,
    /// forgets the rest, and gives the number kept. It is less than their number, so that there is a token to
    /// feed next, whose logits continue them.
    pub fn keep_prefix(&mut self, tokens: &[Token]) -> usize {
        let same = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let keep = same.min(tokens.len().saturating_sub(1));
        // Memories of recurrent models cannot be cut: everything is fed again.
        if self.rewind(u32::try_from(keep).unwrap_or(u32::MAX)).is_err() {
            self.context.clear_kv_cache();
            self.tokens.clear();
            self.last = None;
        }
        self.tokens.len()
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

    /// Takes out every token from `position` on, as if it had not been fed; nothing to do where none was.
    pub fn rewind(&mut self, position: u32) -> Result<(), EngineError> {
        if position >= self.position() {
            return Ok(());
        }
        let failed = |reason: String| EngineError::Decode {
            tokens: 0,
            position,
            reason,
        };
        let removed = self.context.clear_kv_cache_seq(Some(0), Some(position), None);
        if !removed.map_err(|error| failed(error.to_string()))? {
            return Err(failed("this model's memory cannot be rewound".into()));
        }
        self.tokens.truncate(position as usize);
        self.last = None;
        Ok(())
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
        let (context, position) = (self.capacity(), self.position());
        let room = context.saturating_sub(position);
        if u32::try_from(tokens.len()).map_or(true, |count| count > room) {
            return Err(EngineError::TooLong {
                tokens: tokens.len(),
                room,
                context,
            });
        }
        // A small context makes llama.cpp's batch smaller than the one asked for.
        let batch_len = self.context.n_batch().max(1) as usize;
        for chunk in tokens.chunks(batch_len) {
            let position = self.position();
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
            self.tokens.extend_from_slice(chunk);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ModelOptions, STORYTELLER, silence};

    #[test]
    fn what_was_rewound_was_never_fed() {
        silence();
        let model = Model::load_bytes(STORYTELLER, &ModelOptions::default()).expect("the embedded model");
        let mut session = Session::new(&model, &SessionOptions::default()).expect("a session");
        let tokens = model.tokenize("Once upon a time there was a king", true, false);
        let (start, rest) = tokens.split_at(4);
        session.feed(start).expect("fed");
        session.feed(rest).expect("fed");
        let want = session.logits().expect("logits").to_vec();
        session.rewind(4).expect("rewound");
        assert_eq!((session.position(), session.logits()), (4, None));
        session.feed(&start[..2]).expect("fed");
        session.rewind(4).expect("rewound");
        session.rewind(9).expect("nothing to do");
        session.feed(rest).expect("fed");
        assert_eq!(session.logits().expect("logits"), want);
    }
}
