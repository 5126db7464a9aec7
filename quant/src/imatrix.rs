//! Importance matrices: the importance of each column of a model's matrices, measured from their inputs in a
//! run.
//!
//! The importance of a column is the mean square of its inputs. The formats are llama.cpp's: GGUF
//! (`general.type` is `imatrix`, `<tensor>.in_sum2` and `<tensor>.counts`), or the older format without a
//! magic number. File contents are treated as hostile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::plan::{Plan, PlannedTensor};
use siskin_model::ErrorKind;
use siskin_model::arch::Role;
use siskin_model::files::{FileError, Files, Found};
use siskin_model::gguf::{GgufError, MAGIC};

mod gguf;
mod legacy;
mod write;

pub use write::{Collected, Sums};

/// Size limit of a file in bytes: far above any model's importance matrix.
const MAX_BYTES: u64 = 1 << 30;

/// An importance matrix cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImatrixError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The GGUF file is damaged.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The file is not an importance matrix, or it is damaged.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The file is a GGUF file without importances, such as a model.
    #[error("{}: not an importance matrix: no tensor is named *.in_sum2", .0.display())]
    Empty(PathBuf),
    /// The importance matrix was made for another model.
    #[error(
        "{}: tensor {tensor:?} has {found} importances, but this model's has {expected} columns; the matrix was made for another model",
        path.display()
    )]
    Size {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Number of values in the file.
        found: usize,
        /// Number of values that the model's tensor needs.
        expected: u64,
    },
    /// The importance matrix has no entry for any tensor of the model.
    #[error("{}: none of its {entries} entries names a matrix of this model; it was made for another model", path.display())]
    Stranger {
        /// Path of the file.
        path: PathBuf,
        /// Number of entries in the file.
        entries: usize,
    },
}

impl ImatrixError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ImatrixError::File(source) => source.kind(),
            ImatrixError::Gguf(source) => source.kind(),
            ImatrixError::Content { .. } => ErrorKind::Damaged,
            ImatrixError::Empty(_) => ErrorKind::Format,
            ImatrixError::Size { .. } | ImatrixError::Stranger { .. } => ErrorKind::Mismatch,
        }
    }
}

/// An importance matrix: one value for each column of each matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Imatrix {
    /// Path of the file it was read from.
    pub path: PathBuf,
    /// Names of the texts it was collected from.
    pub datasets: Vec<String>,
    /// Number of text chunks; 0 if the file does not specify it.
    pub chunks: u32,
    /// Importances by tensor name: one per column, for each matrix of the tensor.
    entries: BTreeMap<String, Vec<f32>>,
}

impl Imatrix {
    /// Reads a file of either format.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not an importance matrix, or contains a value that is negative or
    /// not finite.
    pub fn open(path: &Path) -> Result<Self, ImatrixError> {
        let mut files = Files::new();
        let file = files.open(path)?;
        let content = |problem: String| ImatrixError::Content {
            path: path.to_owned(),
            problem,
        };
        let len = files.len(file);
        if len > MAX_BYTES {
            return Err(content(format!(
                "{len} bytes are too many for an importance matrix; is it a model?"
            )));
        }
        let mut bytes = Vec::new();
        files.read_into(file, 0..len.min(MAGIC.len() as u64), &mut bytes)?;
        let imatrix = if bytes == MAGIC {
            gguf::read(path, &files, file)?
        } else {
            files.read_into(file, 0..len, &mut bytes)?;
            legacy::read(path, &bytes).map_err(|problem| {
                content(match Found::from_start(&bytes) {
                    Some(found) => format!("not an importance matrix but {found}"),
                    None => problem,
                })
            })?
        };
        if imatrix.entries.is_empty() {
            return Err(ImatrixError::Empty(path.to_owned()));
        }
        match imatrix.impossible_value() {
            Some((name, value)) => Err(content(format!(
                "{name:?} contains {value}, which is not a mean of squares; the file is damaged"
            ))),
            None => Ok(imatrix),
        }
    }

    /// The first value that is negative or not finite, with the name of its tensor.
    fn impossible_value(&self) -> Option<(&str, f32)> {
        let possible = |value: &f32| *value >= 0.0 && value.is_finite();
        self.entries.iter().find_map(|(name, values)| {
            let bad = values.iter().copied().find(|value| !possible(value))?;
            Some((name.as_str(), bad))
        })
    }

    /// Number of tensors with an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no entries; always false after [`Self::open`].
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The importances of a tensor: one per column, for each of its matrices. `None` if there are none or
    /// their number does not match.
    pub fn importance(&self, tensor: &PlannedTensor) -> Option<&[f32]> {
        let values = self.entries.get(&tensor.name)?;
        (values.len() as u64 == expected(tensor)).then_some(values)
    }

    /// Records the importance matrix in the plan's keys as llama-quantize does, and returns the names of the
    /// quantized matrices without an entry. An entry for the embedding may have another size; it is then
    /// ignored, because the embedding is looked up and not multiplied.
    ///
    /// # Errors
    /// Fails if an entry has another size than its matrix, or if no entry names a matrix of the model.
    pub fn apply(&self, plan: &mut Plan) -> Result<Vec<String>, ImatrixError> {
        let (mut missing, mut met) = (Vec::new(), false);
        for tensor in plan.tensors.iter().filter(|tensor| tensor.role != Role::Vector) {
            let found = self.entries.get(&tensor.name).map(Vec::len);
            met |= found.is_some();
            match found {
                Some(found) if found as u64 != expected(tensor) && tensor.role != Role::TokenEmbd => {
                    return Err(ImatrixError::Size {
                        path: self.path.clone(),
                        tensor: tensor.name.clone(),
                        found,
                        expected: expected(tensor),
                    });
                }
                None if tensor.ty.is_quantized() => missing.push(tensor.name.clone()),
                _ => {}
            }
        }
        if !met {
            return Err(ImatrixError::Stranger {
                path: self.path.clone(),
                entries: self.len(),
            });
        }
        self.note(plan);
        Ok(missing)
    }

    fn note(&self, plan: &mut Plan) {
        /// Longest value that llama-quantize writes for these keys, in bytes.
        const MAX: usize = 127;
        let shortened = |text: &str| text[..text.floor_char_boundary(MAX)].to_owned();
        let metadata = &mut plan.metadata;
        metadata.set("quantize.imatrix.file", shortened(&self.path.to_string_lossy()));
        if let Some(dataset) = self.datasets.first() {
            metadata.set("quantize.imatrix.dataset", shortened(dataset));
        }
        metadata.set("quantize.imatrix.entries_count", self.len() as u32);
        if self.chunks > 0 {
            metadata.set("quantize.imatrix.chunks_count", self.chunks);
        }
    }
}

/// Number of importances that a tensor needs: one per column, for each of its matrices.
fn expected(tensor: &PlannedTensor) -> u64 {
    let dim = |i: usize| tensor.shape.get(i).copied().unwrap_or(1);
    dim(0).saturating_mul(dim(2))
}

#[cfg(test)]
mod tests;
