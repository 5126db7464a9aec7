//! GPT-NeoX (Pythia): LayerNorm with bias, fused q, k and v, biases everywhere, parallel residual.

use super::{ArchError, Dims, Keys, Rule};
use super::{Role, Transform};
use crate::FileType;
use crate::config::Config;

pub(super) fn keys(config: &Config, file_type: FileType, keys: &mut Keys) {
    let rotary = config.partial_rotary_factor().unwrap_or(0.25);
    keys.count("context_length", config.max_position_embeddings.unwrap_or(2048));
    keys.count("embedding_length", config.hidden_size);
    keys.count("block_count", config.num_hidden_layers.into());
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("rope.dimension_count", (rotary * config.head_dim() as f64) as u64);
    keys.count("attention.head_count", config.num_attention_heads);
    keys.set(
        "use_parallel_residual",
        config.use_parallel_residual.unwrap_or(true),
    );
    keys.set(
        "attention.layer_norm_epsilon",
        config.layer_norm_eps.unwrap_or(1e-5) as f32,
    );
    // llama.cpp's converter does not write the file type for this architecture; llama-quantize does.
    if file_type.is_quantized() {
        keys.file_type(file_type);
    }
    keys.unusual_rope(config);
}

pub(super) fn rules(config: &Config, dims: &Dims) -> Result<Vec<Rule>, ArchError> {
    let Dims {
        width,
        ffn,
        vocab,
        heads,
        ..
    } = *dims;
    if dims.kv_heads != heads || dims.q() != width {
        return Err(ArchError::Config(
            "GPT-NeoX needs as many key/value heads as query heads, and heads that together have hidden_size weights"
                .into(),
        ));
    }
    let mut rules = vec![Rule::matrix(
        "token_embd",
        "gpt_neox.embed_in",
        Role::TokenEmbd,
        [vocab, width],
    )];
    rules.push(Rule::own_output(
        config,
        "embed_out",
        "gpt_neox.embed_in",
        [vocab, width],
    ));
    let output_norm = Rule::norm("output_norm", "gpt_neox.final_layer_norm", width);
    rules.extend([output_norm.bias(), output_norm]);
    let block = |name: &str| format!("gpt_neox.layers.{{}}.{name}");
    let regroup = Transform::RegroupQkv { heads };
    let pairs = [
        Rule::matrix(
            "blk.{}.attn_qkv",
            &block("attention.query_key_value"),
            Role::AttnQkv,
            [3 * width, width],
        )
        .moved(regroup),
        Rule::matrix(
            "blk.{}.attn_output",
            &block("attention.dense"),
            Role::AttnOutput,
            [width, width],
        ),
        Rule::matrix(
            "blk.{}.ffn_up",
            &block("mlp.dense_h_to_4h"),
            Role::FfnUp,
            [ffn, width],
        ),
        Rule::matrix(
            "blk.{}.ffn_down",
            &block("mlp.dense_4h_to_h"),
            Role::FfnDown,
            [width, ffn],
        ),
        Rule::norm("blk.{}.attn_norm", &block("input_layernorm"), width),
        Rule::norm("blk.{}.ffn_norm", &block("post_attention_layernorm"), width),
    ];
    for layer in 0..dims.layers {
        for rule in &pairs {
            rules.extend([rule.clone(), rule.bias()].map(|rule| rule.in_layer(layer)));
        }
    }
    Ok(rules)
}
