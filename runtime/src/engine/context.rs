//! A context: one KV cache, and the sequences that live in it.
//!
//! `Context` owns the llama context. A sequence is a text with its place in the cache; a batch may mix tokens of
//! several sequences, which are then computed together, for one read of the weights. Rows of logits are lent to a
//! callback: a prompt of 2,048 tokens of Llama-3.2 has 1 GB of them.

mod cells;
mod compute;
mod copy;
mod embed;
mod params;
mod state;

use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;
use siskin_device::settings::Values;

use super::eval_callback::{Bridge, EvalCallback};
use super::stop::Stop;
use super::{Model, Token, ffi};
use crate::Error;
pub use embed::Pooling;
use params::{check_cache, flash_attention, ggml_type};

/// Tokens handed to llama.cpp together. Less is allowed, more is split.
const BATCH: u32 = 512;

/// How the sequences of a context share the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheLayout {
    /// Each sequence has an equal part of its own; attention reads only that part.
    Separate,
    /// One buffer for all: a sequence may take all the room that the others leave, and attention reads over all.
    Unified,
}

/// How to make a context.
#[derive(Debug)]
pub struct ContextOptions {
    /// Threads, batch, cache type and flash attention; the other values are the model's.
    pub values: Values,
    /// Context in tokens: of every sequence if the layout is separate, of all together if it is unified. `None` for
    /// the training length, at most 4096.
    pub context: Option<u32>,
    /// Sequences, from 1 to 256.
    pub sequences: u32,
    /// How they share the cache.
    pub layout: CacheLayout,
    /// Sees every matrix product that is computed.
    pub callback: Option<Box<dyn EvalCallback>>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        ContextOptions::from(Values::default())
    }
}

impl From<Values> for ContextOptions {
    /// One sequence, with the training length of the model, at most 4096.
    fn from(values: Values) -> Self {
        ContextOptions {
            values,
            context: None,
            sequences: 1,
            layout: CacheLayout::Separate,
            callback: None,
        }
    }
}

/// A sequence of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId(u32);

/// Which rows of logits a part of a batch wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// None: the tokens only go into the cache.
    None,
    /// The row after the last token.
    Last,
    /// The row after each token.
    All,
}

/// A row of logits, lent to a callback.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The sequence that it continues.
    pub sequence: SequenceId,
    /// The position of the token that it follows.
    pub position: u32,
    /// One number for each token of the vocabulary.
    pub logits: &'a [f32],
}

/// Tokens to compute together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    parts: Vec<(SequenceId, Vec<Token>, Rows)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds tokens that continue `sequence`.
    pub fn push(&mut self, sequence: SequenceId, tokens: &[Token], rows: Rows) -> &mut Self {
        self.parts.push((sequence, tokens.to_vec(), rows));
        self
    }

    /// Tokens of all sequences.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.1.len()).sum()
    }

    /// True if there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes every token out.
    pub fn clear(&mut self) {
        self.parts.clear();
    }
}

/// One token of a batch with its place.
#[derive(Debug, Clone, Copy)]
struct Entry {
    token: Token,
    sequence: SequenceId,
    position: u32,
    row: bool,
}

/// What a sequence has computed.
#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// In order; the cache has their keys and values.
    tokens: Vec<Token>,
    /// The cell of each.
    cells: Vec<u64>,
    /// The rows that llama.cpp still has: the position of the token that each follows, and its place in the last
    /// computation. In the order of their positions.
    rows: Vec<(u32, i32)>,
}

/// An owned `llama_context`.
#[derive(Debug)]
struct Raw(NonNull<sys::llama_context>);

// SAFETY: llama.cpp's context is bound to no thread; `Context` gives out `&mut` for every computation.
#[allow(unsafe_code)]
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `llama_init_from_model` and is freed here only.
        unsafe { sys::llama_free(self.0.as_ptr()) };
    }
}

/// A KV cache and the sequences in it.
#[derive(Debug)]
pub struct Context {
    // Freed in this order: the context before what its callbacks use and before the model.
    raw: Raw,
    bridge: Option<Bridge>,
    stop: Stop,
    model: Model,
    capacity: u32,
    /// Whether flash attention was asked for, or left to llama.cpp, which then uses it.
    flash_attention: bool,
    layout: CacheLayout,
    sequences: Vec<State>,
    cells: cells::Cells,
}

