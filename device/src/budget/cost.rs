//! What each part of a running model takes, in bytes that are resident at the peak.

use serde::Serialize;
use siskin_model::shape::{CONTEXT_STEP, Shape};

use crate::values::{FlashAttention, Values};

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

/// Numbers of f32 that a token has alive in the widest place of a block, in addition to what [`compute`] counts: the
/// residual, its norm, the block's output.
const STREAMS: u64 = 6;

/// The program, its libraries, heaps and stacks: what is resident when everything else is taken away.
/// Measured: see `scripts/check-budget.sh`.
const FIXED: u64 = 15 << 20;

/// What llama.cpp keeps for a block: tensors' descriptions, and the graphs of about 31 nodes for batches of different
/// sizes. Measured: models of 128 and 512 blocks, prompts of one and of two batches (84 and 114 KiB).
const BLOCK: u64 = 112 << 10;

/// What a thread keeps: its stack as far as it is used, its part of the heap. Measured: 64 threads.
const THREAD: u64 = 72 << 10;

/// What llama.cpp keeps of a token's text and score while it reads the file: a string, a score, a type.
const TOKEN_READ: u64 = 40;

/// Stack of a thread in the address space, with its guard and its part of the heap, in bytes.
const THREAD_ADDRESSES: u64 = 3 << 20;

/// Every part of a plan.
pub fn items(shape: &Shape, settings: &Values) -> Vec<Item> {
    let item = |what, bytes, detail| Item { what, bytes, detail };
    let kv = shape.kv_bytes(settings.cache_type, settings.context);
    let (compute_bytes, output_bytes) = (compute(shape, settings), output(shape));
    let for_reading = reading(shape, settings);
    // After loading, a mapped input embedding is dropped, and what was needed to read the file is freed. What comes then
    // takes their place at the peak.
    let later = [kv, compute_bytes, output_bytes]
        .into_iter()
        .fold(0, u64::saturating_add);
    let embedding = if settings.mmap { shape.embedding_bytes } else { 0 };
    let dropped = embedding.min(later);
    let reading_bytes = for_reading.saturating_sub(later - dropped);
    let how = match (settings.mmap, dropped) {
        (false, _) => "read into memory",
        (true, 0) => "mapped from the file",
        (true, _) => "mapped; the input embedding is read as needed",
    };
    let threads = threads(settings);
    let rows = [
        ("weights", shape.weight_bytes - dropped, how.into()),
        (
            "rest of the file",
            wasted(shape, settings),
            "mapped: gaps, and what follows the last tensor".into(),
        ),
        (
            "repacked copy",
            repacked(shape, settings),
            "next to the mapped weights".into(),
        ),
        (
            "KV cache",
            kv,
            format!("{} tokens of {}", settings.context, settings.cache_type),
        ),
        (
            "compute buffers",
            compute_bytes,
            format!("{} tokens at a time", settings.ubatch),
        ),
        (
            "output buffers",
            output_bytes,
            format!("logits of {} tokens", shape.vocabulary),
        ),
        (
            "vocabulary",
            shape.vocabulary_bytes,
            format!("{} tokens", shape.vocabulary),
        ),
        (
            "reading the file",
            reading_bytes,
            "the header, while the model is loaded".into(),
        ),
        ("graphs", graphs(shape), format!("of {} blocks", shape.layers)),
        ("threads", (threads - 1) * THREAD, format!("{threads} threads")),
        ("program", FIXED, "code, libraries, heap".into()),
    ];
    let items = rows.map(|(what, bytes, detail)| item(what, bytes, detail));
    items.into_iter().filter(|item| item.bytes > 0).collect()
}

/// Addresses that the stacks of all threads take.
pub(super) fn stacks(settings: &Values) -> u64 {
    threads(settings).saturating_mul(THREAD_ADDRESSES)
}

/// Bytes of a row of logits for every token of a batch.
pub(super) fn row_of_logits_each(shape: &Shape, settings: &Values) -> u64 {
    let batch = u64::from(settings.ubatch.min(settings.context));
    batch.saturating_mul(4).saturating_mul(shape.vocabulary)
}

/// Of what is resident, the bytes that are the file's and not private.
pub(super) fn mapped(shape: &Shape, settings: &Values) -> u64 {
    if settings.mmap {
        shape.weight_bytes.saturating_add(wasted(shape, settings))
    } else {
        0
    }
}

/// Bytes of the whole file.
pub(super) fn file(shape: &Shape) -> u64 {
    let parts = [shape.header_bytes, shape.weight_bytes, shape.waste_bytes];
    parts.into_iter().fold(0, u64::saturating_add)
}

