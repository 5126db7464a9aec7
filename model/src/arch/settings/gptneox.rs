//! The settings of transformers' `GPTNeoXConfig`.

use super::Neutral::{Bool, Text};
use super::Use::{Harmless, Honoured, Only, Unless};
use super::{OFF, Row, head_dim, rope_scaling};
use crate::config::Config;

/// Sorted by key. llama.cpp computes GELU by the approximation with tanh, which differs from the exact function by
/// less than f16 rounds.
pub(super) const ROWS: &[Row] = &[
    ("attention_bias", "biases in attention", Only(&[Bool(true)])),
    ("attention_dropout", "training", Harmless),
    ("classifier_dropout", "training", Harmless),
    ("head_dim", "weights of a head", Unless(head_dim)),
    (
        "hidden_act",
        "the feed-forward's activation function",
        Only(&[
            Text("gelu"),
            Text("gelu_fast"),
            Text("gelu_new"),
            Text("gelu_python"),
            Text("gelu_pytorch_tanh"),
        ]),
    ),
    ("hidden_dropout", "training", Harmless),
    ("layer_norm_eps", "the norms' epsilon", Honoured),
    ("mlp_bias", "biases in the feed-forward", Only(&[Bool(true)])),
    (
        "model_type",
        "the class of transformers",
        Only(&[Text("gpt_neox")]),
    ),
    ("num_key_value_heads", "key/value heads", Honoured),
    (
        "partial_rotary_factor",
        "the rotated part of each head",
        Unless(lone_part),
    ),
    ("qk_layernorm", "a norm for each head's queries and keys", OFF),
    ("rope_parameters", "rotary embedding", Unless(rope)),
    ("rope_scaling", "rotary embedding", Unless(rope)),
    ("rope_theta", "rotary embedding's base", Unless(lone_theta)),
    ("rotary_emb_base", "rotary embedding's base", Honoured),
    ("rotary_pct", "the rotated part of each head", Honoured),
    (
        "use_parallel_residual",
        "attention and feed-forward side by side",
        Honoured,
    ),
];

fn rope(config: &Config) -> Option<String> {
    rope_scaling(config, &["linear"])
}

/// transformers reads `rotary_emb_base` here and takes no notice of a `rope_theta` without it.
fn lone_theta(config: &Config) -> Option<String> {
    let read = Config {
        rope_theta: None,
        ..config.clone()
    }
    .rope_theta();
    let found = config.rope_theta.filter(|_| config.rotary_emb_base.is_none())?;
    (found != read && config.rope_theta() == found).then(|| {
        format!("rope_theta is {found}, but transformers reads rotary_emb_base for GPT-NeoX, which is missing; write that")
    })
}

/// As with `rope_theta`.
fn lone_part(config: &Config) -> Option<String> {
    let read = Config {
        partial_rotary_factor: None,
        ..config.clone()
    }
    .partial_rotary_factor();
    let found = config
        .partial_rotary_factor
        .filter(|_| config.rotary_pct.is_none())?;
    (found != read.unwrap_or(0.25) && config.partial_rotary_factor() == Some(found)).then(|| {
        format!("partial_rotary_factor is {found}, but transformers reads rotary_pct for GPT-NeoX, which is missing; write that")
    })
}
