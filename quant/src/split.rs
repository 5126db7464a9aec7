//! A model in several files, as llama.cpp's gguf-split writes it: `NAME-00001-of-00003.gguf` and so on. All parts have
//! `split.no` (from 0), `split.count` and `split.tensors.count`; only the first has the model's other keys.
//!
//! A plan is cut into plans, one a part, before anything is written. No part is larger than asked for, its header
//! included; gguf-split counts tensors only.

use std::path::{Path, PathBuf};

use siskin_model::ErrorKind;
use siskin_model::gguf::{DEFAULT_ALIGNMENT, Metadata, align_up, part_suffix};

use crate::convert::file_bytes;
use crate::plan::Plan;

/// The most parts: what siskin reads. `split.no` has room for more.
pub const MAX_PARTS: usize = 512;

/// How a model is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitOptions {
    /// Most bytes of a part.
    pub most_bytes: u64,
    /// If true, the first part has the model's keys and no tensors.
    pub no_tensor_first: bool,
}

/// A model cannot be split like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A tensor is larger than a part, and tensors are never cut.
    #[error("tensor {tensor} needs a part of {bytes} bytes, and parts are to have at most {most_bytes}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// Bytes of a part with this tensor only.
        bytes: u64,
        /// The limit.
        most_bytes: u64,
    },
    /// The model's keys are larger than a part.
    #[error(
        "the model's keys, with the vocabulary, need a part of {bytes} bytes, and parts are to have at most {most_bytes}"
    )]
    Keys {
        /// Bytes of a part with the keys only.
        bytes: u64,
        /// The limit.
        most_bytes: u64,
    },
    /// There would be more parts than siskin and others read.
    #[error("more than {MAX_PARTS} parts of {0} bytes; allow larger ones")]
    Parts(u64),
    /// The output's name is not one that parts can be named after.
    #[error("{}: parts are named after a file's name in UTF-8", .0.display())]
    Name(PathBuf),
}

impl SplitError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            SplitError::Name(_) => ErrorKind::Path,
            _ => ErrorKind::TooLarge,
        }
    }
}

/// The name of part `number`, counted from 0, of `count`: `out.gguf` gives `out-00001-of-00003.gguf`.
///
/// # Errors
/// Fails if `path` has no file name, or one that is not UTF-8.
pub fn part_path(path: &Path, number: usize, count: usize) -> Result<PathBuf, SplitError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| SplitError::Name(path.to_owned()))?;
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    Ok(path.with_file_name(format!(
        "{stem}{}.gguf",
        part_suffix(number as u64 + 1, count as u64)
    )))
}

/// Cuts a plan into one for each part. Tensors keep their order; offsets are those in the part.
///
/// # Errors
/// Fails if a tensor or the keys are larger than a part, or if there are too many parts.
pub fn parts(plan: &Plan, options: SplitOptions) -> Result<Vec<Plan>, SplitError> {
    let most_bytes = options.most_bytes;
    let part = |metadata: Metadata| Plan {
        metadata,
        tensors: Vec::new(),
    };
    let rest = || part(split_keys(Metadata::new(), plan.tensors.len()));
    let first = part(split_keys(plan.metadata.clone(), plan.tensors.len()));
    let bytes = file_bytes(&first);
    if bytes > most_bytes {
        return Err(SplitError::Keys { bytes, most_bytes });
    }
    // The header is counted tensor by tensor: making it for each would take a second for a large vocabulary.
    let empty = file_bytes(&rest());
    let mut size = Size {
        header: bytes,
        data: 0,
    };
    let mut parts = vec![first];
    for (number, tensor) in plan.tensors.iter().enumerate() {
        let with = size.with(&tensor.name, tensor.shape.len(), tensor.bytes());
        let must_end = options.no_tensor_first && number == 0;
        if must_end || with.total() > most_bytes {
            if parts.len() == MAX_PARTS {
                return Err(SplitError::Parts(most_bytes));
            }
            parts.push(rest());
            let alone = Size {
                header: empty,
                data: 0,
            };
            size = alone.with(&tensor.name, tensor.shape.len(), tensor.bytes());
            if size.total() > most_bytes {
                return Err(SplitError::Tensor {
                    tensor: tensor.name.clone(),
                    bytes: size.total(),
                    most_bytes,
                });
            }
        } else {
            size = with;
        }
        let mut tensor = tensor.clone();
        tensor.offset = align_up(size.data, DEFAULT_ALIGNMENT) - align_up(tensor.bytes(), DEFAULT_ALIGNMENT);
        if let Some(part) = parts.last_mut() {
            part.tensors.push(tensor);
        }
    }
    let count = parts.len();
    for (number, part) in parts.iter_mut().enumerate() {
        // Both are below MAX_PARTS.
        part.metadata.set("split.no", number as u16);
        part.metadata.set("split.count", count as u16);
    }
    Ok(parts)
}

/// The size of a part, an upper bound: headers are padded.
#[derive(Debug, Clone, Copy)]
struct Size {
    header: u64,
    data: u64,
}

impl Size {
    /// With one more tensor.
    fn with(self, name: &str, dimensions: usize, bytes: u64) -> Self {
        // Length and name, number of dimensions, dimensions, type, offset.
        let entry = (8 + name.len() + 4 + 8 * dimensions + 4 + 8) as u64;
        Size {
            header: self.header + entry,
            data: align_up(self.data + bytes, DEFAULT_ALIGNMENT),
        }
    }

    fn total(self) -> u64 {
        align_up(self.header, DEFAULT_ALIGNMENT) + self.data
    }
}

/// The keys in gguf-split's order and types. The number of parts is not known yet; it takes the same bytes.
fn split_keys(mut metadata: Metadata, tensors: usize) -> Metadata {
    metadata.retain(|key| !key.starts_with("split."));
    metadata.set("split.no", 0u16);
    metadata.set("split.count", 0u16);
    metadata.set("split.tensors.count", i32::try_from(tensors).unwrap_or(i32::MAX));
    metadata
}

#[cfg(test)]
mod tests;
