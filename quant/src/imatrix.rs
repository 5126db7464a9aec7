//! Importance matrices: how much each column of a model's matrices matters, by the inputs it met in a run.
//!
//! A column's importance is the mean square of its inputs. Files are llama.cpp's: GGUF (`general.type` is `imatrix`,
//! `<tensor>.in_sum2` and `<tensor>.counts`), or the older format without a magic number; what is in them is hostile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use siskin_model::files::{FileError, Files};
use siskin_model::gguf::{GgufError, MAGIC};
use crate::plan::{Plan, PlannedTensor};
use siskin_model::arch::Role;

mod gguf;
mod legacy;
mod write;

pub use write::{Collected, Sums};

/// The largest file taken: far above any model's.
const MAX_BYTES: u64 = 1 << 30;

/// An importance matrix cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImatrixError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is a damaged GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// It is no importance matrix, or a damaged one.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// It was made for another model.
    #[error(
        "{}: tensor {tensor:?} has {found} importances where this model's has {expected} columns; the matrix is of another model",
        path.display()
    )]
    Size {
        /// Which file.
        path: PathBuf,
        /// Which tensor.
        tensor: String,
        /// Values in the file.
        found: usize,
        /// Values the model's tensor needs.
        expected: u64,
    },
    /// No tensor of the model is in it.
    #[error("{}: none of its {entries} entries names a matrix of this model; the matrix is of another model", path.display())]
    Stranger {
        /// Which file.
        path: PathBuf,
        /// Entries in the file.
        entries: usize,
    },
}

/// An importance matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Imatrix {
    /// The file it was read from.
    pub path: PathBuf,
    /// The texts it was collected from.
    pub datasets: Vec<String>,
    /// How many chunks of text; 0 where the file does not say.
    pub chunks: u32,
    /// A tensor's importances: of each column, for each matrix of the tensor.
    entries: BTreeMap<String, Vec<f32>>,
}

impl Imatrix {
    /// Reads a file of either format.
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
            legacy::read(path, &bytes).map_err(content)?
        };
        imatrix.check().map_err(content)?;
        Ok(imatrix)
    }

    fn check(&self) -> Result<(), String> {
        if self.entries.is_empty() {
            return Err(
                "no importance matrix is in it: no tensor is named *.in_sum2; make one with siskin imatrix"
                    .into(),
            );
        }
        for (name, values) in &self.entries {
            // Negated so that NaN fails as well.
            if let Some(bad) = values.iter().find(|v| !(**v >= 0.0 && v.is_finite())) {
                return Err(format!(
                    "{name:?} holds {bad}, which is no mean of squares; the file is damaged"
                ));
            }
        }
        Ok(())
    }

    /// How many tensors it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True where it holds none: never after [`Self::open`].
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A tensor's importances, as many as its columns for each of its matrices.
    pub fn importance(&self, tensor: &PlannedTensor) -> Option<&[f32]> {
        let values = self.entries.get(&tensor.name)?;
        (values.len() as u64 == expected(tensor)).then_some(values)
    }

    /// Notes the matrix in a plan's keys as llama-quantize does, and gives the names of the quantized matrices that it
    /// has nothing for. A matrix of another size is refused; of the embedding, which is looked up and not multiplied,
    /// it is passed over.
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
        /// The longest value that llama-quantize writes here.
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

/// Importances that a tensor needs: its columns, for each of its matrices.
fn expected(tensor: &PlannedTensor) -> u64 {
    let dim = |i: usize| tensor.shape.get(i).copied().unwrap_or(1);
    dim(0).saturating_mul(dim(2))
}

#[cfg(test)]
mod tests;
