//! Finds what llama.cpp would abort on, before a file is handed to it.
//!
//! llama.cpp aborts the process if a model's keys, vocabulary or tensors contradict each other. These checks
//! cover everything it asserts for the architectures that siskin converts. For another architecture, only the
//! vocabulary is checked, and the file passes only if the caller allows it. [`Header::read`] has already
//! checked the header itself.

mod keys;
mod tensors;
mod vocabulary;

use crate::ErrorKind;
use crate::arch::Arch;
use crate::gguf::{Header, Value, shortened};

pub(crate) use vocabulary::read_by_llama_cpp;

/// Largest accepted header in bytes: llama.cpp keeps several copies of its strings. The largest vocabularies
/// take 30 MiB.
const MAX_HEADER: u64 = 64 << 20;

/// The most keys, and the most tensors: llama.cpp compares every name with every other. The largest published models
/// have a thousand.
const MAX_ENTRIES: usize = 10_000;

/// llama.cpp can map a file only if its tensors are aligned to a multiple of this.
const MAP_ALIGNMENT: u64 = 32;

/// The reason why a model must not be handed to llama.cpp.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// A key is missing, has another type, or has an impossible value.
    #[error("key {key:?} {problem}")]
    Key {
        /// Name of the key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing, is unknown, or has an impossible shape or type.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The vocabulary contradicts itself.
    #[error("the vocabulary {0}")]
    Vocabulary(String),
    /// siskin does not know the shapes of this architecture.
    #[error("architecture {0:?} is not supported; supported: {known}", known = Arch::names().join(", "))]
    Architecture(String),
    /// The header is larger than that of any model; this is its size in bytes.
    #[error("the header takes {} MiB; no model needs more than {} MiB", .0 >> 20, MAX_HEADER >> 20)]
    LargeHeader(u64),
    /// llama.cpp cannot map data with this alignment.
    #[error("tensors are aligned to {0} bytes; llama.cpp needs {MAP_ALIGNMENT} or more")]
    Alignment(u64),
    /// There are more keys or tensors than in any model; llama.cpp's reader compares each with every other.
    #[error("{count} {what}; no model needs more than {MAX_ENTRIES}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// The file is one part of a model split into this many files.
    #[error("the file is one part of {0}; join the parts first")]
    Split(u64),
}

impl ValidateError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ValidateError::Key { .. } | ValidateError::Tensor { .. } | ValidateError::Vocabulary(_) => {
                ErrorKind::Damaged
            }
            ValidateError::Architecture(_) => ErrorKind::UnknownArchitecture,
            ValidateError::LargeHeader(_) | ValidateError::TooMany { .. } => ErrorKind::TooLarge,
            ValidateError::Alignment(_) => ErrorKind::Alignment,
            ValidateError::Split(_) => ErrorKind::Split,
        }
    }

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
///
/// # Errors
/// Fails if the vocabulary is damaged, if the header is too large, or if the file is one part of several.
pub fn check_vocabulary(header: &Header) -> Result<(), ValidateError> {
    architecture(header)?;
    if header.data_start > MAX_HEADER {
        return Err(ValidateError::LargeHeader(header.data_start));
    }
    for (what, count) in [("keys", header.metadata.len()), ("tensors", header.tensors.len())] {
        if count > MAX_ENTRIES {
            return Err(ValidateError::TooMany { what, count });
        }
    }
    match header.metadata.get("split.count").and_then(Value::as_count) {
        Some(parts @ 2..) => Err(ValidateError::Split(parts)),
        _ => vocabulary::check(&header.metadata).map(drop),
    }
}

/// Checks what running needs: the vocabulary, the hyper-parameters, and every tensor against them. An
/// architecture that siskin does not know is refused, unless `any_architecture` is true; then only
/// llama.cpp's own checks apply.
///
/// # Errors
/// Returns the first problem found; llama.cpp could abort on such a file.
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
        Some(_) => Err(ValidateError::key("general.architecture", "is not a string")),
        None => Err(ValidateError::key(
            "general.architecture",
            "is missing; the GGUF file contains no model",
        )),
    }
}

#[cfg(test)]
mod tests;
