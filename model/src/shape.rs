//! A model's sizes, from a GGUF header: what memory and speed follow from.
//!
//! [`Dimensions`] is what the keys state, each or none; [`Shape`] is everything that a plan of memory needs. For a
//! checkpoint that is not converted yet, `siskin_quant::outline` makes the header that it would get, and the same
//! functions read that.

use serde::Serialize;

use crate::cache_type::CacheType;
use crate::gguf::{Array, Header, Metadata, TensorInfo, Value};
use crate::tokenizer::size;
use crate::{FileType, TensorType};

/// Hyper-parameters as a header states them, with llama.cpp's defaults for those that follow from others. What is
/// missing is `None`; nothing is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dimensions {
    /// Blocks.
    pub layers: Option<u64>,
    /// Width of the residual stream.
    pub width: Option<u64>,
    /// Width of the feed-forward's middle.
    pub ffn: Option<u64>,
    /// Query heads.
    pub heads: Option<u64>,
    /// Key/value heads; as many as query heads if the header states none.
    pub kv_heads: Option<u64>,
    /// Numbers of a head's key; `width / heads` if the header states none.
    pub key_length: Option<u64>,
    /// Numbers of a head's value; `width / heads` if the header states none.
    pub value_length: Option<u64>,
    /// Context in training, in tokens.
    pub training_context: Option<u64>,
    /// Tokens in the vocabulary.
    pub vocabulary: Option<u64>,
}

impl Dimensions {
    /// Reads the keys of the header's architecture.
    pub fn from_metadata(metadata: &Metadata) -> Self {
        let arch = metadata.text("general.architecture").unwrap_or_default();
        let count = |key: &str| number(metadata.get(&format!("{arch}.{key}"))?);
        let (width, heads) = (count("embedding_length"), count("attention.head_count"));
        let head_dim = width
            .zip(heads)
            .and_then(|(width, heads)| width.checked_div(heads));
        Dimensions {
            layers: count("block_count"),
            width,
            ffn: count("feed_forward_length"),
            heads,
            kv_heads: count("attention.head_count_kv").or(heads),
            key_length: count("attention.key_length").or(head_dim),
            value_length: count("attention.value_length").or(head_dim),
            training_context: count("context_length"),
            vocabulary: metadata
                .strings("tokenizer.ggml.tokens")
                .map(|tokens| tokens.len() as u64),
        }
    }

    /// Numbers that a token adds to the cache in one layer: keys, values.
    pub fn cache_width(&self) -> Option<(u64, u64)> {
        let kv_heads = self.kv_heads?;
        Some((
            kv_heads.saturating_mul(self.key_length?),
            kv_heads.saturating_mul(self.value_length?),
        ))
    }
}

/// A model's shape and sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shape {
    /// Architecture, as GGUF names it.
    pub arch: String,
    /// File type, if it is one that siskin writes.
    pub file_type: Option<FileType>,
    /// Blocks.
    pub layers: u64,
    /// Width of the residual stream.
    pub width: u64,
    /// Width of the feed-forward's middle.
    pub ffn: u64,
    /// Tensors of that width alive at once: two if a gate multiplies the middle, else one.
    pub middles: u64,
    /// Query heads.
    pub heads: u64,
    /// Numbers that a token adds to the cache's keys in one layer.
    pub key_width: u64,
    /// Numbers that a token adds to the cache's values in one layer.
    pub value_width: u64,
    /// Numbers of a head's key.
    pub head_dim: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: u64,
    /// Bytes of the texts of tokens and merges in memory, with what llama.cpp keeps around them.
    pub vocabulary_bytes: u64,
    /// Context in training, in tokens.
    pub training_context: u32,
    /// Bytes of the file before the weights.
    pub header_bytes: u64,
    /// Bytes of the file that are neither header nor weights: gaps between tensors, and what follows the last one.
    pub waste_bytes: u64,
    /// Weights of all tensors.
    pub parameters: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Bytes of weights that decoding one token reads.
    pub weight_bytes_per_token: u64,
    /// Of the weights, the bytes of the input embedding, if it is not the output too.
    pub embedding_bytes: u64,
    /// Of the weights, the bytes of matrices that llama.cpp can repack.
    pub repackable_bytes: u64,
    /// Sizes of the model in each file type, the largest first, if the weights' shapes are known.
    #[serde(skip)]
    pub by_type: Vec<(FileType, u64)>,
}

/// The header lacks a key that every language model has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: missing or not a number; is this a language model?")]
pub struct ShapeError(pub String);

