//! What llama.cpp would choke on, found before a file is handed to it.
//!
//! llama.cpp aborts the process where a model's keys, vocabulary or tensors contradict each other. These checks
//! are of everything it asserts for the architectures siskin converts; a file of another architecture is
//! checked as far as its vocabulary goes, and only where the caller allows one. The header itself was checked
//! by [`Header::read`].

mod keys;
mod tensors;
mod vocabulary;

use crate::arch::Arch;
use crate::gguf::{Header, Value, shortened};

/// The largest header handed over: llama.cpp holds its texts several times. The largest vocabularies take 30 MiB.
const MAX_HEADER: u64 = 64 << 20;

/// What tensors' places in the file must be multiples of, for llama.cpp to map them.
const MAP_ALIGNMENT: u64 = 32;

/// A model that must not be handed to llama.cpp.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// A key is missing, of another type, or has an impossible value.
    #[error("key {key:?} {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor is missing, unknown, or of an impossible shape or type.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The vocabulary contradicts itself.
    #[error("the vocabulary {0}")]
    Vocabulary(String),
    /// An architecture whose shapes siskin does not know.
    #[error("architecture {0:?} is not one that siskin can check; it knows {known} (--any-arch runs it unchecked)", known = Arch::names().join(", "))]
    Architecture(String),
    /// The header is larger than any model's.
    #[error("a header of {} MiB; no model needs more than {} MiB", .0 >> 20, MAX_HEADER >> 20)]
    LargeHeader(u64),
    /// The data lies where llama.cpp cannot map it.
    #[error("alignment {0}; llama.cpp needs {MAP_ALIGNMENT} or more (siskin quantize writes such a file)")]
    Alignment(u64),
    /// The file is one of several.
    #[error("one part of {0}; join them with llama-gguf-split --merge first")]
    Split(u64),
}

impl ValidateError {
    fn key(key: impl Into<String>, problem: impl Into<String>) -> Self {
        ValidateError::Key {
            key: key.into(),
            problem: problem.into(),
        }
    }

    fn tensor(name: &str, problem: impl Into<String>) -> Self {
        ValidateError::Tensor {
            name: shortened(name),
            problem: problem.into(),
        }
    }
}

/// Checks what tokenizing needs: the vocabulary.
pub fn check_vocabulary(header: &Header) -> Result<(), ValidateError> {
    architecture(header)?;
    if header.data_start > MAX_HEADER {
        return Err(ValidateError::LargeHeader(header.data_start));
    }
    match header.metadata.get("split.count").and_then(Value::as_count) {
        Some(parts @ 2..) => Err(ValidateError::Split(parts)),
        _ => vocabulary::check(&header.metadata).map(drop),
    }
}

/// Checks what running needs: vocabulary, hyper-parameters, and every tensor against them. An architecture that
/// siskin does not know is refused, unless `any_architecture`: then llama.cpp's own checks must do.
pub fn check_model(header: &Header, any_architecture: bool) -> Result<(), ValidateError> {
    check_vocabulary(header)?;
    if header.alignment < MAP_ALIGNMENT {
        return Err(ValidateError::Alignment(header.alignment));
    }
    let name = architecture(header)?;
    match Arch::from_name(name) {
        Some(arch) => {
            let shape = keys::check(arch, &header.metadata)?;
            tensors::check(arch, &shape, header)
        }
        None if any_architecture => Ok(()),
        None => Err(ValidateError::Architecture(shortened(name))),
    }
}

fn architecture(header: &Header) -> Result<&str, ValidateError> {
    match header.metadata.get("general.architecture") {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(ValidateError::key("general.architecture", "is not a text")),
        None => Err(ValidateError::key(
            "general.architecture",
            "is missing; this GGUF file holds no model",
        )),
    }
}

#[cfg(test)]
mod tests;
