//! Summary of a GGUF file: types, sizes and hyper-parameters.

use crate::gguf::{Header, Value};
use crate::shape::Dimensions;
use crate::{CacheType, TensorType, file_type_name};

/// The tensors of one type.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TypeShare {
    /// The tensor type.
    #[serde(rename = "type")]
    pub ty: TensorType,
    /// Number of tensors of this type.
    pub tensors: u64,
    /// Number of weights in them.
    pub weights: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Their share of the bytes of all tensors, from 0 to 1.
    pub share: f64,
}

/// The figures of a file. A figure is `None` if its key is missing or has another type; figures are not
/// checked against each other.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Version of the GGUF format: 2 or 3.
    pub version: u32,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Number of keys.
    pub keys: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// `general.name`.
    pub name: Option<String>,
    /// The type of the file, e.g. `q4_1`: see [`file_type`].
    pub file_type: String,
    /// Number of weights in all tensors.
    pub parameters: u64,
    /// Size of the file in bits, divided by the number of weights.
    pub bits_per_weight: f64,
    /// The tensor types; the type that takes the most bytes is first.
    pub types: Vec<TypeShare>,
    /// Training context in tokens.
    pub context: Option<u64>,
    /// Size of the KV cache per token of context, in bytes, with keys and values stored as f16.
    pub kv_bytes_per_token: Option<u64>,
    /// Number of transformer blocks.
    pub layers: Option<u64>,
    /// Width of the residual stream.
    pub width: Option<u64>,
    /// Width of the feed-forward's hidden layer.
    pub feed_forward: Option<u64>,
    /// Number of query heads.
    pub heads: Option<u64>,
    /// Number of key/value heads; if the key is missing, the number of query heads.
    pub kv_heads: Option<u64>,
    /// Number of tokens in the vocabulary.
    pub vocabulary: Option<u64>,
    /// `tokenizer.ggml.model`: `llama` is SentencePiece, `gpt2` is byte-level BPE.
    pub tokenizer: Option<String>,
    /// `tokenizer.ggml.pre`: the pre-tokenizer of a byte-level BPE.
    pub pre_tokenizer: Option<String>,
    /// Length of the chat template in characters.
    pub chat_template: Option<u64>,
}

impl Summary {
    /// Computes the figures of the file with this header.
    pub fn from_header(header: &Header) -> Self {
        let text = |key: &str| header.metadata.text(key).map(str::to_owned);
        let architecture = text("general.architecture");
        let stated = Dimensions::from_metadata(&header.metadata);
        let parameters = header
            .tensors
            .iter()
            .map(|t| weights(&t.shape))
            .fold(0, u64::saturating_add);
        Summary {
            version: header.version,
            file_bytes: header.file_len,
            keys: header.metadata.len() as u64,
            tensors: header.tensors.len() as u64,
            name: text("general.name"),
            file_type: file_type(header),
            parameters,
            bits_per_weight: header.file_len as f64 * 8.0 / parameters.max(1) as f64,
            types: types(header),
            context: stated.training_context,
            kv_bytes_per_token: kv_bytes(&stated),
            layers: stated.layers,
            width: stated.width,
            feed_forward: stated.ffn,
            heads: stated.heads,
            kv_heads: stated.kv_heads,
            vocabulary: stated.vocabulary,
            tokenizer: text("tokenizer.ggml.model"),
            pre_tokenizer: text("tokenizer.ggml.pre"),
            chat_template: text("tokenizer.chat_template").map(|text| text.chars().count() as u64),
            architecture,
        }
    }
}

/// The name of a file's type: of `general.file_type`, or if that is missing or unknown, of the tensor type that most
/// weights have.
pub fn file_type(header: &Header) -> String {
    let stated = header.metadata.get("general.file_type");
    let stated = stated
        .and_then(Value::as_count)
        .and_then(|id| u32::try_from(id).ok());
    if let Some(name) = stated.and_then(file_type_name) {
        return name.into();
    }
    let most = types(header).into_iter().max_by_key(|share| share.weights);
    most.map_or("unknown".into(), |share| share.ty.name().to_lowercase())
}

