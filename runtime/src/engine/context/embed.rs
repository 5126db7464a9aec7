//! A text as one vector: what the model's last layer has for its tokens, after the final norm.

use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;

use super::{Context, Entry, SequenceId};
use crate::Error;
use crate::engine::Token;

/// Bytes of logits that a pass may have: llama.cpp computes a row of them for every token whose vector it gives, and
/// keeps the memory.
const LOGITS: usize = 8 << 20;

/// How one vector is made of those of all tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The last token's: it has seen the whole text.
    Last,
    /// The mean of all tokens'.
    Mean,
}

/// Vectors are given as long as this lives.
struct Vectors(NonNull<sys::llama_context>);

impl Vectors {
    /// The context must outlive it.
    fn on(context: &Context) -> Self {
        // SAFETY: the context is alive; the call sets a flag that the next computation reads.
        unsafe { sys::llama_set_embeddings(context.raw.0.as_ptr(), true) };
        Vectors(context.raw.0)
    }
}

impl Drop for Vectors {
    fn drop(&mut self) {
        // SAFETY: `Vectors` is dropped in the function that borrows the context, so the context is alive.
        unsafe { sys::llama_set_embeddings(self.0.as_ptr(), false) };
    }
}

impl Context {
    /// The vector of a text, of length 1, with as many numbers as a hidden state of the model has; `None` if `stop`
    /// became true meanwhile. The text is computed in `sequence`, which is empty before and after. Other sequences stay
    /// as they are, but for their rows of logits.
    ///
    /// # Errors
    /// There are no tokens, they do not fit, llama.cpp fails, or the vector is not a number.
    pub fn embed(
        &mut self,
        sequence: SequenceId,
        tokens: &[Token],
        pooling: Pooling,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<Vec<f32>>, Error> {
        self.clear(sequence);
        let sum = self.pool(sequence, tokens, pooling, stop);
        self.clear(sequence);
        let Some(sum) = sum? else {
            return Ok(None);
        };
        let position = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        normalized(&sum).map(Some).ok_or(Error::NotANumber { position })
    }

    /// The sum of the vectors that count.
    fn pool(
        &mut self,
        sequence: SequenceId,
        tokens: &[Token],
        pooling: Pooling,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<Vec<f64>>, Error> {
        // SAFETY: the context is alive.
        if unsafe { sys::llama_pooling_type(self.raw.0.as_ptr()) } != sys::LLAMA_POOLING_TYPE_NONE {
            return Err(Error::Pooling);
        }
        self.check_room(sequence, tokens.len())?;
        let silent = match pooling {
            Pooling::Last => tokens.len().checked_sub(1).ok_or(Error::EmptyPrompt)?,
            Pooling::Mean if tokens.is_empty() => return Err(Error::EmptyPrompt),
            Pooling::Mean => 0,
        };
        let (before, counted) = tokens.split_at(silent);
        // SAFETY: the context is alive.
        let most = unsafe { sys::llama_n_ubatch(self.raw.0.as_ptr()) }.max(1) as usize;
        for piece in before.chunks(most) {
            if !self.compute(&self.placed(sequence, piece, false), stop)? {
                return Ok(None);
            }
        }
        let rows = LOGITS / size_of::<f32>() / self.model.vocabulary_len().max(1);
        let mut sum = Vec::new();
        for piece in counted.chunks(rows.clamp(1, most)) {
            let vectors = Vectors::on(self);
            let done = self.compute(&self.placed(sequence, piece, true), stop)?;
            drop(vectors);
            if !done {
                return Ok(None);
            }
            for index in 0..piece.len() {
                let vector = self.vector(index).ok_or_else(|| Error::Decode {
                    tokens: piece.len(),
                    position: 0,
                    reason: "it gives no vectors".into(),
                })?;
                sum.resize(vector.len(), 0.0);
                sum.iter_mut()
                    .zip(vector)
                    .for_each(|(sum, x)| *sum += f64::from(*x));
            }
        }
        Ok(Some(sum))
    }

    /// Tokens that continue a sequence.
    fn placed(&self, sequence: SequenceId, tokens: &[Token], row: bool) -> Vec<Entry> {
        let start = self.tokens(sequence).len();
        let entry = |(at, &token)| Entry {
            token,
            sequence,
            position: u32::try_from(start + at).unwrap_or(u32::MAX),
            row,
        };
        tokens.iter().enumerate().map(entry).collect()
    }

    /// The vector of the token at `index` of the last computation.
    fn vector(&self, index: usize) -> Option<&[f32]> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: the model is alive.
        let len = unsafe { sys::llama_model_n_embd_out(self.model.raw().as_ptr()) };
        // SAFETY: the context is alive. It is not `Sync`, so no other thread reads or computes at the same time.
        let vector = unsafe { sys::llama_get_embeddings_ith(self.raw.0.as_ptr(), index) };
        let vector = NonNull::new(vector)?;
        // SAFETY: llama.cpp keeps a vector of as many numbers as the model's output has for each token of the last
        // computation, which was told to give them; the next computation takes `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(vector.as_ptr(), usize::try_from(len).ok()?) })
    }
}

/// A vector of the same direction and of length 1; `None` if it has no direction. A mean has that of its sum.
fn normalized(sum: &[f64]) -> Option<Vec<f32>> {
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    if !length.is_normal() {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 1")]
    Some(sum.iter().map(|x| (x / length) as f32).collect())
}

#[cfg(test)]
mod tests;
