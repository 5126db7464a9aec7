//! What a model's header tells: size, cache, and the bytes that decoding a token reads.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use siskin_model::files::Files;
use siskin_model::gguf::{Header, TensorInfo, Value};
use siskin_model::{FileType, TensorType};

use super::BenchError;
use super::result::Model;
use crate::device::budget::{self, ModelFacts};
use crate::device::profile::KvType;

/// Tensors of which decoding reads one row a token, not the whole.
const LOOKED_UP: [&str; 3] = ["token_embd.weight", "position_embd.weight", "token_types.weight"];

/// A model and what decoding it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Name, type, size.
    pub model: Model,
    /// Its shape.
    pub shape: ModelFacts,
    /// Bytes of weights read for a decoded token.
    pub weight_bytes_per_token: u64,
}

impl Facts {
    /// Reads the header of the file at `path`, and the whole file once for its hash.
    pub fn of_file(path: &Path) -> Result<Self, BenchError> {
        let unreadable = |reason: String| BenchError::Model {
            path: path.to_owned(),
            reason,
        };
        let mut files = Files::new();
        // Their texts name the path already.
        let index = files
            .open(path)
            .map_err(|error| BenchError::Text(error.to_string()))?;
        let header = Header::read(&files, index).map_err(|error| BenchError::Text(error.to_string()))?;
        let name = path
            .file_stem()
            .map_or("model".into(), |stem| stem.to_string_lossy().into_owned());
        let input = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let sha256 = sha256(input).map_err(|error| unreadable(error.to_string()))?;
        Facts::of_header(&header, name, Some(sha256)).map_err(unreadable)
    }

    /// The same of a file in memory.
    pub fn of_bytes(bytes: &[u8], name: &str) -> Result<Self, BenchError> {
        let unreadable = |reason: String| BenchError::Model {
            path: name.into(),
            reason,
        };
        let header =
            Header::parse(bytes, bytes.len() as u64).map_err(|error| unreadable(error.to_string()))?;
        let sha256 = sha256(bytes).map_err(|error| unreadable(error.to_string()))?;
        Facts::of_header(&header, name.into(), Some(sha256)).map_err(unreadable)
    }

    fn of_header(header: &Header, name: String, sha256: Option<String>) -> Result<Self, String> {
        let shape = ModelFacts::of_header(header).map_err(|error| error.to_string())?;
        let weights = |tensor: &TensorInfo| tensor.shape.iter().product::<u64>();
        let parameters: u64 = header.tensors.iter().map(weights).sum();
        let model = Model {
            // A file may be called anything; what it is called goes to terminals.
            name: name.replace(char::is_control, "?"),
            architecture: shape.arch.clone(),
            file_type: file_type(header, shape.file_type),
            sha256,
            file_bytes: header.file_len,
            parameters,
            bits_per_weight: header.file_len as f64 * 8.0 / parameters.max(1) as f64,
            training_context_tokens: Some(shape.training_context.into()),
        };
        let weight_bytes_per_token = weight_bytes_per_token(header, &shape.arch);
        Ok(Facts {
            model,
            shape,
            weight_bytes_per_token,
        })
    }

    /// Bytes of the cache of a context of `tokens`.
    pub fn kv_bytes(&self, tokens: u32, cache_type: KvType) -> u64 {
        budget::kv_bytes(&self.shape, cache_type, tokens)
    }

    /// Bytes read to decode one token behind `depth` others: the weights once, and their keys and values.
    pub fn bytes_read_per_token(&self, depth: u32, cache_type: KvType) -> u64 {
        // The cache of a whole step of contexts, so that nothing is rounded up.
        const STEP: u32 = 256;
        let of_a_step = self.kv_bytes(STEP, cache_type);
        self.weight_bytes_per_token + of_a_step / u64::from(STEP) * u64::from(depth)
    }
}

/// Bytes read for a token of a model with these tensors (name, type, shape): every matrix whole, but of the
/// embedding one row, unless it serves as the output too.
pub(super) fn weights_read<'t>(
    tensors: impl Iterator<Item = (&'t str, TensorType, &'t [u64])> + Clone,
) -> u64 {
    let tied = !tensors.clone().any(|(name, ..)| name == "output.weight");
    let read = |(name, ty, shape): (&str, TensorType, &[u64])| {
        if LOOKED_UP.contains(&name) && !(tied && name == LOOKED_UP[0]) {
            ty.row_bytes(shape[0]).unwrap_or(0)
        } else {
            ty.tensor_bytes(shape).unwrap_or(0)
        }
    };
    tensors.map(read).sum()
}

/// The same of a file. Of a mixture of experts, those in use.
fn weight_bytes_per_token(header: &Header, arch: &str) -> u64 {
    fn parts(tensor: &TensorInfo) -> (&str, TensorType, &[u64]) {
        (&tensor.name, tensor.ty, &tensor.shape)
    }
    let all = weights_read(header.tensors.iter().map(parts));
    let count = |key: &str| match header.metadata.get(&format!("{arch}.{key}")) {
        Some(Value::U32(count)) => u64::from(*count),
        _ => 0,
    };
    let (used, experts @ 1..) = (count("expert_used_count"), count("expert_count")) else {
        return all;
    };
    let of_experts = header
        .tensors
        .iter()
        .filter(|tensor| tensor.name.contains("_exps."));
    let bytes: u64 = of_experts
        .map(|tensor| tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(0))
        .sum();
    all - bytes + bytes / experts * used.min(experts)
}

/// What the header states, or the type of most weights.
fn file_type(header: &Header, stated: Option<FileType>) -> String {
    let most = || {
        let weights = |ty: TensorType| -> u64 {
            let of_type = header.tensors.iter().filter(|tensor| tensor.ty == ty);
            of_type.map(|tensor| tensor.shape.iter().product::<u64>()).sum()
        };
        let most = TensorType::all().max_by_key(|&ty| weights(ty));
        most.map_or("unknown", TensorType::name).to_lowercase()
    };
    stated.map_or_else(most, |stated| stated.name().to_owned())
}

/// SHA-256 in hexadecimal digits, as `sha256sum` prints it.
fn sha256(mut input: impl Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => hash.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use siskin_model::gguf::Metadata;

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
            let facts = Facts::of_header(&header, "m".into(), None).expect("a model");
            assert_eq!(facts.weight_bytes_per_token, want);
            assert_eq!(facts.model.file_type, "q4_k_m");
        }
    }

    #[test]
    fn a_depth_adds_its_keys_and_values() {
        let header = header(vec![], &[("attention.head_count_kv", Value::U32(1))]);
        let facts = Facts::of_header(&header, "m".into(), None).expect("a model");
        let a_token = 2 * (64 + 64) * 2; // layers, key and value of a head, bytes of f16
        assert_eq!(facts.bytes_read_per_token(3, KvType::F16), 3 * a_token);
        assert_eq!(facts.kv_bytes(257, KvType::F16), 512 * a_token);
    }

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&b"abc"[..]).expect("hashed"), want);
    }
}
