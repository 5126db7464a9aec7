//! Sequences that begin alike: computed once, then copied.

use llama_cpp_sys_2 as sys;

use super::{CacheLayout, Context, SequenceId};
use crate::Error;
use crate::engine::Token;

impl Context {
    /// Makes `to` a copy of `from`: its tokens and their part of the cache. What `to` had is taken out. Nothing is
    /// computed; if the layout is separate, the next computation copies the keys and values first.
    pub fn copy(&mut self, from: SequenceId, to: SequenceId) {
        if from == to {
            return;
        }
        self.clear(to);
        let [source, target] = [from, to].map(|id| i32::try_from(id.0).unwrap_or(i32::MAX));
        // SAFETY: the context is alive and owns its memory; both ids are below `n_seq_max`. -1 is the whole sequence,
        // which is all that llama.cpp copies between buffers of their own.
        unsafe {
            sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.0.as_ptr()), source, target, -1, -1);
        }
        self.share(from, to, self.tokens(from).len());
    }

    /// Makes `to` begin like `from`: its first `len` tokens, and their part of the cache. What `to` had is taken out.
    /// Nothing is computed. Only sequences that share their cache can have a part in common.
    ///
    /// # Errors
    /// The layout is separate; `to` is empty then.
    pub fn copy_start(&mut self, from: SequenceId, to: SequenceId, len: usize) -> Result<(), Error> {
        if from == to {
            return self.truncate(to, len);
        }
        self.clear(to);
        if self.layout == CacheLayout::Separate {
            return Err(Error::CannotTruncate(u32::try_from(len).unwrap_or(u32::MAX)));
        }
        let len = len.min(self.tokens(from).len());
        let [source, target] = [from, to].map(|id| i32::try_from(id.0).unwrap_or(i32::MAX));
        let end = i32::try_from(len).unwrap_or(i32::MAX);
        // SAFETY: the context is alive and owns its memory; both ids are below `n_seq_max`, and the sequences share one
        // buffer, in which llama.cpp adds the id of `to` to the cells from 0 to `end`.
        unsafe {
            sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.0.as_ptr()), source, target, 0, end);
        }
        self.share(from, to, len);
        Ok(())
    }

    /// Notes that `to`, which is empty, has the first tokens of `from`, and their cells if sequences share theirs.
    fn share(&mut self, from: SequenceId, to: SequenceId, len: usize) {
        let tokens = self.tokens(from)[..len].to_vec();
        let cells = match self.layout {
            CacheLayout::Unified => {
                let cells = self.state(from).cells[..len].to_vec();
                self.cells.share(&cells);
                cells
            }
            CacheLayout::Separate => (0..len).map(|_| self.cells.take()).collect(),
        };
        let state = self.state_mut(to);
        (state.tokens, state.cells) = (tokens, cells);
    }

    /// Notes that a token of a sequence is in the cache.
    pub(super) fn push(&mut self, sequence: SequenceId, token: Token) {
        let cell = self.cells.take();
        let state = self.state_mut(sequence);
        state.tokens.push(token);
        state.cells.push(cell);
    }

    /// Notes that a sequence has its first tokens only.
    pub(super) fn cut(&mut self, sequence: SequenceId, len: usize) {
        let state = self.state_mut(sequence);
        state.tokens.truncate(len);
        let end = u32::try_from(len).unwrap_or(u32::MAX);
        state.rows.retain(|row| row.0 < end);
        let cells = state.cells.split_off(len.min(state.cells.len()));
        self.cells.give_back(&cells);
    }

    /// Forgets the rows of logits that follow the first `len` tokens of a sequence.
    pub(in crate::engine) fn forget_rows(&mut self, sequence: SequenceId, len: usize) {
        let end = u32::try_from(len).unwrap_or(u32::MAX);
        self.state_mut(sequence).rows.retain(|row| row.0 >= end);
    }

    /// Refuses so many tokens if a sequence has no room for them.
    pub(in crate::engine) fn check_room(&self, sequence: SequenceId, tokens: usize) -> Result<(), Error> {
        let room = self.room(sequence);
        if tokens <= room as usize {
            return Ok(());
        }
        Err(Error::ContextFull {
            tokens,
            room,
            context: self.capacity,
        })
    }
}
