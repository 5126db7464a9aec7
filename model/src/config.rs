//! `config.json` in the styles of transformers 4 and 5, and the sampling settings of
//! `generation_config.json`.

use serde::Deserialize;

/// The fields of `config.json` that conversion needs. Missing fields are `None`; each architecture has its
/// own defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Config {
    /// Class names; the first determines the architecture.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the feed-forward's hidden layer.
    pub intermediate_size: u64,
    /// Number of transformer blocks.
    pub num_hidden_layers: u32,
    /// Number of query heads.
    pub num_attention_heads: u64,
    /// Number of key/value heads; if missing, the number of query heads.
    pub num_key_value_heads: Option<u64>,
    /// Weights per head; if missing, `hidden_size / num_attention_heads`.
    pub head_dim: Option<u64>,
    /// Rows of the embedding matrix.
    pub vocab_size: Option<u64>,
    /// Training context in tokens.
    pub max_position_embeddings: Option<u64>,
    /// RMSNorm epsilon.
    pub rms_norm_eps: Option<f64>,
    /// LayerNorm epsilon.
    #[serde(alias = "norm_eps")]
    pub layer_norm_eps: Option<f64>,
    /// RoPE base frequency (transformers 4).
    #[serde(alias = "rotary_emb_base")]
    rope_theta: Option<f64>,
    /// RoPE scaling (transformers 4).
    rope_scaling: Option<RopeScaling>,
    /// RoPE base and scaling (transformers 5).
    rope_parameters: Option<RopeScaling>,
    /// Rotated part of each head, from 0 to 1.
    #[serde(alias = "rotary_pct")]
    partial_rotary_factor: Option<f64>,
    /// True if attention and feed-forward both read the block's input.
    pub use_parallel_residual: Option<bool>,
    /// True if the embedding matrix is also the output matrix.
    pub tie_word_embeddings: Option<bool>,
    /// Id of the beginning-of-sequence token.
    pub bos_token_id: Option<TokenIds>,
    /// Ids of the end-of-sequence tokens.
    pub eos_token_id: Option<TokenIds>,
    /// Id of the padding token.
    pub pad_token_id: Option<TokenIds>,
}

/// One token id or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// A single id.
    One(i64),
    /// Several ids; the first is used.
    Many(Vec<i64>),
}

impl TokenIds {
    /// Returns the first id.
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
    /// Factor by which scaling extends the context.
    pub factor: Option<f64>,
    /// llama3: wavelengths above `original / low` are divided by the factor.
    pub low_freq_factor: Option<f64>,
    /// llama3: wavelengths below `original / high` are not changed.
    pub high_freq_factor: Option<f64>,
    /// Context before scaling, in tokens.
    pub original_max_position_embeddings: Option<f64>,
    /// RoPE base frequency (transformers 5).
    pub rope_theta: Option<f64>,
    /// Rotated part of each head, from 0 to 1 (transformers 5).
    pub partial_rotary_factor: Option<f64>,
}

impl Config {
    /// Number of key/value heads; if the configuration has none, the number of query heads.
    pub fn kv_heads(&self) -> u64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Weights per head; 0 if the configuration has no heads.
    pub fn head_dim(&self) -> u64 {
        self.head_dim.unwrap_or_else(|| {
            self.hidden_size
                .checked_div(self.num_attention_heads)
                .unwrap_or(0)
        })
    }

    /// RoPE base frequency; 10,000 if the configuration has none.
    pub fn rope_theta(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().and_then(|p| p.rope_theta);
        newer.or(self.rope_theta).unwrap_or(10_000.0)
    }

    /// RoPE scaling, if the configuration has any.
    pub fn rope_scaling(&self) -> Option<&RopeScaling> {
        let scaled = |p: &&RopeScaling| p.rope_type.as_deref().is_some_and(|ty| ty != "default");
        self.rope_parameters
            .as_ref()
            .filter(scaled)
            .or(self.rope_scaling.as_ref().filter(scaled))
    }

    /// Rotated part of each head, from 0 to 1.
    pub fn partial_rotary_factor(&self) -> Option<f64> {
        let newer = self
            .rope_parameters
            .as_ref()
            .and_then(|p| p.partial_rotary_factor);
        newer.or(self.partial_rotary_factor)
    }
}

/// Recommended sampling settings of a model, stored as `general.sampling.*`.
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
