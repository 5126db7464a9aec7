//! The settings of transformers' `StableLmConfig`.

use super::Neutral::{Number, Text};
use super::Use::{Harmless, Honoured, Only, Unless};
use super::{OFF, Row, head_dim, rope_scaling};

/// Sorted by key.
pub(super) const ROWS: &[Row] = &[
    ("attention_bias", "biases in attention", OFF),
    ("attention_dropout", "training", Harmless),
    ("head_dim", "weights of a head", Unless(head_dim)),
    (
        "hidden_act",
        "the feed-forward's activation function",
        Only(&[Text("silu"), Text("swish")]),
    ),
    ("hidden_dropout", "training", Harmless),
    ("layer_norm_eps", "the norms' epsilon", Honoured),
    ("mlp_bias", "biases in the feed-forward", OFF),
    (
        "model_type",
        "the class of transformers",
        Only(&[Text("stablelm"), Text("stablelm_epoch")]),
    ),
    ("norm_eps", "the norms' epsilon in older files", Honoured),
    ("num_key_value_heads", "key/value heads", Honoured),
    ("partial_rotary_factor", "the rotated part of each head", Honoured),
    (
        "qk_layernorm",
        "a norm for each head's queries and keys",
        Honoured,
    ),
    ("rope_parameters", "rotary embedding", Unless(rope)),
    (
        "rope_pct",
        "the rotated part of each head in older files",
        Only(&[Number(0.25)]),
    ),
    ("rope_scaling", "rotary embedding", Unless(rope)),
    ("rope_theta", "rotary embedding's base", Honoured),
    (
        "rotary_emb_base",
        "rotary embedding's base in GPT-NeoX",
        Only(&[Number(10_000.0)]),
    ),
    (
        "rotary_pct",
        "the rotated part of each head in GPT-NeoX",
        Only(&[Number(0.25)]),
    ),
    (
        "use_parallel_residual",
        "attention and feed-forward side by side",
        Honoured,
    ),
    ("use_qkv_bias", "biases of queries, keys and values", Honoured),
];

fn rope(config: &crate::config::Config) -> Option<String> {
    rope_scaling(config, &["linear"])
}
