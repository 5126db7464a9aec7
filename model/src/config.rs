//! `config.json` in the styles of transformers 4 and 5, and the sampling settings of
//! `generation_config.json`.
//!
//! Reading is lenient as Python is: a setting may be `256.0` or `"256"`, or a list of equal values. What cannot be
//! read is kept as a problem, which [`Arch::from_config`](crate::arch::Arch::from_config) reports after it has found
//! that siskin knows the architecture: another architecture's settings have other forms.

mod rope;
mod values;

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::{self, JsonError};

#[cfg(test)]
pub(crate) use rope::ROPE_KEYS;
pub use rope::RopeScaling;
pub(crate) use values::{one, shown};

/// The settings of `config.json` that conversion needs. Missing ones are `None`, or 0 for a dimension; each
/// architecture has its own defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Class names; the first determines the architecture.
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
    pub layer_norm_eps: Option<f64>,
    /// RoPE base frequency outside of the RoPE object, and GPT-NeoX's name for it.
    pub(crate) rope_theta: Option<f64>,
    pub(crate) rotary_emb_base: Option<f64>,
    /// Rotated part of each head outside of the RoPE object, and GPT-NeoX's name for it.
    pub(crate) partial_rotary_factor: Option<f64>,
    pub(crate) rotary_pct: Option<f64>,
    /// Context before scaling; next to the RoPE object, it comes before the one inside.
    pub(crate) original_max_position_embeddings: Option<f64>,
    /// `rope_scaling` and `rope_parameters`, joined.
    pub(crate) rope: Option<RopeScaling>,
    /// True if attention and feed-forward both read the block's input.
    pub use_parallel_residual: Option<bool>,
    /// True if the embedding matrix is also the output matrix.
    pub tie_word_embeddings: Option<bool>,
    /// Llama: true if the four projections of attention have biases.
    pub attention_bias: Option<bool>,
    /// Llama: true if the three projections of the feed-forward have biases.
    pub mlp_bias: Option<bool>,
    /// StableLM: true if the projections to queries, keys and values have biases.
    pub use_qkv_bias: Option<bool>,
    /// StableLM: true if each head's queries and keys have a norm.
    pub qk_layernorm: Option<bool>,
    /// Id of the beginning-of-sequence token.
    pub bos_token_id: Option<TokenIds>,
    /// Ids of the end-of-sequence tokens.
    pub eos_token_id: Option<TokenIds>,
    /// Id of the padding token.
    pub pad_token_id: Option<TokenIds>,
    /// Every setting of the file, as its JSON text.
    pub(crate) settings: BTreeMap<String, String>,
    /// Keys of the RoPE objects that transformers does not know.
    pub(crate) unknown: Vec<String>,
    /// The first setting that cannot be read, and why.
    pub(crate) problem: Option<String>,
}

/// One token id or a list of them.
#[derive(Debug, Clone, PartialEq)]
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

    /// Reads an id or a list; ids may be written as `2.0`.
    fn read(raw: &str) -> Result<Option<Self>, String> {
        let id = |number: f64| (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
        let wrong = || format!("is {}; it must be a token id, or a list of them", shown(raw));
        if raw.starts_with('[') {
            let numbers: Vec<f64> = serde_json::from_str(raw).map_err(|_| wrong())?;
            let ids: Option<Vec<i64>> = numbers.into_iter().map(id).collect();
            return ids.map(|ids| Some(TokenIds::Many(ids))).ok_or_else(wrong);
        }
        let number = values::float(raw).map_err(|_| wrong())?;
        number
            .map(|number| id(number).map(TokenIds::One).ok_or_else(wrong))
            .transpose()
    }
}

impl<'de> Deserialize<'de> for TokenIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let ids = Self::read(raw.get()).map_err(D::Error::custom)?;
        ids.ok_or_else(|| D::Error::custom("no token id"))
    }
}

/// Reads settings by name and keeps the first problem.
struct Reader<'a> {
    settings: &'a BTreeMap<String, String>,
    problem: Option<String>,
}