impl Context {
    /// An empty context.
    ///
    /// # Errors
    /// The cache type does not go with the model or with flash attention, or llama.cpp refuses.
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self, Error> {
        let values = &options.values;
        check_cache(model, values)?;
        let capacity = options.context.unwrap_or_else(|| model.default_context()).max(1);
        let sequences = options.sequences.clamp(1, 256);
        let cells = match options.layout {
            CacheLayout::Separate => capacity.saturating_mul(sequences),
            CacheLayout::Unified => capacity,
        };
        let bridge = options.callback.map(Bridge::new);
        let threads = |count: usize| i32::try_from(count.max(1)).unwrap_or(i32::MAX);
        ffi::backend();
        // SAFETY: takes nothing, returns a plain struct by value.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = cells;
        params.n_batch = BATCH.max(values.ubatch);
        params.n_ubatch = values.ubatch.max(1);
        params.n_seq_max = sequences;
        params.kv_unified = options.layout == CacheLayout::Unified;
        params.pooling_type = sys::LLAMA_POOLING_TYPE_NONE;
        params.n_threads = threads(values.threads);
        params.n_threads_batch = threads(values.threads_batch);
        params.type_k = ggml_type(values.cache_type);
        params.type_v = ggml_type(values.cache_type);
        params.flash_attn_type = flash_attention(values);
        if let Some(bridge) = &bridge {
            bridge.install(&mut params);
        }
        let stop = Stop::default();
        stop.install(&mut params);
        let failed = |reason: String| Error::Context {
            context: capacity,
            reason,
        };
        ffi::forget_error();
        // SAFETY: the model outlives the context, which holds it; so does the callbacks' data. Every other pointer in
        // `params` is the null that llama.cpp put there.
        let raw = unsafe { sys::llama_init_from_model(model.raw().as_ptr(), params) };
        let raw = Raw(NonNull::new(raw).ok_or_else(|| failed(ffi::first_error()))?);
        // SAFETY: the context was made just now.
        let cells = unsafe { sys::llama_n_ctx(raw.0.as_ptr()) };
        let there = match options.layout {
            CacheLayout::Separate => cells / sequences,
            CacheLayout::Unified => cells,
        };
        Ok(Context {
            raw,
            bridge,
            stop,
            model: model.clone(),
            // llama.cpp rounds contexts up; what was asked for counts.
            capacity: capacity.min(there),
            flash_attention: flash_attention(values) != sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
            layout: options.layout,
            sequences: (0..sequences).map(|_| State::default()).collect(),
            cells: cells::Cells::default(),
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens that a sequence has room for; if the layout is unified, tokens of all sequences together.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Whether attention is computed as flash attention.
    pub(super) fn flash_attention(&self) -> bool {
        self.flash_attention
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// All are taken.
    pub fn sequence(&mut self) -> Result<SequenceId, Error> {
        let count = u32::try_from(self.sequences.len()).unwrap_or(u32::MAX);
        let free = self.sequences.iter().position(|state| !state.taken);
        let index = free.ok_or(Error::NoSequence(count))?;
        self.sequences[index].taken = true;
        Ok(SequenceId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Gives a sequence back; its room is free again.
    pub fn release(&mut self, sequence: SequenceId) {
        self.clear(sequence);
        self.state_mut(sequence).taken = false;
    }

    /// What a sequence has computed, in order.
    pub fn tokens(&self, sequence: SequenceId) -> &[Token] {
        &self.state(sequence).tokens
    }

    /// Free places for a sequence.
    pub fn room(&self, sequence: SequenceId) -> u32 {
        let used = match self.layout {
            CacheLayout::Separate => self.tokens(sequence).len(),
            CacheLayout::Unified => self.cells.used(),
        };
        self.capacity
            .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// The logits after the last token of a sequence, if they were asked for and the last computation made them.
    pub fn logits(&self, sequence: SequenceId) -> Option<&[f32]> {
        self.logits_after(sequence, self.tokens(sequence).len())
    }

    /// The logits after the first `len` tokens of a sequence, if they were asked for and the last computation made them.
    pub fn logits_after(&self, sequence: SequenceId, len: usize) -> Option<&[f32]> {
        let position = u32::try_from(len.checked_sub(1)?).ok()?;
        let rows = &self.state(sequence).rows;
        let found = rows.binary_search_by_key(&position, |row| row.0).ok()?;
        self.row(rows[found].1)
    }

    /// Computes a batch. Rows of logits go to `on_row`, in the order of the batch. If it fails, every sequence of the
    /// batch has the tokens it had before, or, if the batch had to be split, those of the parts computed.
    ///
    /// # Errors
    /// A sequence has no room for its tokens (then nothing is computed), or llama.cpp fails.
    pub fn decode(&mut self, batch: &Batch, on_row: impl FnMut(Row<'_>)) -> Result<(), Error> {
        self.decode_until(batch, None, on_row).map(|_| ())
    }

    /// The same, and stops early once `stop` is true, in the middle of the computation: then it returns false, and the
    /// sequences have what they had before, or the parts computed.
    ///
    /// # Errors
    /// As [`Context::decode`]'s.
    pub fn decode_until(
        &mut self,
        batch: &Batch,
        stop: Option<&AtomicBool>,
        mut on_row: impl FnMut(Row<'_>),
    ) -> Result<bool, Error> {
        let entries = self.entries(batch)?;
        // SAFETY: the context is alive.
        let most = unsafe { sys::llama_n_batch(self.raw.0.as_ptr()) }.max(1) as usize;
        for part in entries.chunks(most) {
            if !self.compute(part, stop)? {
                return Ok(false);
            }
            for (index, entry) in part.iter().enumerate().filter(|(_, entry)| entry.row) {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                if let Some(logits) = self.row(index) {
                    on_row(Row {
                        sequence: entry.sequence,
                        position: entry.position,
                        logits,
                    });
                }
                self.state_mut(entry.sequence).rows.push((entry.position, index));
            }
        }
        Ok(true)
    }

    /// Takes every token from position `len` on out of a sequence; nothing changes if it is shorter.
    ///
    /// # Errors
    /// The model's memory cannot be cut there; the sequence is as it was.
    pub fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<(), Error> {
        if len >= self.tokens(sequence).len() {
            return Ok(());
        }
        let position = u32::try_from(len).unwrap_or(u32::MAX);
        if !self.remove(sequence, position) {
            return Err(Error::CannotTruncate(position));
        }
        self.cut(sequence, len);
        Ok(())
    }

    /// Takes every token out of a sequence.
    pub fn clear(&mut self, sequence: SequenceId) {
        // Whole sequences can always be removed.
        self.remove(sequence, 0);
        self.cut(sequence, 0);
    }

    /// Makes ready for `tokens` to be the whole sequence: keeps what they begin with and the cache has, removes the
    /// rest, and returns the number kept. It is less than their number, so that there is a token to compute next,
    /// whose logits continue them.
    pub fn keep_prefix(&mut self, sequence: SequenceId, tokens: &[Token]) -> usize {
        let known = self.tokens(sequence);
        let same = known.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let keep = same.min(tokens.len().saturating_sub(1));
        // The memory of a recurrent model cannot be cut: everything is computed again.
        if self.truncate(sequence, keep).is_err() {
            self.clear(sequence);
        }
        self.tokens(sequence).len()
    }

    /// Every token of a batch with its place.
    fn entries(&self, batch: &Batch) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::with_capacity(batch.len());
        for (sequence, tokens, rows) in &batch.parts {
            let before = entries.iter().filter(|entry| entry.sequence == *sequence).count();
            let start = self.tokens(*sequence).len() + before;
            let taken = match self.layout {
                CacheLayout::Separate => before,
                CacheLayout::Unified => entries.len(),
            };
            let room = (self.room(*sequence) as usize).saturating_sub(taken);
            if tokens.len() > room {
                return Err(Error::ContextFull {
                    tokens: tokens.len(),
                    room: u32::try_from(room).unwrap_or(u32::MAX),
                    context: self.capacity,
                });
            }
            entries.extend(tokens.iter().enumerate().map(|(at, &token)| Entry {
                token,
                sequence: *sequence,
                position: u32::try_from(start + at).unwrap_or(u32::MAX),
                row: *rows == Rows::All || *rows == Rows::Last && at + 1 == tokens.len(),
            }));
        }
        Ok(entries)
    }

    fn state(&self, sequence: SequenceId) -> &State {
        &self.sequences[sequence.0 as usize]
    }

    fn state_mut(&mut self, sequence: SequenceId) -> &mut State {
        &mut self.sequences[sequence.0 as usize]
    }
}

#[cfg(test)]
mod tests;
