//! The rule for one output tensor, and the dimensions that the tables use.

use super::ArchError;
use super::{Role, Transform};
use crate::config::Config;

/// One output tensor of an architecture, keyed by its GGUF name.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// GGUF name.
    pub output: String,
    /// Tensor names in the checkpoint; empty for a generated tensor.
    pub sources: Vec<String>,
    /// How rows of the sources become its rows.
    pub transform: Transform,
    /// What it is for.
    pub role: Role,
    /// The block it belongs to, if it belongs to one.
    pub layer: Option<u32>,
    /// Shape in ggml's order: the row length first.
    pub shape: Vec<u64>,
    /// True if a checkpoint may lack this tensor (biases).
    pub optional: bool,
}

impl Rule {
    /// A matrix of `rows x len` that is copied without changes.
    pub fn matrix(output: &str, source: &str, role: Role, [rows, len]: [u64; 2]) -> Self {
        Rule {
            output: format!("{output}.weight"),
            sources: vec![format!("{source}.weight")],
            transform: Transform::Copy,
            role,
            layer: None,
            shape: vec![len, rows],
            optional: false,
        }
    }

    /// The output matrix; optional if the embedding matrix is also the output matrix.
    pub fn output(config: &Config, source: &str, size: [u64; 2]) -> Self {
        Rule {
            optional: config.tied(),
            ..Rule::matrix("output", source, Role::Output, size)
        }
    }

    /// The output matrix of an architecture for which llama.cpp does not use the embedding as the output: a tied one is
    /// written twice.
    pub fn own_output(config: &Config, source: &str, embedding: &str, size: [u64; 2]) -> Self {
        let source = if config.tied() { embedding } else { source };
        Rule::matrix("output", source, Role::Output, size)
    }

    /// The weight vector of a norm.
    pub fn norm(output: &str, source: &str, len: u64) -> Self {
        let mut rule = Rule::matrix(output, source, Role::Vector, [1, len]);
        rule.shape = vec![len];
        rule
    }

    /// Moves the rows by `transform`.
    pub fn moved(self, transform: Transform) -> Self {
        Rule { transform, ..self }
    }

    /// Marks the tensor as optional.
    pub fn optional(self) -> Self {
        Rule {
            optional: true,
            ..self
        }
    }

    /// The tensor as a setting states it: required, absent, or, if the configuration does not state it, optional.
    pub fn stated(self, setting: Option<bool>) -> Option<Self> {
        match setting {
            Some(true) => Some(self),
            Some(false) => None,
            None => Some(self.optional()),
        }
    }

    /// The bias of this matrix or norm; its rows are permuted in the same way.
    pub fn bias(&self) -> Self {
        let rename = |name: &str| {
            name.strip_suffix("weight")
                .map_or(name.to_owned(), |stem| format!("{stem}bias"))
        };
        Rule {
            output: rename(&self.output),
            sources: self.sources.iter().map(|name| rename(name)).collect(),
            role: Role::Vector,
            shape: vec![*self.shape.last().expect("a shape")],
            ..self.clone()
        }
    }

    /// Replaces `{}` in all names with the layer's number.
    pub fn in_layer(mut self, layer: u32) -> Self {
        let number = layer.to_string();
        self.output = self.output.replace("{}", &number);
        self.sources
            .iter_mut()
            .for_each(|name| *name = name.replace("{}", &number));
        self.layer = Some(layer);
        self
    }
}

/// The dimensions of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub width: u64,
    /// Width of the feed-forward's middle.
    pub ffn: u64,
    /// Query heads.
    pub heads: u64,
    /// Key/value heads.
    pub kv_heads: u64,
    /// Numbers of a head.
    pub head_dim: u64,
    /// Rows of the embedding.
    pub vocab: u64,
}

/// Far above any supported model: the product of two dimensions fits in 64 bits, and a row fits in memory.
pub const MAX_DIM: u64 = 1 << 20;
/// Far above any model's number of heads; keeps the plan of a hostile configuration small.
pub const MAX_HEADS: u64 = 1 << 10;
/// Far above any model's context, in tokens.
pub const MAX_CONTEXT: u64 = 1 << 24;
/// Largest number of blocks that llama.cpp supports (`LLAMA_MAX_LAYERS`).
pub const MAX_LAYERS: u32 = 512;

impl Dims {
    /// Reads the dimensions of `config` and checks that each is possible.
    ///
    /// # Errors
    /// Returns the first dimension that is missing or impossible.
    pub fn from_config(config: &Config) -> Result<Self, ArchError> {
        let vocab = config
            .vocab_size
            .ok_or_else(|| ArchError::Config("vocab_size is missing".into()))?;
        let dims = Dims {
            layers: config.num_hidden_layers,
            width: config.hidden_size,
            ffn: config.intermediate_size,
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim: config.head_dim(),
            vocab,
        };
        let named = [
            ("hidden_size", dims.width, MAX_DIM),
            ("intermediate_size", dims.ffn, MAX_DIM),
            ("num_attention_heads", dims.heads, MAX_HEADS),
            ("num_key_value_heads", dims.kv_heads, MAX_HEADS),
            ("head_dim", dims.head_dim, MAX_DIM),
            ("vocab_size", dims.vocab, MAX_DIM),
            (
                "max_position_embeddings",
                config.max_position_embeddings.unwrap_or(1),
                MAX_CONTEXT,
            ),
        ];
        if let Some((name, value, max)) = named
            .into_iter()
            .find(|(_, value, max)| !(1..=*max).contains(value))
        {
            let value = match value {
                0 => "missing or 0".to_owned(),
                value => value.to_string(),
            };
            return Err(ArchError::Config(format!(
                "{name} is {value}; it must be from 1 to {max}"
            )));
        }
        let checks = [
            (
                !(1..=MAX_LAYERS).contains(&dims.layers),
                "num_hidden_layers must be from 1 to 512",
            ),
            (
                !dims.heads.is_multiple_of(dims.kv_heads),
                "num_attention_heads is not a multiple of num_key_value_heads",
            ),
            (
                !dims.head_dim.is_multiple_of(2),
                "head_dim is odd; rotary embedding needs pairs",
            ),
            (
                config.head_dim.is_none() && !dims.width.is_multiple_of(dims.heads),
                "hidden_size is not a multiple of num_attention_heads",
            ),
        ];
        match checks.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(ArchError::Config(what.into())),
            None => Ok(dims),
        }
    }

    /// Rows of the query projection.
    pub fn q(&self) -> u64 {
        self.heads * self.head_dim
    }

    /// Rows of the key projection, and of the value projection.
    pub fn kv(&self) -> u64 {
        self.kv_heads * self.head_dim
    }
}
