//! Sequences that begin alike: computed once, then copied.

use llama_cpp_sys_2 as sys;

use super::{Context, SequenceId};

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
        self.state_mut(to).tokens = self.state(from).tokens.clone();
    }
}
