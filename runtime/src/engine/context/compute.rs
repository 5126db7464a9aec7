//! One computation: llama.cpp's calls that change a context.

use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;

use super::{Context, Entry, SequenceId};
use crate::Error;

/// What `llama_decode` returns if the callback ended it.
const STOPPED: i32 = 2;

impl Context {
    /// Computes as many tokens as llama.cpp takes together; false if `stop` ended it.
    pub(super) fn compute(&mut self, part: &[Entry], stop: Option<&AtomicBool>) -> Result<bool, Error> {
        let mut tokens: Vec<i32> = part.iter().map(|entry| entry.token.0).collect();
        let mut positions: Vec<i32> = part
            .iter()
            .map(|entry| i32::try_from(entry.position).unwrap_or(i32::MAX))
            .collect();
        let mut ids: Vec<i32> = part
            .iter()
            .map(|entry| i32::try_from(entry.sequence.0).unwrap_or(i32::MAX))
            .collect();
        let mut id_lists: Vec<*mut i32> = ids.iter_mut().map(std::ptr::from_mut).collect();
        let mut id_counts: Vec<i32> = vec![1; part.len()];
        let mut rows: Vec<i8> = part.iter().map(|entry| i8::from(entry.row)).collect();
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(part.len()).unwrap_or(i32::MAX),
            token: tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: positions.as_mut_ptr(),
            n_seq_id: id_counts.as_mut_ptr(),
            seq_id: id_lists.as_mut_ptr(),
            logits: rows.as_mut_ptr(),
        };
        // Rows of the last computation are gone.
        self.sequences.iter_mut().for_each(|state| state.rows.clear());
        // SAFETY: every list holds `n_tokens` values and outlives the call; ids are below `n_seq_max`. The context is
        // used by this thread alone (`&mut self`), and the callbacks run within this call.
        let decode = || unsafe { sys::llama_decode(self.raw.0.as_ptr(), batch) };
        let status = self.stop.during(stop, decode);
        if let Some(bridge) = &mut self.bridge {
            bridge.resume_panic();
        }
        if status == 0 {
            for entry in part {
                self.push(entry.sequence, entry.token);
            }
            return Ok(true);
        }
        // What llama.cpp computed of the part before it failed is removed again.
        for entry in part {
            let len = self.tokens(entry.sequence).len();
            if !self.remove(entry.sequence, u32::try_from(len).unwrap_or(u32::MAX)) {
                // The memory of a recurrent model cannot be cut: it has more than its tokens, so all is taken out.
                self.clear(entry.sequence);
            }
        }
        if status == STOPPED && stop.is_some() {
            return Ok(false);
        }
        Err(Error::Decode {
            tokens: part.len(),
            position: part.first().map_or(0, |entry| entry.position),
            reason: match status {
                1 => "the KV cache is full".into(),
                STOPPED => "it was stopped".into(),
                status => format!("status {status}"),
            },
        })
    }

    /// Removes a sequence's cells from `position` on; false if the memory cannot be cut there.
    pub(super) fn remove(&mut self, sequence: SequenceId, position: u32) -> bool {
        let id = i32::try_from(sequence.0).unwrap_or(i32::MAX);
        let position = i32::try_from(position).unwrap_or(i32::MAX);
        // SAFETY: the context is alive and owns its memory; -1 is the end of the sequence.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.0.as_ptr()), id, position, -1) }
    }

    /// The row of logits of the token at `index` of the last computation.
    pub(super) fn row(&self, index: i32) -> Option<&[f32]> {
        // SAFETY: the context is alive. It is not `Sync`, so no other thread reads or computes at the same time.
        let row = unsafe { sys::llama_get_logits_ith(self.raw.0.as_ptr(), index) };
        let row = NonNull::new(row)?;
        // SAFETY: llama.cpp keeps a row of as many numbers as the vocabulary has tokens until the next computation,
        // which takes `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(row.as_ptr(), self.model.vocabulary_len()) })
    }
}
