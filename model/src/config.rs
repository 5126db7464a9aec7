//! `config.json` in the styles of transformers 4 and 5, and what `generation_config.json` says of sampling.

use serde::Deserialize;

/// The fields of `config.json` that conversion needs. Absent ones are `None`; each architecture knows its
/// own defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Config {
    /// Class names; the first decides the architecture.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the feed-forward's middle.
    pub intermediate_size: u64,
    /// Blocks.
    pub num_hidden_layers: u32,
    /// Query heads.
    pub num_attention_heads: u64,
    /// Key/value heads; as many as query heads where absent.
    pub num_key_value_heads: Option<u64>,
    /// Weights a head; `hidden_size / num_attention_heads` where absent.
    pub head_dim: Option<u64>,
    /// Rows of the embedding.
    pub vocab_size: Option<u64>,
    /// Training context in tokens.
    pub max_position_embeddings: Option<u64>,
    /// RMSNorm epsilon.
    pub rms_norm_eps: Option<f64>,
    /// LayerNorm epsilon.
    #[serde(alias = "norm_eps")]
    pub layer_norm_eps: Option<f64>,
    /// Rotary base, transformers 4.
    #[serde(alias = "rotary_emb_base")]
    rope_theta: Option<f64>,
    /// Rotary scaling, transformers 4.
    rope_scaling: Option<RopeScaling>,
    /// Both, transformers 5.
    rope_parameters: Option<RopeScaling>,
    /// Share of a head that rotates.
    #[serde(alias = "rotary_pct")]
    partial_rotary_factor: Option<f64>,
    /// Attention and feed-forward both read the block's input.
    pub use_parallel_residual: Option<bool>,
    /// The embedding serves as the output too.
    pub tie_word_embeddings: Option<bool>,
    /// Beginning-of-text id.
    pub bos_token_id: Option<TokenIds>,
    /// End-of-text ids.
    pub eos_token_id: Option<TokenIds>,
    /// Padding id.
    pub pad_token_id: Option<TokenIds>,
}

/// A token id, or several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// One.
    One(i64),
    /// Several; the first counts.
    Many(Vec<i64>),
}

impl TokenIds {
    /// The first id.
    pub fn first(&self) -> Option<i64> {
        match self {
            TokenIds::One(id) => Some(*id),
            TokenIds::Many(ids) => ids.first().copied(),
        }
    }
}

/// `rope_scaling` of transformers 4, or `rope_parameters` of transformers 5.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct RopeScaling {
    /// `default`, `linear`, `llama3`, …
    #[serde(alias = "type")]
    pub rope_type: Option<String>,
    /// How much longer the context became.
    pub factor: Option<f64>,
    /// llama3: wavelengths above `original / low` are divided by the factor.
    pub low_freq_factor: Option<f64>,
    /// llama3: wavelengths below `original / high` stay.
    pub high_freq_factor: Option<f64>,
    /// Context before scaling.
    pub original_max_position_embeddings: Option<f64>,
    /// Rotary base (transformers 5).
    pub rope_theta: Option<f64>,
    /// Share of a head that rotates (transformers 5).
    pub partial_rotary_factor: Option<f64>,
}

impl Config {
    /// Key/value heads.
    pub fn kv_heads(&self) -> u64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Weights a head; 0 where the configuration has no heads.
    pub fn head_dim(&self) -> u64 {
        self.head_dim.unwrap_or_else(|| {
            self.hidden_size
                .checked_div(self.num_attention_heads)
                .unwrap_or(0)
        })
    }

    /// Rotary base.
    pub fn rope_theta(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().and_then(|p| p.rope_theta);
        newer.or(self.rope_theta).unwrap_or(10_000.0)
    }

    /// Rotary scaling, where there is any.
    pub fn rope_scaling(&self) -> Option<&RopeScaling> {
        let scaled = |p: &&RopeScaling| p.rope_type.as_deref().is_some_and(|ty| ty != "default");
        self.rope_parameters
            .as_ref()
            .filter(scaled)
            .or(self.rope_scaling.as_ref().filter(scaled))
    }

    /// Share of a head that rotates.
    pub fn partial_rotary_factor(&self) -> Option<f64> {
        let newer = self
            .rope_parameters
            .as_ref()
            .and_then(|p| p.partial_rotary_factor);
        newer.or(self.partial_rotary_factor)
    }
}

/// Sampling settings a model recommends, as `general.sampling.*` carries them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[allow(missing_docs)] // the names are generation_config.json's
pub struct Sampling {
    pub top_k: Option<i32>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub temperature: Option<f32>,
    pub repetition_penalty: Option<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: &str =
        r#""hidden_size":256,"intermediate_size":512,"num_hidden_layers":2,"num_attention_heads":4"#;

    fn config(rest: &str) -> Config {
        serde_json::from_str(&format!("{{{SHAPE}{rest}}}")).expect("a config")
    }

    #[test]
    fn both_styles_say_the_same() {
        let old = config(
            r#","rope_theta":500000.0,"partial_rotary_factor":0.25,"rope_scaling":{"type":"linear","factor":2.0}"#,
        );
        let new = config(
            r#","rope_parameters":{"rope_theta":500000,"rope_type":"linear","factor":2.0,"partial_rotary_factor":0.25}"#,
        );
        let neox = config(
            r#","rotary_emb_base":500000,"rotary_pct":0.25,"rope_scaling":{"rope_type":"linear","factor":2.0}"#,
        );
        for config in [old, new, neox] {
            assert_eq!(config.rope_theta(), 500_000.0);
            assert_eq!(config.partial_rotary_factor(), Some(0.25));
            assert_eq!(config.rope_scaling().and_then(|s| s.factor), Some(2.0));
        }
    }

    #[test]
    fn defaults() {
        let config = config(r#","rope_scaling":null,"eos_token_id":[7,8]"#);
        assert_eq!(
            (config.kv_heads(), config.head_dim(), config.rope_theta()),
            (4, 64, 10_000.0)
        );
        assert_eq!(config.rope_scaling(), None);
        assert_eq!(config.eos_token_id.and_then(|ids| ids.first()), Some(7));
    }
}
