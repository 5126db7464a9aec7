//! An embedding that is also the output: stored once, twice, or under the other name.

use super::{Checkpoint, CheckpointError};
use crate::view::View;

/// Output and embedding of each architecture.
const PAIRS: [(&str, &str); 2] = [
    ("lm_head.weight", "model.embed_tokens.weight"),
    ("embed_out.weight", "gpt_neox.embed_in.weight"),
];

/// Bytes that are compared at a time: of a file on this machine, and of one elsewhere, where each range is a request.
const STEP: u64 = 1 << 20;
const STEP_ELSEWHERE: u64 = 16 << 20;

/// True if the tensor is one of two tied ones, and the other one is stored.
pub(super) fn may_lack(checkpoint: &Checkpoint, name: &str) -> bool {
    let other = PAIRS.into_iter().find_map(|(output, embedding)| match name {
        _ if name == output => Some(embedding),
        _ if name == embedding => Some(output),
        _ => None,
    });
    checkpoint.config.tied() && other.is_some_and(|other| checkpoint.tensors.contains_key(other))
}

impl Checkpoint {
    /// Leaves one tensor if embedding and output are tied, under the embedding's name. If two different ones are
    /// stored, transformers 5 does not tie them, and neither does this.
    pub(super) fn untie(&mut self) -> Result<(), CheckpointError> {
        if !self.config.tied() {
            return Ok(());
        }
        for (output, embedding) in PAIRS {
            match (self.tensors.get(output), self.tensors.get(embedding)) {
                (Some(a), Some(b)) if self.equal(a, b)? => drop(self.tensors.remove(output)),
                (Some(_), Some(_)) => {
                    self.config.tie_word_embeddings = Some(false);
                    self.notices.push(format!(
                        "tie_word_embeddings is true, but {output} and {embedding} are stored and differ; both are converted, as transformers 5 reads them"
                    ));
                }
                (Some(only), None) => {
                    let only = only.clone();
                    self.tensors.remove(output);
                    self.tensors.insert(embedding.into(), only);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn equal(&self, a: &View, b: &View) -> Result<bool, CheckpointError> {
        if (a.ty, &a.shape) != (b.ty, &b.shape) {
            return Ok(false);
        }
        if (a.file, a.start) == (b.file, b.start) {
            return Ok(true);
        }
        let bytes = a.ty.tensor_bytes(&a.shape).unwrap_or(0);
        let is_here = |view: &View| self.files.file(view.file).is_some();
        let step = if is_here(a) && is_here(b) {
            STEP
        } else {
            STEP_ELSEWHERE
        };
        let mut start = 0;
        while start < bytes {
            // Two that differ mostly do so from their first bytes on.
            let end = if start == 0 { STEP } else { start + step }.min(bytes);
            let read = |view: &View| self.files.read(view.file, view.start + start..view.start + end);
            if read(a)? != read(b)? {
                return Ok(false);
            }
            start = end;
        }
        Ok(true)
    }
}
