//! What a budget needs to know of a model: from a GGUF file's header, or from `config.json` alone.

use serde::Serialize;
use siskin_quant::arch::ArchError;
use siskin_quant::checkpoint::Config;
use siskin_quant::gguf::{Array, Header, Value};
use siskin_quant::outline::outline;
use siskin_quant::{FileType, TensorType};

use crate::vocabulary::size::{self, List};

/// A model's shape and sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelFacts {
    /// Architecture, as GGUF names it.
    pub arch: String,
    /// File type, where it is one that siskin writes.
    pub file_type: Option<FileType>,
    /// Blocks.
    pub layers: u64,
    /// Width of the residual stream.
    pub width: u64,
    /// Width of the feed-forward's middle.
    pub ffn: u64,
    /// Tensors of that width alive at once: two where a gate multiplies the middle, else one.
    pub middles: u64,
    /// Query heads.
    pub heads: u64,
    /// Numbers that a token adds to the cache's keys in one layer.
    pub key_width: u64,
    /// The same of values.
    pub value_width: u64,
    /// Numbers a head.
    pub head_dim: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: u64,
    /// Bytes of the texts of tokens and merges, with what llama.cpp keeps around them.
    pub vocabulary_bytes: u64,
    /// Context in training.
    pub training_context: u32,
    /// Bytes of the file before the weights.
    pub header_bytes: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Of these, the input embedding, where it is not the output too.
    pub embedding_bytes: u64,
    /// Of these, matrices that llama.cpp can repack.
    pub repackable_bytes: u64,
    /// Sizes of the model in each file type, the largest first, where the weights' shapes are known.
    #[serde(skip)]
    pub by_type: Vec<(FileType, u64)>,
}

/// The model says too little of itself, or something impossible.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A key of the header.
    #[error("{0}: missing or no number; is this a language model?")]
    Key(String),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ArchError),
}

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

impl ModelFacts {
    /// From the header of a GGUF file.
    pub fn of_header(header: &Header) -> Result<Self, FactsError> {
        let keys = &header.metadata;
        let arch = keys
            .text("general.architecture")
            .map(str::to_owned)
            .ok_or_else(|| FactsError::Key("general.architecture".into()))?;
        let count = |key: &str| number(keys.get(&format!("{arch}.{key}")));
        let needed = |key: &str| count(key).ok_or_else(|| FactsError::Key(format!("{arch}.{key}")));
        let (width, heads) = (
            needed("embedding_length")?,
            needed("attention.head_count")?.max(1),
        );
        let kv_heads = count("attention.head_count_kv").unwrap_or(heads);
        let head_dim = width / heads;
        let per_head = |key: &str| count(key).unwrap_or(head_dim);
        let tokens = match keys.get("tokenizer.ggml.tokens") {
            Some(Value::Array(array)) => array.len() as u64,
            _ => 0,
        };
        let bytes =
            |tensor: &siskin_quant::gguf::TensorInfo| tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(0);
        let repackable =
            |tensor: &&siskin_quant::gguf::TensorInfo| is_repackable(&tensor.name, tensor.ty, &tensor.shape);
        Ok(ModelFacts {
            layers: needed("block_count")?,
            ffn: needed("feed_forward_length")?,
            middles: middles(header.tensors.iter().map(|tensor| tensor.name.as_str())),
            key_width: kv_heads.saturating_mul(per_head("attention.key_length")),
            value_width: kv_heads.saturating_mul(per_head("attention.value_length")),
            head_dim: per_head("attention.key_length"),
            vocabulary: tokens,
            vocabulary_bytes: size::of_header(keys),
            training_context: u32::try_from(needed("context_length")?).unwrap_or(u32::MAX),
            header_bytes: header.data_start,
            weight_bytes: header.tensors.iter().map(bytes).sum(),
            embedding_bytes: embedding(
                header
                    .tensors
                    .iter()
                    .map(|tensor| (tensor.name.as_str(), bytes(tensor))),
            ),
            repackable_bytes: header.tensors.iter().filter(repackable).map(bytes).sum(),
            file_type: number(keys.get("general.file_type")).and_then(|id| FileType::from_id(id as u32)),
            by_type: vec![],
            arch,
            width,
            heads,
        })
    }

    /// From `config.json`, for a file of type `file_type`.
    pub fn of_config(config: &Config, file_type: FileType) -> Result<Self, FactsError> {
        let arch = siskin_quant::arch::Arch::of(config)?;
        let tensors = outline(config, file_type)?;
        let vocabulary = config.vocab_size.unwrap_or(0);
        let bytes =
            |list: &[siskin_quant::plan::PlannedTensor]| list.iter().map(|tensor| tensor.bytes()).sum();
        let repackable = tensors.iter().filter(|t| is_repackable(&t.name, t.ty, &t.shape));
        let of_type = |ty: FileType| Some((ty, bytes(&outline(config, ty).ok()?)));
        // Byte-level BPE vocabularies have about two merges a token, SentencePiece's none; texts are short.
        let merges = if arch == siskin_quant::arch::Arch::Llama && vocabulary <= 32_064 {
            0
        } else {
            2 * vocabulary
        };
        let tokens = List {
            count: vocabulary,
            text: vocabulary.saturating_mul(7),
        };
        let kv_width = config.kv_heads().saturating_mul(config.head_dim());
        Ok(ModelFacts {
            arch: arch.name().into(),
            file_type: Some(file_type),
            layers: config.num_hidden_layers.into(),
            width: config.hidden_size,
            ffn: config.intermediate_size,
            middles: middles(tensors.iter().map(|tensor| tensor.name.as_str())),
            heads: config.num_attention_heads,
            key_width: kv_width,
            value_width: kv_width,
            head_dim: config.head_dim(),
            vocabulary,
            vocabulary_bytes: size::own(tokens, merges),
            training_context: config
                .max_position_embeddings
                .map_or(2048, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            // Nearly all of it is the vocabulary's texts, with their lengths and kinds.
            header_bytes: 19u64
                .saturating_mul(vocabulary)
                .saturating_add(18u64.saturating_mul(merges)),
            weight_bytes: bytes(&tensors),
            embedding_bytes: embedding(
                tensors
                    .iter()
                    .map(|tensor| (tensor.name.as_str(), tensor.bytes())),
            ),
            repackable_bytes: repackable.map(|tensor| tensor.bytes()).sum(),
            by_type: FileType::all().filter_map(of_type).collect(),
        })
    }
}

fn middles<'t>(mut names: impl Iterator<Item = &'t str>) -> u64 {
    if names.any(|name| name.ends_with("ffn_gate.weight")) {
        2
    } else {
        1
    }
}

fn embedding<'t>(tensors: impl Iterator<Item = (&'t str, u64)> + Clone) -> u64 {
    let bytes = |name: &str| {
        tensors
            .clone()
            .find(|tensor| tensor.0 == name)
            .map(|tensor| tensor.1)
    };
    bytes("output.weight")
        .and_then(|_| bytes("token_embd.weight"))
        .unwrap_or(0)
}

fn is_repackable(name: &str, ty: TensorType, shape: &[u64]) -> bool {
    shape.len() == 2 && REPACKABLE.contains(&ty) && name != "token_embd.weight"
}

/// A count of any integer type; of a list (per layer) the largest.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::U32(n) => Some((*n).into()),
        Value::I32(n) => u64::try_from(*n).ok(),
        Value::U64(n) => Some(*n),
        Value::Array(Array::U32(list)) => list.iter().max().map(|n| (*n).into()),
        Value::Array(Array::I32(list)) => list.iter().max().and_then(|n| u64::try_from(*n).ok()),
        _ => None,
    }
}
