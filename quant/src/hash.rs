//! Hashes of a model's content: of each tensor's bytes and of all of them, whatever the metadata, the offsets and the
//! parts of the file are. Also the manifests of llama.cpp's llama-gguf-hash, to check a file against.

mod manifest;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use siskin_model::gguf::{GgufError, ModelFile, TensorInfo};
use siskin_model::{ErrorKind, files::FileError};

pub use manifest::{Check, MAX_BYTES as MAX_MANIFEST, Manifest, ManifestError, Verdict};

/// Bytes that are read at a time.
const STEP: u64 = 1 << 20;

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotAHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(NotAHash);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Ok(Hash(hash))
    }
}

/// A text is not a SHA-256: 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256, which has 64 hexadecimal digits")]
pub struct NotAHash;

/// The hashes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHash {
    /// Names and hashes of all tensors, in the file's order.
    pub tensors: Vec<(String, Hash)>,
    /// Of the names in sorted order, types, shapes and hashes of all tensors: the same for the same tensors in any order.
    pub model: Hash,
    /// Of the bytes of all tensors in the file's order: what llama-gguf-hash prints for the whole file.
    pub data: Hash,
}

/// A model cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The file cannot be read as a model.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A tensor cannot be read.
    #[error("tensor {tensor}: {source}")]
    Read {
        /// Name of the tensor.
        tensor: String,
        /// Why it cannot be read.
        source: FileError,
    },
    /// The work was stopped.
    #[error("interrupted")]
    Interrupted,
}

impl HashError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            HashError::Gguf(source) => source.kind(),
            HashError::Read { source, .. } => source.kind(),
            HashError::Interrupted => ErrorKind::Interrupted,
        }
    }
}

/// Hashes the model in the GGUF file at `path`, or in all parts of a split model. `on_tensor` gets each tensor's name and
/// hash as soon as it is known. If another thread sets `cancel`, the work stops.
///
/// # Errors
/// Fails if the file cannot be read, or if the work was stopped.
pub fn hash_file(
    path: &Path,
    cancel: &AtomicBool,
    on_tensor: &mut dyn FnMut(&str, Hash),
) -> Result<ModelHash, HashError> {
    hash_model(&ModelFile::open(path)?, cancel, on_tensor)
}

/// The same of a model that is open.
///
/// # Errors
/// Fails if a tensor cannot be read, or if the work was stopped.
pub fn hash_model(
    model: &ModelFile,
    cancel: &AtomicBool,
    on_tensor: &mut dyn FnMut(&str, Hash),
) -> Result<ModelHash, HashError> {
    let header = &model.header;
    let mut data = Sha256::new();
    let mut bytes = Vec::new();
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for tensor in &header.tensors {
        let mut hash = Sha256::new();
        let range = header.range(tensor);
        let mut at = range.start;
        while at < range.end {
            if cancel.load(Ordering::Relaxed) {
                return Err(HashError::Interrupted);
            }
            let len = STEP.min(range.end - at);
            let (file, start) = model.files.locate(at);
            let read = model.files.read_into(file, start..start + len, &mut bytes);
            read.map_err(|source| HashError::Read {
                tensor: tensor.name.clone(),
                source,
            })?;
            hash.update(&bytes);
            data.update(&bytes);
            at += len;
        }
        let hash = Hash(hash.finalize().into());
        on_tensor(&tensor.name, hash);
        tensors.push((tensor.name.clone(), hash));
    }
    Ok(ModelHash {
        model: of_model(&header.tensors, &tensors),
        data: Hash(data.finalize().into()),
        tensors,
    })
}

/// The hash of a model's tensors: for each, in the order of names, the length of its name (u64), the name, its type (u32,
/// ggml's number), the number of its dimensions (u32), the dimensions (u64 each, ggml's order), its hash; numbers are
/// little-endian.
fn of_model(infos: &[TensorInfo], hashes: &[(String, Hash)]) -> Hash {
    let mut sorted: Vec<(&TensorInfo, Hash)> = infos.iter().zip(hashes.iter().map(|pair| pair.1)).collect();
    sorted.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let mut model = Sha256::new();
    for (info, hash) in sorted {
        model.update((info.name.len() as u64).to_le_bytes());
        model.update(&info.name);
        model.update(info.ty.id().to_le_bytes());
        model.update((info.shape.len() as u32).to_le_bytes());
        for dimension in &info.shape {
            model.update(dimension.to_le_bytes());
        }
        model.update(hash.0);
    }
    Hash(model.finalize().into())
}

#[cfg(test)]
mod tests;