/// Types that llama.cpp repacks on some CPU (`ggml_repack_get_optimal_repack_type`).
const REPACKABLE: [TensorType; 7] = [
    TensorType::Q4_0,
    TensorType::Q8_0,
    TensorType::Q2K,
    TensorType::Q4K,
    TensorType::Q5K,
    TensorType::Q6K,
    TensorType::Iq4Nl,
];

/// Tensors of which decoding reads one row a token, not the whole.
const LOOKED_UP: [&str; 3] = ["token_embd.weight", "position_embd.weight", "token_types.weight"];

/// llama.cpp rounds contexts up to a multiple of this (`llama_context`, `GGML_PAD(n_ctx, 256)`).
pub const CONTEXT_STEP: u64 = 256;

impl Shape {
    /// Reads the header of a GGUF file.
    ///
    /// # Errors
    /// The first key that is missing or not a number.
    pub fn from_header(header: &Header) -> Result<Self, ShapeError> {
        let keys = &header.metadata;
        let arch = keys
            .text("general.architecture")
            .ok_or_else(|| ShapeError("general.architecture".into()))?;
        let stated = Dimensions::from_metadata(keys);
        let needed = |value: Option<u64>, key: &str| value.ok_or_else(|| ShapeError(format!("{arch}.{key}")));
        let layers = needed(stated.layers, "block_count")?;
        let width = needed(stated.width, "embedding_length")?;
        let ffn = needed(stated.ffn, "feed_forward_length")?;
        let heads = needed(stated.heads, "attention.head_count")?;
        let training_context = needed(stated.training_context, "context_length")?;
        // Only a head count of 0 leaves these out.
        let (key_width, value_width) = stated
            .cache_width()
            .ok_or_else(|| ShapeError(format!("{arch}.attention.head_count")))?;
        let repackable = |tensor: &&TensorInfo| is_repackable(tensor);
        let weight_bytes = sum(header.tensors.iter().map(bytes));
        Ok(Shape {
            arch: arch.to_owned(),
            file_type: keys
                .get("general.file_type")
                .and_then(Value::as_count)
                .and_then(|id| FileType::from_id(u32::try_from(id).ok()?)),
            layers,
            width,
            ffn,
            middles: middles(&header.tensors),
            heads,
            key_width,
            value_width,
            head_dim: stated.key_length.unwrap_or_default(),
            vocabulary: stated.vocabulary.unwrap_or(0),
            vocabulary_bytes: size::from_metadata(keys),
            training_context: u32::try_from(training_context).unwrap_or(u32::MAX),
            header_bytes: header.data_start,
            waste_bytes: header
                .file_len
                .saturating_sub(header.data_start)
                .saturating_sub(weight_bytes),
            parameters: sum(header.tensors.iter().map(weights)),
            weight_bytes,
            weight_bytes_per_token: weight_bytes_per_token(header, arch),
            embedding_bytes: embedding_bytes(&header.tensors),
            repackable_bytes: sum(header.tensors.iter().filter(repackable).map(bytes)),
            by_type: vec![],
        })
    }

    /// Bytes of the KV cache of a context of `tokens`. llama.cpp clears the cache when it makes it, so all of it is
    /// resident: `layers x (key_width + value_width) x tokens`, the tokens rounded up to [`CONTEXT_STEP`].
    pub fn kv_bytes(&self, cache_type: CacheType, tokens: u32) -> u64 {
        let cells = u64::from(tokens).next_multiple_of(CONTEXT_STEP);
        cells.saturating_mul(self.kv_bytes_per_token(cache_type))
    }

    /// Bytes that a token adds to the KV cache.
    pub fn kv_bytes_per_token(&self, cache_type: CacheType) -> u64 {
        let (keys, values) = (
            cache_type.bytes(self.key_width),
            cache_type.bytes(self.value_width),
        );
        self.layers.saturating_mul(keys.saturating_add(values))
    }

