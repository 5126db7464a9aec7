//! The settings of transformers' `LlamaConfig`.

use super::Neutral::{Number, Text};
use super::Use::{Harmless, Honoured, Only, Unless};
use super::{ONE, Row, rope_scaling};

/// Sorted by key.
pub(super) const ROWS: &[Row] = &[
    ("attention_bias", "biases in attention", Honoured),
    ("attention_dropout", "training", Harmless),
    ("head_dim", "weights of a head", Honoured),
    (
        "hidden_act",
        "the feed-forward's activation function",
        Only(&[Text("silu"), Text("swish")]),
    ),
    ("mlp_bias", "biases in the feed-forward", Honoured),
    ("model_type", "the class of transformers", Only(&[Text("llama")])),
    ("num_key_value_heads", "key/value heads", Honoured),
    (
        "original_max_position_embeddings",
        "the context before scaling",
        Honoured,
    ),
    ("partial_rotary_factor", "the rotated part of each head", ONE),
    (
        "pretraining_tp",
        "the order of sums in parallel training",
        Harmless,
    ),
    ("rms_norm_eps", "the norms' epsilon", Honoured),
    ("rope_parameters", "rotary embedding", Unless(rope)),
    ("rope_scaling", "rotary embedding", Unless(rope)),
    ("rope_theta", "rotary embedding's base", Honoured),
    (
        "rotary_emb_base",
        "rotary embedding's base in GPT-NeoX",
        Only(&[Number(10_000.0)]),
    ),
    ("rotary_pct", "the rotated part of each head in GPT-NeoX", ONE),
];

fn rope(config: &crate::config::Config) -> Option<String> {
    let whole = config.partial_rotary_factor().is_none_or(|part| part == 1.0);
    if !whole {
        return Some("partial_rotary_factor is not 1; Llama rotates whole heads".into());
    }
    rope_scaling(config, &["linear", "llama3"])
}
