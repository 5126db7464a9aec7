//! Llama: RMSNorm, RoPE on whole heads, grouped-query attention, gated feed-forward.

use super::{ArchError, Dims, Keys, Rule};
use super::{Role, Transform};
use crate::FileType;
use crate::config::{Config, RopeScaling};

pub(super) fn keys(config: &Config, file_type: FileType, keys: &mut Keys) {
    keys.count("block_count", config.num_hidden_layers.into());
    keys.count("context_length", config.max_position_embeddings.unwrap_or(2048));
    keys.count("embedding_length", config.hidden_size);
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("attention.head_count", config.num_attention_heads);
    keys.count("attention.head_count_kv", config.kv_heads());
    keys.rope_scaling(config);
    keys.set("rope.freq_base", config.rope_theta() as f32);
    keys.set(
        "attention.layer_norm_rms_epsilon",
        config.rms_norm_eps.unwrap_or(1e-6) as f32,
    );
    keys.count("attention.key_length", config.head_dim());
    keys.count("attention.value_length", config.head_dim());
    keys.file_type(file_type);
    keys.count("vocab_size", config.vocab_size.unwrap_or_default());
    keys.count("rope.dimension_count", config.head_dim());
}

pub(super) fn rules(config: &Config, dims: &Dims) -> Result<Vec<Rule>, ArchError> {
    let Dims {
        width,
        ffn,
        vocab,
        heads,
        kv_heads,
        ..
    } = *dims;
    let (q, kv) = (dims.q(), dims.kv());
    let mut rules = Vec::new();
    if let Some(values) = rope_factors(config)? {
        rules.push(Rule {
            output: "rope_freqs.weight".into(),
            sources: vec![],
            shape: vec![values.len() as u64],
            transform: Transform::Generated { values },
            role: Role::Vector,
            layer: None,
            optional: false,
        });
    }
    rules.push(Rule::matrix(
        "token_embd",
        "model.embed_tokens",
        Role::TokenEmbd,
        [vocab, width],
    ));
    rules.push(Rule::output(config, "lm_head", [vocab, width]));
    rules.push(Rule::norm("output_norm", "model.norm", width));
    let (pairs_q, pairs_k) = (
        Transform::PermuteRotary { heads },
        Transform::PermuteRotary { heads: kv_heads },
    );
    let attn = |name: &str| format!("model.layers.{{}}.self_attn.{name}_proj");
    let mlp = |name: &str| format!("model.layers.{{}}.mlp.{name}_proj");
    let matrices = [
        Rule::matrix("blk.{}.attn_q", &attn("q"), Role::AttnQ, [q, width]).moved(pairs_q),
        Rule::matrix("blk.{}.attn_k", &attn("k"), Role::AttnK, [kv, width]).moved(pairs_k),
        Rule::matrix("blk.{}.attn_v", &attn("v"), Role::AttnV, [kv, width]),
        Rule::matrix("blk.{}.attn_output", &attn("o"), Role::AttnOutput, [width, q]),
        Rule::matrix("blk.{}.ffn_gate", &mlp("gate"), Role::FfnGate, [ffn, width]),
        Rule::matrix("blk.{}.ffn_up", &mlp("up"), Role::FfnUp, [ffn, width]),
        Rule::matrix("blk.{}.ffn_down", &mlp("down"), Role::FfnDown, [width, ffn]),
    ];
    let norms = [
        Rule::norm("blk.{}.attn_norm", "model.layers.{}.input_layernorm", width),
        Rule::norm(
            "blk.{}.ffn_norm",
            "model.layers.{}.post_attention_layernorm",
            width,
        ),
    ];
    for layer in 0..dims.layers {
        for rule in &matrices {
            let bias = rule.bias().stated(match rule.role {
                Role::FfnGate | Role::FfnUp | Role::FfnDown => config.mlp_bias,
                _ => config.attention_bias,
            });
            rules.push(rule.clone().in_layer(layer));
            rules.extend(bias.map(|bias| bias.in_layer(layer)));
        }
        rules.extend(norms.iter().map(|rule| rule.clone().in_layer(layer)));
    }
    Ok(rules)
}

/// Llama 3's RoPE factors, one for each pair of a head; llama.cpp divides each frequency by its factor.
///
/// Source: `_compute_llama3_parameters` of transformers. Wavelengths below `original / high` are not changed,
/// those above `original / low` are divided by the factor, those between are blended. Computed in f32, as in
/// torch.
fn rope_factors(config: &Config) -> Result<Option<Vec<f32>>, ArchError> {
    let Some(scaling) = config
        .rope_scaling()
        .filter(|s| s.rope_type.as_deref() == Some("llama3"))
    else {
        return Ok(None);
    };
    let RopeScaling {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
        ..
    } = scaling;
    let factor = factor.unwrap_or(8.0);
    let (low, high) = (low_freq_factor.unwrap_or(1.0), high_freq_factor.unwrap_or(4.0));
    // As in transformers 5, the setting next to the RoPE object comes first, and the context is the default.
    let original = config
        .original_max_position_embeddings
        .or(*original_max_position_embeddings)
        .or(config.max_position_embeddings.map(|context| context as f64))
        .unwrap_or(8192.0);
    if [factor, low, high, original]
        .iter()
        .any(|v| !(v.is_finite() && *v > 0.0))
        || high <= low
    {
        return Err(ArchError::Config(format!(
            "llama3 rope scaling needs positive numbers and low_freq_factor < high_freq_factor; found factor {factor}, low {low}, high {high}, original {original}"
        )));
    }
    let dim = config.head_dim();
    let frequency = |pair: u64| {
        let exponent = (2 * pair) as f32 / dim as f32;
        1.0 / (config.rope_theta().powf(f64::from(exponent)) as f32)
    };
    let scaled = |frequency: f32| {
        let wavelength = std::f64::consts::TAU as f32 / frequency;
        if wavelength < (original / high) as f32 {
            1.0
        } else if wavelength > (original / low) as f32 {
            factor as f32
        } else {
            let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
            1.0 / ((1.0 - smooth) / factor as f32 + smooth)
        }
    };
    Ok(Some((0..dim / 2).map(|pair| scaled(frequency(pair))).collect()))
}
