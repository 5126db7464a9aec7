//! StableLM 2: LayerNorm with bias, RoPE on a part of each head, biases on q, k and v, a norm for each head.

use super::{ArchError, Dims, Keys, Rule};
use super::{Role, Transform};
use crate::FileType;
use crate::config::Config;

pub(super) fn keys(config: &Config, file_type: FileType, keys: &mut Keys) {
    let rotary = config.partial_rotary_factor().unwrap_or(0.25);
    keys.count("context_length", config.max_position_embeddings.unwrap_or(4096));
    keys.count("embedding_length", config.hidden_size);
    keys.count("block_count", config.num_hidden_layers.into());
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("rope.dimension_count", (rotary * config.head_dim() as f64) as u64);
    keys.count("attention.head_count", config.num_attention_heads);
    keys.count("attention.head_count_kv", config.kv_heads());
    keys.set(
        "use_parallel_residual",
        config.use_parallel_residual.unwrap_or(false),
    );
    keys.set(
        "attention.layer_norm_epsilon",
        config.layer_norm_eps.unwrap_or(1e-5) as f32,
    );
    keys.file_type(file_type);
    keys.unusual_rope(config);
}

pub(super) fn rules(config: &Config, dims: &Dims) -> Result<Vec<Rule>, ArchError> {
    let Dims {
        width,
        ffn,
        vocab,
        heads,
        kv_heads,
        head_dim,
        ..
    } = *dims;
    let (q, kv) = (dims.q(), dims.kv());
    let mut rules = vec![Rule::matrix(
        "token_embd",
        "model.embed_tokens",
        Role::TokenEmbd,
        [vocab, width],
    )];
    rules.push(Rule::own_output(
        config,
        "lm_head",
        "model.embed_tokens",
        [vocab, width],
    ));
    let output_norm = Rule::norm("output_norm", "model.norm", width);
    rules.extend([output_norm.bias(), output_norm]);
    let attn = |name: &str| format!("model.layers.{{}}.self_attn.{name}_proj");
    let mlp = |name: &str| format!("model.layers.{{}}.mlp.{name}_proj");
    let biased = [
        Rule::matrix("blk.{}.attn_q", &attn("q"), Role::AttnQ, [q, width]),
        Rule::matrix("blk.{}.attn_k", &attn("k"), Role::AttnK, [kv, width]),
        Rule::matrix("blk.{}.attn_v", &attn("v"), Role::AttnV, [kv, width]),
    ];
    let plain = [
        Rule::matrix("blk.{}.attn_output", &attn("o"), Role::AttnOutput, [width, q]),
        Rule::matrix("blk.{}.ffn_gate", &mlp("gate"), Role::FfnGate, [ffn, width]),
        Rule::matrix("blk.{}.ffn_up", &mlp("up"), Role::FfnUp, [ffn, width]),
        Rule::matrix("blk.{}.ffn_down", &mlp("down"), Role::FfnDown, [width, ffn]),
    ];
    let head_norms = [
        head_norms("q", heads, head_dim),
        head_norms("k", kv_heads, head_dim),
    ];
    let head_norms = head_norms.map(|rule| rule.stated(config.qk_layernorm));
    let mut norms = vec![Rule::norm(
        "blk.{}.attn_norm",
        "model.layers.{}.input_layernorm",
        width,
    )];
    if !config.use_parallel_residual.unwrap_or(false) {
        norms.push(Rule::norm(
            "blk.{}.ffn_norm",
            "model.layers.{}.post_attention_layernorm",
            width,
        ));
    }
    for layer in 0..dims.layers {
        for rule in &biased {
            let bias = rule.bias().stated(config.use_qkv_bias);
            rules.extend(
                [rule.clone()]
                    .into_iter()
                    .chain(bias)
                    .map(|rule| rule.in_layer(layer)),
            );
        }
        let plain = plain.iter().chain(head_norms.iter().flatten());
        rules.extend(plain.map(|rule| rule.clone().in_layer(layer)));
        for rule in &norms {
            rules.extend([rule.clone(), rule.bias()].map(|rule| rule.in_layer(layer)));
        }
    }
    Ok(rules)
}

/// The norms of a projection's heads: one vector per head in the checkpoint, one matrix `[heads, head_dim]`
/// in GGUF.
fn head_norms(name: &str, heads: u64, head_dim: u64) -> Rule {
    let source = |head| format!("model.layers.{{}}.self_attn.{name}_layernorm.norms.{head}.weight");
    let mut rule = Rule::matrix(
        &format!("blk.{{}}.attn_{name}_norm"),
        "",
        Role::Vector,
        [heads, head_dim],
    );
    rule.sources = (0..heads).map(source).collect();
    rule.moved(Transform::Stack)
}