/// What a plan takes beyond the file and the KV cache, and does not take whatever the batch: buffers, vocabulary,
/// program, less the part of the file that does not stay resident.
pub(super) fn beyond_file_and_cache(shape: &Shape, settings: &Values) -> u64 {
    const COUNTED: [&str; 5] = [
        "weights",
        "compute buffers",
        "output buffers",
        "vocabulary",
        "program",
    ];
    let items = items(shape, settings).into_iter();
    let counted = items.filter(|item| COUNTED.contains(&item.what));
    let all = counted.fold(0, |sum: u64, item| sum.saturating_add(item.bytes));
    let file = shape.weight_bytes.saturating_add(shape.header_bytes);
    all.saturating_sub(file)
}

/// Whether so much of the file is not weights that reading the weights takes less memory than mapping the file, which
/// makes all of it resident.
pub(super) fn is_better_read(shape: &Shape) -> bool {
    shape.waste_bytes > (1 << 20).max(shape.weight_bytes / 64)
}

fn graphs(shape: &Shape) -> u64 {
    shape.layers.saturating_mul(BLOCK)
}

fn threads(settings: &Values) -> u64 {
    settings.threads.max(settings.threads_batch).max(1) as u64
}

/// llama.cpp has the system read a mapped file as a whole.
fn wasted(shape: &Shape, settings: &Values) -> u64 {
    if settings.mmap { shape.waste_bytes } else { 0 }
}

/// A second copy if the file stays mapped; weights that are read are repacked as they come.
fn repacked(shape: &Shape, settings: &Values) -> u64 {
    if settings.repack && settings.mmap {
        shape.repackable_bytes
    } else {
        0
    }
}

/// What only loading takes: the file's header as siskin has read it, as llama.cpp has, and, mapped, as it is.
fn reading(shape: &Shape, settings: &Values) -> u64 {
    let mapped = if settings.mmap { shape.header_bytes } else { 0 };
    let texts = shape.vocabulary.saturating_mul(TOKEN_READ);
    // A header may be padded, up to the alignment of the weights.
    let own = shape.header_bytes.min(shape.vocabulary_bytes);
    mapped.saturating_add(own).saturating_add(texts)
}

/// Of the compute buffers what a batch touches: activations in f32, the mask for every position, and the work buffer of
/// the operation that needs the largest (`ggml_graph_plan`).
fn compute(shape: &Shape, settings: &Values) -> u64 {
    let batch = u64::from(settings.ubatch.min(settings.context));
    let cells = u64::from(settings.context).next_multiple_of(CONTEXT_STEP);
    let fused = settings.flash_attention != FlashAttention::Off;
    let product = |a: u64, b: u64| a.saturating_mul(b);
    // All heads together: what they ask, and what they get.
    let queries = product(shape.heads, shape.head_dim);
    let answers = match shape.key_width {
        0 => queries,
        width => product(queries, shape.value_width) / width,
    };
    let keys_and_values = product(2, shape.key_width).saturating_add(shape.value_width);
    let scores = if fused { 0 } else { product(shape.heads, cells) };
    let attention = queries
        .saturating_add(answers.max(keys_and_values))
        .saturating_add(scores);
    // Both factors of a gated middle and their product; or the middle alone, which its activation replaces.
    let (middle, streams) = match shape.middles {
        2.. => (product(3, shape.ffn), STREAMS / 2),
        _ => (shape.ffn, STREAMS),
    };
    let attention = attention.saturating_add(product(STREAMS, shape.width));
    let middle = middle.saturating_add(product(streams, shape.width));
    let activations = product(4, attention.max(middle));
    let mask = product(cells, if fused { 2 } else { 4 });
    // The widest input of a product once more in 8 bits with a scale; queries in f16 for products with keys.
    let widest = shape.ffn.max(shape.width).max(answers);
    let converted = widest.saturating_mul(9) / 8;
    let work = converted.max(if fused { 0 } else { product(2, queries) });
    let tiles = if fused {
        attention_tiles(shape, settings, answers)
    } else {
        0
    };
    let of_batch = activations.saturating_add(mask);
    product(batch, of_batch).saturating_add(product(batch, work).max(tiles))
}

/// What the threads of ggml's flash attention work in: tiles of 64 queries, keys and values, in f32, and their scores.
fn attention_tiles(shape: &Shape, settings: &Values, answers: u64) -> u64 {
    const TILE: u64 = 64;
    let value_length = answers.checked_div(shape.heads).unwrap_or(0);
    let lengths = shape.head_dim.saturating_add(value_length).saturating_add(TILE);
    // Keys and queries; values and results; two tiles of scores.
    let numbers = (2 * TILE).saturating_mul(lengths);
    numbers.saturating_mul(4).saturating_mul(threads(settings))
}

/// Logits of one token, three times: computed by llama.cpp, handed out by it, sorted by the sampler.
fn output(shape: &Shape) -> u64 {
    /// An id, a logit and a probability (`llama_token_data`).
    const CANDIDATE: u64 = 12;
    shape.vocabulary.saturating_mul(4 + 4 + CANDIDATE)
}