fn weights(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |n: u64, &dim| n.saturating_mul(dim))
}

/// Keys and values of a token in f16; `None` if the keys leave it open or the product overflows.
fn kv_bytes(stated: &Dimensions) -> Option<u64> {
    let (keys, values) = stated.cache_width()?;
    let numbers = keys.checked_add(values)?;
    numbers.checked_mul(stated.layers?)?;
    Some(CacheType::F16.bytes(numbers).saturating_mul(stated.layers?))
}

fn types(header: &Header) -> Vec<TypeShare> {
    let mut shares: Vec<TypeShare> = Vec::new();
    for tensor in &header.tensors {
        let range = header.range(tensor);
        let bytes = range.end - range.start;
        let at = shares
            .iter()
            .position(|share| share.ty == tensor.ty)
            .unwrap_or_else(|| {
                shares.push(TypeShare {
                    ty: tensor.ty,
                    tensors: 0,
                    weights: 0,
                    bytes: 0,
                    share: 0.0,
                });
                shares.len() - 1
            });
        let share = &mut shares[at];
        share.tensors += 1;
        share.weights = share.weights.saturating_add(weights(&tensor.shape));
        share.bytes += bytes;
    }
    let all: u64 = shares.iter().map(|share| share.bytes).sum();
    for share in &mut shares {
        share.share = share.bytes as f64 / all.max(1) as f64;
    }
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Metadata, TensorInfo};

    #[test]
    fn figures_of_a_small_file() {
        let mut metadata = Metadata::new();
        let counts = [
            ("block_count", 2u32),
            ("embedding_length", 64),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("context_length", 128),
        ];
        metadata.set("general.architecture", "x");
        metadata.set("general.file_type", 7u32);
        for (key, n) in counts {
            metadata.set(format!("x.{key}"), n);
        }
        let tensor = |name: &str, ty, shape: &[u64], offset| TensorInfo {
            name: name.into(),
            shape: shape.to_vec(),
            ty,
            offset,
        };
        let mut header = Header {
            version: 3,
            metadata,
            tensors: vec![
                tensor("a", TensorType::F32, &[64], 0),
                tensor("b", TensorType::Q8_0, &[64, 10], 256),
            ],
            alignment: 32,
            data_start: 64,
            file_len: 1000,
        };
        let summary = Summary::from_header(&header);
        assert_eq!((summary.parameters, summary.file_type.as_str()), (704, "q8_0"));
        assert_eq!(summary.kv_bytes_per_token, Some(2 * 2 * (16 + 16) * 2));
        let types: Vec<_> = summary.types.iter().map(|s| (s.ty, s.tensors, s.bytes)).collect();
        assert_eq!(types, [(TensorType::Q8_0, 1, 680), (TensorType::F32, 1, 256)]);
        assert_eq!(summary.bits_per_weight, 8000.0 / 704.0);

        // Types that siskin does not write have names too, and a file without one is named after its tensors.
        for (id, want) in [
            (Some(3), "q4_1"),
            (Some(12), "q3_k_m"),
            (Some(99), "q8_0"),
            (None, "q8_0"),
        ] {
            match id {
                Some(id) => header.metadata.set("general.file_type", id as u32),
                None => header.metadata.retain(|key| key != "general.file_type"),
            }
            assert_eq!(Summary::from_header(&header).file_type, want, "{id:?}");
        }

        // Wrong or missing keys leave figures out.
        header.metadata.set("x.attention.head_count", 0u32);
        header.metadata.set("x.context_length", "long");
        let summary = Summary::from_header(&header);
        assert_eq!((summary.kv_bytes_per_token, summary.context), (None, None));
        header.metadata.set("general.architecture", 1u32);
        assert_eq!(Summary::from_header(&header).layers, None);
    }
}