impl Reader<'_> {
    fn get<T>(&mut self, key: &str, read: fn(&str) -> Result<Option<T>, String>) -> Option<T> {
        match read(self.settings.get(key)?) {
            Ok(value) => value,
            Err(problem) => {
                self.problem.get_or_insert(format!("{key} {problem}"));
                None
            }
        }
    }

    fn whole(&mut self, key: &str) -> Option<u64> {
        self.get(key, values::whole)
    }

    fn float(&mut self, key: &str) -> Option<f64> {
        self.get(key, values::float)
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.get(key, values::flag)
    }

    fn ids(&mut self, key: &str) -> Option<TokenIds> {
        self.get(key, TokenIds::read)
    }

    fn rope(&mut self, unknown: &mut Vec<String>) -> Option<RopeScaling> {
        let mut read = |key: &str| match self.settings.get(key) {
            Some(raw) => RopeScaling::read(key, raw, unknown),
            None => Ok(None),
        };
        let joined =
            read("rope_scaling").and_then(|scaling| RopeScaling::join(scaling, read("rope_parameters")?));
        joined.unwrap_or_else(|problem| {
            self.problem.get_or_insert(problem);
            None
        })
    }
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// Fails if the text is not a JSON object. A setting that cannot be used is reported with the architecture.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        json::from_slice(text)
    }

    fn from_settings(settings: BTreeMap<String, String>) -> Self {
        let mut read = Reader {
            settings: &settings,
            problem: None,
        };
        // Null is false for Python; it matters if the default is true.
        let parallel = read.flag("use_parallel_residual");
        let stated = settings.contains_key("use_parallel_residual");
        let mut unknown = Vec::new();
        let layers = read.whole("num_hidden_layers").unwrap_or_default();
        let config = Config {
            architectures: read.get("architectures", values::texts).unwrap_or_default(),
            hidden_size: read.whole("hidden_size").unwrap_or_default(),
            intermediate_size: read.whole("intermediate_size").unwrap_or_default(),
            num_hidden_layers: u32::try_from(layers).unwrap_or(u32::MAX),
            num_attention_heads: read.whole("num_attention_heads").unwrap_or_default(),
            num_key_value_heads: read.whole("num_key_value_heads"),
            head_dim: read.whole("head_dim"),
            vocab_size: read.whole("vocab_size"),
            max_position_embeddings: read.whole("max_position_embeddings"),
            rms_norm_eps: read.float("rms_norm_eps"),
            layer_norm_eps: read.float("layer_norm_eps").or(read.float("norm_eps")),
            rope_theta: read.float("rope_theta"),
            rotary_emb_base: read.float("rotary_emb_base"),
            partial_rotary_factor: read.float("partial_rotary_factor"),
            rotary_pct: read.float("rotary_pct"),
            original_max_position_embeddings: read.float("original_max_position_embeddings"),
            rope: read.rope(&mut unknown),
            use_parallel_residual: parallel.or(stated.then_some(false)),
            tie_word_embeddings: read.flag("tie_word_embeddings"),
            attention_bias: read.flag("attention_bias"),
            mlp_bias: read.flag("mlp_bias"),
            use_qkv_bias: read.flag("use_qkv_bias"),
            qk_layernorm: read.flag("qk_layernorm"),
            bos_token_id: read.ids("bos_token_id"),
            eos_token_id: read.ids("eos_token_id"),
            pad_token_id: read.ids("pad_token_id"),
            settings: BTreeMap::new(),
            unknown,
            problem: read.problem,
        };
        Config { settings, ..config }
    }

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

    /// The last part of the name under which transformers loaded the model before it saved it here.
    pub fn name(&self) -> Option<String> {
        let path = values::text(self.settings.get("_name_or_path")?).ok()??;
        let name = path.trim_end_matches('/').rsplit(['/', '\\']).next()?;
        (!name.is_empty() && name != "." && name != "..").then(|| name.to_owned())
    }

    /// True if the embedding matrix is also the output matrix; the default of all three classes is false.
    pub fn tied(&self) -> bool {
        self.tie_word_embeddings.unwrap_or(false)
    }

    /// RoPE base frequency; 10,000 if the configuration has none.
    pub fn rope_theta(&self) -> f64 {
        let newer = self.rope.as_ref().and_then(|p| p.rope_theta);
        newer
            .or(self.rotary_emb_base)
            .or(self.rope_theta)
            .unwrap_or(10_000.0)
    }

    /// RoPE scaling, if the configuration has any.
    pub fn rope_scaling(&self) -> Option<&RopeScaling> {
        let scaled = |p: &&RopeScaling| p.rope_type.as_deref().is_some_and(|ty| ty != "default");
        self.rope.as_ref().filter(scaled)
    }

    /// Rotated part of each head, from 0 to 1.
    pub fn partial_rotary_factor(&self) -> Option<f64> {
        let newer = self.rope.as_ref().and_then(|p| p.partial_rotary_factor);
        newer.or(self.rotary_pct).or(self.partial_rotary_factor)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        let settings = raw.into_iter().map(|(key, value)| (key, value.get().to_owned()));
        Ok(Config::from_settings(settings.collect()))
    }
}

/// Recommended sampling settings of a model, stored as `general.sampling.*`.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)] // the names are generation_config.json's
pub struct Sampling {
    pub top_k: Option<i32>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub temperature: Option<f32>,
    pub repetition_penalty: Option<f32>,
}

impl Sampling {
    /// Reads the text of a `generation_config.json`. A setting that is no usable number is left out.
    ///
    /// # Errors
    /// Fails if the text is not a JSON object.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let settings: BTreeMap<String, Box<RawValue>> = json::from_slice(text)?;
        let float = |key: &str| {
            let number = values::float(settings.get(key)?.get()).ok()??;
            Some(number as f32).filter(|number| number.is_finite())
        };
        Ok(Sampling {
            top_k: float("top_k").filter(|k| k.fract() == 0.0).map(|k| k as i32),
            top_p: float("top_p"),
            min_p: float("min_p"),
            temperature: float("temperature"),
            repetition_penalty: float("repetition_penalty"),
        })
    }
}

#[cfg(test)]
mod tests;
