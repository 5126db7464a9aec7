//! What each part of a running model takes, in bytes that are resident at the peak.

use serde::Serialize;

use super::ModelFacts;
use crate::device::profile::KvType;

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

/// Settings that decide how much memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Context in tokens.
    pub context: u32,
    /// Type of keys and values.
    pub kv_type: KvType,
    /// Tokens computed together.
    pub ubatch: u32,
    /// Weights repacked for the CPU.
    pub repack: bool,
    /// Weights mapped instead of read.
    pub mmap: bool,
}

/// What else is to stand in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Extras {
    /// Adapters.
    pub adapter_bytes: u64,
    /// Prompt caches.
    pub cache_bytes: u64,
}

/// llama.cpp rounds contexts up to a multiple of this (`llama_context`, `GGML_PAD(n_ctx, 256)`).
const CONTEXT_STEP: u64 = 256;

/// Numbers of f32 that a token has alive in the widest place of a block, beside the feed-forward's middle: the
/// residual, its norm, queries, keys and values, what they become, the block's output.
const STREAMS: u64 = 6;

/// The program, its libraries, heaps and stacks: what is resident when everything else is taken away.
/// Measured: see `scripts/check-budget.sh`.
const FIXED: u64 = 13 << 20;

impl KvType {
    /// Bytes of `count` numbers; blocks hold 32.
    fn bytes(self, count: u64) -> u64 {
        match self {
            KvType::F32 => count.saturating_mul(4),
            KvType::F16 => count.saturating_mul(2),
            KvType::Q8_0 => count.div_ceil(32).saturating_mul(34),
            KvType::Q4_0 => count.div_ceil(32).saturating_mul(18),
        }
    }
}

/// Bytes of keys and values of a whole context. llama.cpp clears the cache when it makes it: all of it is resident.
pub fn kv_bytes(facts: &ModelFacts, kv_type: KvType, context: u32) -> u64 {
    let cells = u64::from(context).next_multiple_of(CONTEXT_STEP);
    let a_token = kv_type
        .bytes(facts.key_width)
        .saturating_add(kv_type.bytes(facts.value_width));
    cells.saturating_mul(facts.layers).saturating_mul(a_token)
}

/// Every part of a plan.
pub fn items(facts: &ModelFacts, settings: &Settings, extras: &Extras) -> Vec<Item> {
    let item = |what, bytes, detail| Item { what, bytes, detail };
    let kv = kv_bytes(facts, settings.kv_type, settings.context);
    let (compute, output) = (compute(facts, settings), output(facts));
    // After loading a mapped input embedding is dropped; what comes then takes its place at the peak.
    let dropped = if settings.mmap {
        facts.embedding_bytes.min(kv.saturating_add(compute + output))
    } else {
        0
    };
    let how = match (settings.mmap, dropped) {
        (false, _) => "read into memory",
        (true, 0) => "mapped from the file",
        (true, _) => "mapped; the input embedding is read as needed",
    };
    let mut items = vec![
        item("weights", facts.weight_bytes - dropped, how.into()),
        item(
            "repacked copy",
            repacked(facts, settings),
            "beside the mapped weights".into(),
        ),
        item(
            "KV cache",
            kv,
            format!("{} tokens of {}", settings.context, kv_name(settings.kv_type)),
        ),
        item(
            "compute buffers",
            compute,
            format!("{} tokens at a time", settings.ubatch),
        ),
        item(
            "output buffers",
            output,
            format!("logits of {} tokens", facts.vocabulary),
        ),
        item(
            "vocabulary",
            facts.vocabulary_bytes,
            format!("{} tokens", facts.vocabulary),
        ),
        item("adapters", extras.adapter_bytes, String::new()),
        item("caches", extras.cache_bytes, String::new()),
        item("program", FIXED, "code, libraries, heap".into()),
    ];
    items.retain(|item| item.bytes > 0);
    items
}

/// What a plan takes beyond the file and the keys and values, without a repacked copy: buffers, vocabulary, program,
/// less what of the file does not stay resident.
pub(super) fn beyond_file_and_cache(facts: &ModelFacts, settings: &Settings) -> u64 {
    let all: u64 = items(facts, settings, &Extras::default())
        .iter()
        .map(|item| item.bytes)
        .sum();
    let file = facts.weight_bytes.saturating_add(facts.header_bytes);
    let known = [
        file,
        kv_bytes(facts, settings.kv_type, settings.context),
        repacked(facts, settings),
    ];
    known.into_iter().fold(all, u64::saturating_sub)
}

/// A second copy where the file stays mapped; read weights are repacked as they come.
fn repacked(facts: &ModelFacts, settings: &Settings) -> u64 {
    if settings.repack && settings.mmap {
        facts.repackable_bytes
    } else {
        0
    }
}

/// Of the compute buffers what a batch touches: activations in f32, the mask in f16 for every position, and the
/// widest input of a product once more in 8 bits with a scale (`ggml_graph_plan`'s work buffer).
fn compute(facts: &ModelFacts, settings: &Settings) -> u64 {
    let batch = u64::from(settings.ubatch.min(settings.context));
    let activations = 4 * (facts.middles * facts.ffn + STREAMS * facts.width);
    let mask = 2 * u64::from(settings.context).next_multiple_of(CONTEXT_STEP);
    let work = facts.ffn.max(facts.width) * 9 / 8;
    batch.saturating_mul(activations + mask + work)
}

/// Logits of one token where llama.cpp computes them, where it hands them out, and where the sampler sorts them.
fn output(facts: &ModelFacts) -> u64 {
    /// An id, a logit and a probability (`llama_token_data`).
    const CANDIDATE: u64 = 12;
    facts.vocabulary.saturating_mul(4 + 4 + CANDIDATE)
}

/// The name of a type of keys and values.
pub fn kv_name(kv_type: KvType) -> &'static str {
    match kv_type {
        KvType::F32 => "f32",
        KvType::F16 => "f16",
        KvType::Q8_0 => "q8_0",
        KvType::Q4_0 => "q4_0",
    }
}
