//! Sums collected during a run, and the file made from them.

use std::collections::BTreeMap;
use std::path::Path;

use super::gguf::{CHUNK_SIZE, CHUNKS, COUNTS, DATASETS, SUMS};
use siskin_model::TensorType;
use siskin_model::atomic_file::{AtomicFile, AtomicFileError, Overwrite};
use siskin_model::gguf::{self, DEFAULT_ALIGNMENT, Metadata, TensorInfo};

/// Statistics of the inputs of a tensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// The sum of the squared inputs of each column, for each matrix of the tensor.
    pub squares: Vec<f64>,
    /// Number of inputs (tokens) per column.
    pub count: u64,
}

/// A collected importance matrix that has not been written yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// The sums of each tensor, by name.
    pub tensors: BTreeMap<String, Sums>,
    /// Name of the text.
    pub dataset: String,
    /// Number of text chunks that were run.
    pub chunks: u32,
    /// Tokens per chunk.
    pub chunk_size: u32,
}

impl Collected {
    /// Writes llama.cpp's GGUF format in one step: `path` is unchanged until the new file is complete.
    ///
    /// # Errors
    /// Fails if the target must not or cannot be written.
    pub fn write(&self, path: &Path, existing: Overwrite) -> Result<(), AtomicFileError> {
        let target = AtomicFile::create(path, existing)?;
        target.write_all(&self.bytes())?;
        target.commit()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut metadata = Metadata::new();
        metadata.set("general.type", "imatrix");
        metadata.set(DATASETS, vec![self.dataset.clone()]);
        metadata.set(CHUNKS, self.chunks);
        metadata.set(CHUNK_SIZE, self.chunk_size);
        let (mut infos, mut data) = (Vec::new(), Vec::new());
        for (name, sums) in &self.tensors {
            let squares = sums.squares.iter().map(|v| *v as f32);
            push(&mut infos, &mut data, format!("{name}{SUMS}"), squares);
            push(
                &mut infos,
                &mut data,
                format!("{name}{COUNTS}"),
                [sums.count as f32],
            );
        }
        let mut bytes = Vec::new();
        gguf::write_header(&mut bytes, &metadata, &infos, DEFAULT_ALIGNMENT).expect("a Vec takes everything");
        bytes.extend(data);
        bytes
    }
}

/// Appends a tensor with one row, and padding.
fn push(
    infos: &mut Vec<TensorInfo>,
    data: &mut Vec<u8>,
    name: String,
    values: impl IntoIterator<Item = f32>,
) {
    let offset = data.len() as u64;
    data.extend(values.into_iter().flat_map(f32::to_le_bytes));
    infos.push(TensorInfo {
        name,
        shape: vec![(data.len() as u64 - offset) / 4],
        ty: TensorType::F32,
        offset,
    });
    data.resize(data.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
}
