//! Hyper-parameters: every key that llama.cpp reads for the architectures that siskin knows, and its allowed
//! values.
//!
//! Source: `llama_model_base::load_hparams` of llama.cpp and the three `load_arch_hparams`. Keys that
//! llama.cpp does not read may have any value.

use std::ops::RangeInclusive;

use super::ValidateError;
use crate::arch::{Arch, MAX_CONTEXT, MAX_DIM, MAX_HEADS, MAX_LAYERS};
use crate::gguf::{Array, Metadata, Value, shortened};
use crate::shape::Dimensions;

/// The allowed values of a key.
#[derive(Debug, Clone)]
enum Rule {
    /// A u32 within the range.
    Count(RangeInclusive<u64>),
    /// The same, or a list with one number for each layer, all equal: siskin knows no model whose layers differ.
    CountOfLayers(RangeInclusive<u64>),
    /// A finite f32 within the range.
    Float(RangeInclusive<f32>),
    /// A boolean.
    Bool,
    /// Only this boolean.
    Always(bool),
    /// Only 0: siskin cannot check the feature that another value enables.
    Off,
    /// One of these strings.
    OneOf(&'static [&'static str]),
}

const DIM: RangeInclusive<u64> = 1..=MAX_DIM;
const HEADS: RangeInclusive<u64> = 1..=MAX_HEADS;
const CONTEXT: RangeInclusive<u64> = 1..=MAX_CONTEXT;
const LAYERS: RangeInclusive<u64> = 1..=MAX_LAYERS as u64;
const EPSILON: RangeInclusive<f32> = 0.0..=1.0;
const FACTOR: RangeInclusive<f32> = 0.0..=1e6;

/// Key without the architecture prefix, whether every model has it, allowed values; sorted by key.
const RULES: [(&str, bool, Rule); 26] = [
    ("attention.causal", false, Rule::Always(true)),
    ("attention.head_count", true, Rule::CountOfLayers(HEADS)),
    ("attention.head_count_kv", false, Rule::CountOfLayers(HEADS)),
    ("attention.key_length", false, Rule::Count(DIM)),
    ("attention.layer_norm_epsilon", false, Rule::Float(EPSILON)),
    ("attention.layer_norm_rms_epsilon", false, Rule::Float(EPSILON)),
    ("attention.value_length", false, Rule::Count(DIM)),
    ("block_count", true, Rule::Count(LAYERS)),
    ("classifier.pooling_type", false, Rule::Off),
    ("context_length", true, Rule::Count(CONTEXT)),
    ("embedding_length", true, Rule::Count(DIM)),
    ("embedding_length_out", false, Rule::Off),
    ("expert_count", false, Rule::Off),
    ("expert_group_count", false, Rule::Off),
    ("expert_used_count", false, Rule::Off),
    ("feed_forward_length", true, Rule::CountOfLayers(DIM)),
    ("nextn_predict_layers", false, Rule::Off),
    ("pooling_type", false, Rule::Off),
    ("rope.dimension_count", false, Rule::Count(DIM)),
    ("rope.freq_base", false, Rule::Float(1.0..=1e12)),
    ("rope.scale_linear", false, Rule::Float(FACTOR)),
    ("rope.scaling.alpha", false, Rule::Float(FACTOR)),
    ("rope.scaling.attn_factor", false, Rule::Float(FACTOR)),
    ("rope.scaling.factor", false, Rule::Float(FACTOR)),
    (
        "rope.scaling.original_context_length",
        false,
        Rule::Count(CONTEXT),
    ),
    (
        "rope.scaling.type",
        false,
        Rule::OneOf(&["none", "linear", "yarn"]),
    ),
];

/// Additional keys of one architecture.
fn more_rules(arch: Arch) -> &'static [(&'static str, bool, Rule)] {
    match arch {
        Arch::Llama => &[("attention.layer_norm_rms_epsilon", true, Rule::Float(EPSILON))],
        Arch::StableLm => &[("attention.layer_norm_epsilon", true, Rule::Float(EPSILON))],
        Arch::GptNeoX => &[
            ("attention.layer_norm_epsilon", true, Rule::Float(EPSILON)),
            ("use_parallel_residual", true, Rule::Bool),
        ],
    }
}

impl Rule {
    /// Returns what is wrong with `value` in a model of so many layers, if anything.
    fn problem(&self, value: &Value, layers: Option<u64>) -> Option<String> {
        match (self, value) {
            (Rule::Count(range) | Rule::CountOfLayers(range), Value::U32(n)) => {
                let (low, high) = (range.start(), range.end());
                (!range.contains(&(*n).into())).then(|| format!("is {n}; it must be from {low} to {high}"))
            }
            (Rule::CountOfLayers(range), Value::Array(Array::U32(list))) => {
                of_layers(list.iter().map(|&n| n.into()), range, layers)
            }
            (Rule::CountOfLayers(range), Value::Array(Array::I32(list))) => {
                of_layers(list.iter().map(|&n| n.into()), range, layers)
            }
            (Rule::Float(range), Value::F32(x)) => {
                let (low, high) = (range.start(), range.end());
                // No model has a number that is too small to divide by.
                let fine = range.contains(x) && (*x == 0.0 || x.is_normal());
                (!fine).then(|| format!("is {x}; it must be from {low} to {high}"))
            }
            (Rule::Bool, Value::Bool(_)) => None,
            (Rule::Always(want), Value::Bool(b)) => {
                (b != want).then(|| format!("is {b}; siskin supports only {want}"))
            }
            (Rule::Off, Value::U32(0)) => None,
            (Rule::Off, Value::U32(n)) => Some(format!("is {n}; siskin supports only 0")),
            (Rule::OneOf(known), Value::String(text)) => {
                let unknown = !known.contains(&text.as_str());
                unknown.then(|| format!("is {:?}; supported: {}", shortened(text), known.join(", ")))
            }
            (_, other) => Some(format!(
                "has type {:?}, which llama.cpp does not read for this key",
                other.ty()
            )),
        }
    }
}

