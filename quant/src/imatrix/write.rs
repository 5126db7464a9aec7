//! Sums collected from a run, and the file they become.

use std::collections::BTreeMap;
use std::path::Path;

use super::gguf::{CHUNK_SIZE, CHUNKS, COUNTS, DATASETS, SUMS};
use siskin_model::TensorType;
use siskin_model::gguf::{self, DEFAULT_ALIGNMENT, Metadata, TensorInfo};
use siskin_model::atomic_file::{Overwrite, AtomicFile, AtomicFileError};

/// What a tensor's inputs were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// For each column, of each matrix of the tensor, the sum of its inputs' squares.
    pub squares: Vec<f64>,
    /// How many inputs each column met: tokens.
    pub count: u64,
}

/// An importance matrix about to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// The tensors, by name.
    pub tensors: BTreeMap<String, Sums>,
    /// The text.
    pub dataset: String,
    /// Chunks of it that were run.
    pub chunks: u32,
    /// Tokens of a chunk.
    pub chunk_size: u32,
}

impl Collected {
    /// Writes llama.cpp's GGUF format in one step: until it is whole, `path` stays as it was.
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

/// Adds a tensor of one row, padded.
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