    /// Bytes that decoding one token after `depth` others reads: the weights once, and the others' keys and values.
    pub fn bytes_read_per_token(&self, depth: u32, cache_type: CacheType) -> u64 {
        let cache = u64::from(depth).saturating_mul(self.kv_bytes_per_token(cache_type));
        self.weight_bytes_per_token.saturating_add(cache)
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn weights(tensor: &TensorInfo) -> u64 {
    tensor.shape.iter().fold(1, |n: u64, &dim| n.saturating_mul(dim))
}

fn bytes(tensor: &TensorInfo) -> u64 {
    tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(0)
}

fn middles(tensors: &[TensorInfo]) -> u64 {
    let gated = tensors
        .iter()
        .any(|tensor| tensor.name.ends_with("ffn_gate.weight"));
    if gated { 2 } else { 1 }
}

fn embedding_bytes(tensors: &[TensorInfo]) -> u64 {
    let named = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
    named("output.weight")
        .and_then(|_| named("token_embd.weight"))
        .map_or(0, bytes)
}

fn is_repackable(tensor: &TensorInfo) -> bool {
    tensor.shape.len() == 2 && REPACKABLE.contains(&tensor.ty) && tensor.name != "token_embd.weight"
}

/// Bytes of weights read for a token: every matrix whole, but of the embedding one row, unless it serves as the
/// output too; of a mixture of experts, those in use.
fn weight_bytes_per_token(header: &Header, arch: &str) -> u64 {
    let tied = !header.tensors.iter().any(|tensor| tensor.name == "output.weight");
    let read = |tensor: &TensorInfo| {
        let name = tensor.name.as_str();
        if LOOKED_UP.contains(&name) && !(tied && name == LOOKED_UP[0]) {
            let row = tensor.shape.first().copied().unwrap_or(0);
            tensor.ty.row_bytes(row).unwrap_or(0)
        } else {
            bytes(tensor)
        }
    };
    let all = sum(header.tensors.iter().map(read));
    let count = |key: &str| {
        let value = header.metadata.get(&format!("{arch}.{key}"));
        value.and_then(Value::as_count).unwrap_or(0)
    };
    let (used, experts @ 1..) = (count("expert_used_count"), count("expert_count")) else {
        return all;
    };
    let of_experts = header
        .tensors
        .iter()
        .filter(|tensor| tensor.name.contains("_exps."));
    let resting = sum(of_experts.map(bytes));
    all - resting + resting / experts * used.min(experts)
}

/// A count of any integer type; of a list (one number a layer) the largest.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Array(Array::U32(list)) => list.iter().max().map(|n| (*n).into()),
        Value::Array(Array::I32(list)) => list.iter().max().and_then(|n| u64::try_from(*n).ok()),
        value => value.as_count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[u64], ty: TensorType) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            shape: shape.to_vec(),
            ty,
            offset: 0,
        }
    }

    fn header(tensors: Vec<TensorInfo>, more: &[(&str, Value)]) -> Header {
        let mut metadata = Metadata::new();
        metadata.set("general.architecture", "llama");
        metadata.set("general.file_type", 15u32);
        for (key, value) in [
            ("block_count", 2u32),
            ("attention.head_count", 4),
            ("embedding_length", 256),
            ("context_length", 512),
            ("feed_forward_length", 512),
        ] {
            metadata.set(format!("llama.{key}"), value);
        }
        metadata.extend(
            more.iter()
                .map(|(key, value)| (format!("llama.{key}"), value.clone())),
        );
        Header {
            version: 3,
            metadata,
            tensors,
            alignment: 32,
            data_start: 0,
            file_len: 1000,
        }
    }

    #[test]
    fn bytes_read_a_token() {
        let embedding = || tensor("token_embd.weight", &[256, 10], TensorType::Q4K);
        let output = tensor("output.weight", &[256, 10], TensorType::Q6K);
        let experts = tensor("blk.0.ffn_up_exps.weight", &[256, 4, 8], TensorType::Q8_0);
        let in_use = [
            ("expert_count", Value::U32(8)),
            ("expert_used_count", Value::U32(2)),
        ];
        let cases = [
            (header(vec![embedding(), output], &[]), 144 + 10 * 210),
            (header(vec![embedding()], &[]), 10 * 144),
            (
                header(vec![embedding(), experts], &in_use),
                10 * 144 + 2 * 4 * 8 * 34,
            ),
        ];
        for (header, want) in cases {
            let shape = Shape::from_header(&header).expect("a model");
            assert_eq!(shape.weight_bytes_per_token, want);
            assert_eq!(shape.file_type, Some(FileType::Q4KM));
        }
    }

    #[test]
    fn a_depth_adds_its_keys_and_values() {
        let header = header(vec![], &[("attention.head_count_kv", Value::U32(1))]);
        let shape = Shape::from_header(&header).expect("a model");
        let a_token = 2 * (64 + 64) * 2; // layers, key and value of a head, bytes of f16
        assert_eq!(shape.bytes_read_per_token(3, CacheType::F16), 3 * a_token);
        assert_eq!(shape.kv_bytes(CacheType::F16, 257), 512 * a_token);
    }

    #[test]
    fn a_key_that_is_missing_is_named() {
        let cases = [
            ("llama.block_count", Value::Bool(true)),
            ("llama.attention.head_count", Value::U32(0)),
            ("llama.context_length", Value::String("long".into())),
            ("general.architecture", Value::U32(1)),
        ];
        for (key, value) in cases {
            let mut header = header(vec![], &[]);
            header.metadata.set(key, value);
            assert_eq!(Shape::from_header(&header), Err(ShapeError(key.into())));
        }
    }
}