/// What is wrong with a list of one number for each layer.
fn of_layers(
    mut list: impl ExactSizeIterator<Item = i64>,
    range: &RangeInclusive<u64>,
    layers: Option<u64>,
) -> Option<String> {
    let len = list.len() as u64;
    if layers.is_some_and(|layers| layers != len) {
        return Some(format!(
            "is a list of {len} numbers; the model has {} layers",
            layers.unwrap_or(0)
        ));
    }
    let Some(first) = list.next() else {
        return Some("is an empty list".into());
    };
    if let Some(other) = list.find(|&n| n != first) {
        return Some(format!(
            "is a list with {first} and {other}; siskin supports only models whose layers are all alike"
        ));
    }
    let (low, high) = (range.start(), range.end());
    let fine = u64::try_from(first).is_ok_and(|n| range.contains(&n));
    (!fine).then(|| format!("is a list of {first}; it must be from {low} to {high}"))
}

/// The dimensions of a model that passed the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) layers: u32,
    pub(super) width: u64,
    pub(super) ffn: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) head_dim: u64,
    /// Numbers of each head that RoPE rotates.
    pub(super) rotary: u64,
    /// Number of tokens in the vocabulary.
    pub(super) vocab: u64,
}

/// Checks each hyper-parameter alone and against the others.
pub(super) fn check(arch: Arch, metadata: &Metadata) -> Result<Checked, ValidateError> {
    let full = |key: &str| format!("{}.{key}", arch.name());
    let layers = metadata.get(&full("block_count")).and_then(Value::as_count);
    for (key, needed, rule) in RULES.iter().chain(more_rules(arch)) {
        let key = full(key);
        match metadata.get(&key) {
            Some(value) => {
                if let Some(problem) = rule.problem(value, layers) {
                    return Err(ValidateError::key(key, problem));
                }
            }
            None if *needed => return Err(ValidateError::key(key, "is missing; get the file again")),
            None => {}
        }
    }
    let stated = Dimensions::from_metadata(metadata);
    let (width, heads) = (stated.width.unwrap_or_default(), stated.heads.unwrap_or_default());
    let kv_heads = stated.kv_heads.unwrap_or_default();
    let head_dim = stated.key_length.unwrap_or_default();
    let value_length = stated.value_length.unwrap_or_default();
    let rotary = metadata
        .get(&full("rope.dimension_count"))
        .and_then(Value::as_count);
    let rotary = rotary.unwrap_or(head_dim);
    let whole_heads = head_dim * heads == width;
    let rules = [
        (
            "attention.head_count_kv",
            heads.is_multiple_of(kv_heads),
            format!("is {kv_heads}, which does not divide the {heads} heads"),
        ),
        (
            "attention.key_length",
            head_dim >= 2 && head_dim.is_multiple_of(2),
            format!("makes heads of {head_dim} numbers; rotary embedding needs pairs"),
        ),
        (
            "attention.key_length",
            head_dim == value_length,
            format!("makes keys of {head_dim} numbers and values of {value_length}; they must be equal"),
        ),
        (
            "attention.key_length",
            arch == Arch::Llama || whole_heads,
            format!("makes {heads} heads of {head_dim} numbers; together they must have {width}"),
        ),
        (
            "attention.head_count_kv",
            arch != Arch::GptNeoX || kv_heads == heads,
            format!("is {kv_heads}; GPT-NeoX has as many as query heads, {heads}"),
        ),
        (
            "rope.dimension_count",
            rotary >= 2 && rotary.is_multiple_of(2) && rotary <= head_dim,
            format!("is {rotary}; it must be even and not more than the {head_dim} numbers of a head"),
        ),
        (
            "rope.dimension_count",
            arch != Arch::Llama || rotary == head_dim,
            format!("is {rotary}; this architecture rotates whole heads of {head_dim} numbers"),
        ),
    ];
    if let Some((key, _, problem)) = rules.into_iter().find(|(_, fine, _)| !fine) {
        return Err(ValidateError::key(full(key), problem));
    }
    Ok(Checked {
        layers: stated
            .layers
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default(),
        width,
        ffn: stated.ffn.unwrap_or_default(),
        heads,
        kv_heads,
        head_dim,
        rotary,
        vocab: stated.vocabulary.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(RULES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
