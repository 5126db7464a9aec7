//! Importance matrices in GGUF.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Imatrix, ImatrixError};
use siskin_model::TensorType;
use siskin_model::files::Files;
use siskin_model::gguf::{Header, TensorInfo, Value};

pub(super) const DATASETS: &str = "imatrix.datasets";
pub(super) const CHUNKS: &str = "imatrix.chunk_count";
pub(super) const CHUNK_SIZE: &str = "imatrix.chunk_size";
pub(super) const SUMS: &str = ".in_sum2";
pub(super) const COUNTS: &str = ".counts";

/// Reads the importance matrix in file `file` of `files`.
pub(super) fn read(path: &Path, files: &Files, file: usize) -> Result<Imatrix, ImatrixError> {
    let content = |problem: String| ImatrixError::Content {
        path: path.to_owned(),
        problem,
    };
    let header = Header::read(files, file)?;
    let floats = |tensor: &TensorInfo| -> Result<Vec<f32>, ImatrixError> {
        if tensor.ty != TensorType::F32 {
            return Err(content(format!(
                "tensor {:?} is {}, not f32",
                tensor.name, tensor.ty
            )));
        }
        let mut bytes = Vec::new();
        files.read_into(file, header.range(tensor), &mut bytes)?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|v| f32::from_le_bytes(*v))
            .collect())
    };
    let ending = |suffix: &'static str| {
        let named = header
            .tensors
            .iter()
            .filter_map(move |t| Some((t.name.strip_suffix(suffix)?, t)));
        named.collect::<BTreeMap<_, _>>()
    };
    let (sums, counts) = (ending(SUMS), ending(COUNTS));
    if let Some(name) = counts.keys().find(|name| !sums.contains_key(*name)) {
        return Err(content(format!("{name:?} has counts but no sums")));
    }
    let mut entries = BTreeMap::new();
    for (name, sum) in sums {
        let Some(count) = counts.get(name) else {
            return Err(content(format!("{name:?} has sums but no counts")));
        };
        let values = means(&floats(sum)?, &floats(count)?)
            .ok_or_else(|| content(format!("the sums and counts of {name:?} do not match")))?;
        entries.insert(name.to_owned(), values);
    }
    let number = |key: &str| match header.metadata.get(key) {
        Some(Value::U32(v)) => Some(*v),
        _ => None,
    };
    let datasets = header
        .metadata
        .strings(DATASETS)
        .map(|datasets| datasets.iter().map(str::to_owned).collect());
    // llama-quantize requires these keys, if there are any entries.
    let (Some(datasets), Some(chunks), Some(_)) = (datasets, number(CHUNKS), number(CHUNK_SIZE)) else {
        match entries.is_empty() {
            true => {
                return Ok(Imatrix {
                    path: path.to_owned(),
                    datasets: Vec::new(),
                    chunks: 0,
                    entries,
                });
            }
            false => {
                return Err(content(format!(
                    "one of the keys {DATASETS}, {CHUNKS} and {CHUNK_SIZE} is missing"
                )));
            }
        }
    };
    Ok(Imatrix {
        path: path.to_owned(),
        datasets,
        chunks,
        entries,
    })
}

/// Divides the sums of each matrix by its count; 1 for a matrix without inputs, such as an expert that was
/// never chosen.
fn means(sums: &[f32], counts: &[f32]) -> Option<Vec<f32>> {
    if counts.is_empty() || sums.is_empty() || !sums.len().is_multiple_of(counts.len()) {
        return None;
    }
    let each = sums.chunks(sums.len() / counts.len()).zip(counts);
    let mean = |(sums, count): (&[f32], &f32)| {
        let count = count.round();
        sums.iter()
            .map(move |sum| if count > 0.0 { sum / count } else { 1.0 })
            .collect::<Vec<f32>>()
    };
    Some(each.flat_map(mean).collect())
}
