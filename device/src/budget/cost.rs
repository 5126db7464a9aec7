//! What each part of a running model takes, in bytes that are resident at the peak.

use serde::Serialize;
use siskin_model::shape::{CONTEXT_STEP, Shape};

use crate::values::Values;

/// A part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub what: &'static str,
    /// How much of it is resident at the peak.
    pub bytes: u64,
    /// Where the figure comes from, for people.
    pub detail: String,
}

/// Numbers of f32 that a token has alive in the widest place of a block, in addition to the feed-forward's middle: the
/// residual, its norm, queries, keys and values, what they become, the block's output.
const STREAMS: u64 = 6;

/// The program, its libraries, heaps and stacks: what is resident when everything else is taken away.
/// Measured: see `scripts/check-budget.sh`.
const FIXED: u64 = 13 << 20;

/// Every part of a plan.
pub fn items(shape: &Shape, settings: &Values) -> Vec<Item> {
    let item = |what, bytes, detail| Item { what, bytes, detail };
    let kv = shape.kv_bytes(settings.cache_type, settings.context);
    let (compute_bytes, output_bytes) = (compute(shape, settings), output(shape));
    // After loading a mapped input embedding is dropped; what comes then takes its place at the peak.
    let dropped = if settings.mmap {
        shape
            .embedding_bytes
            .min(kv.saturating_add(compute_bytes + output_bytes))
    } else {
        0
    };
    let how = match (settings.mmap, dropped) {
        (false, _) => "read into memory",
        (true, 0) => "mapped from the file",
        (true, _) => "mapped; the input embedding is read as needed",
    };
    let mut items = vec![
        item("weights", shape.weight_bytes - dropped, how.into()),
        item(
            "repacked copy",
            repacked(shape, settings),
            "next to the mapped weights".into(),
        ),
        item(
            "KV cache",
            kv,
            format!("{} tokens of {}", settings.context, settings.cache_type),
        ),
        item(
            "compute buffers",
            compute_bytes,
            format!("{} tokens at a time", settings.ubatch),
        ),
        item(
            "output buffers",
            output_bytes,
            format!("logits of {} tokens", shape.vocabulary),
        ),
        item(
            "vocabulary",
            shape.vocabulary_bytes,
            format!("{} tokens", shape.vocabulary),
        ),
        item("program", FIXED, "code, libraries, heap".into()),
    ];
    items.retain(|item| item.bytes > 0);
    items
}

/// Everything that `settings` take, in bytes.
pub(super) fn total(shape: &Shape, settings: &Values) -> u64 {
    items(shape, settings).iter().map(|item| item.bytes).sum()
}

/// What a plan takes beyond the file and the KV cache, without a repacked copy: buffers, vocabulary, program, less the
/// part of the file that does not stay resident.
pub(super) fn beyond_file_and_cache(shape: &Shape, settings: &Values) -> u64 {
    let all: u64 = items(shape, settings).iter().map(|item| item.bytes).sum();
    let file = shape.weight_bytes.saturating_add(shape.header_bytes);
    let known = [
        file,
        shape.kv_bytes(settings.cache_type, settings.context),
        repacked(shape, settings),
    ];
    known.into_iter().fold(all, u64::saturating_sub)
}

/// A second copy if the file stays mapped; weights that are read are repacked as they come.
fn repacked(shape: &Shape, settings: &Values) -> u64 {
    if settings.repack && settings.mmap {
        shape.repackable_bytes
    } else {
        0
    }
}

/// Of the compute buffers what a batch touches: activations in f32, the mask in f16 for every position, and the
/// widest input of a product once more in 8 bits with a scale (`ggml_graph_plan`'s work buffer).
fn compute(shape: &Shape, settings: &Values) -> u64 {
    let batch = u64::from(settings.ubatch.min(settings.context));
    let activations = 4 * (shape.middles * shape.ffn + STREAMS * shape.width);
    let mask = 2 * u64::from(settings.context).next_multiple_of(CONTEXT_STEP);
    let work = shape.ffn.max(shape.width) * 9 / 8;
    batch.saturating_mul(activations + mask + work)
}

/// Logits of one token, three times: computed by llama.cpp, handed out by it, sorted by the sampler.
fn output(shape: &Shape) -> u64 {
    /// An id, a logit and a probability (`llama_token_data`).
    const CANDIDATE: u64 = 12;
    shape.vocabulary.saturating_mul(4 + 4 + CANDIDATE)
}
