//! The header of a safetensors file, checked against the file itself.
//!
//! Format: <https://huggingface.co/docs/safetensors>: u64 length, JSON header, data.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Error as _, IntoDeserializer, MapAccess, Visitor};

use super::CheckpointError;
use crate::view::View;
use siskin_model::TensorType;
use siskin_model::files::{Files, Found};

/// Size limit of a header in bytes: enough for a hundred thousand tensors, a thousand times as many as any
/// supported model has.
const MAX_HEADER: u64 = 16 << 20;

/// What is wrong with a safetensors header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file has too few bytes for the header's length.
    #[error("{0} bytes are too few for a safetensors file; get it again")]
    TooShort(u64),
    /// The header is larger than that of any supported model; this is its size in bytes.
    #[error("a header of {0} bytes; not a safetensors file, or damaged")]
    TooLarge(u64),
    /// The file ends before its header does.
    #[error("a header of {length} bytes in a file of {file_len}; get it again")]
    Truncated {
        /// Size of the header in bytes.
        length: u64,
        /// Size of the file in bytes.
        file_len: u64,
    },
    /// The file is of another format.
    #[error("not a safetensors file but {0}")]
    Other(Found),
    /// The header is not JSON of the expected form.
    #[error("damaged header: {0}")]
    Json(#[from] serde_json::Error),
    /// The bytes of a tensor are not in the file.
    #[error(
        "tensor {tensor} takes bytes {start} to {end} of {data_len}: the file is truncated or damaged; get it again"
    )]
    PastEnd {
        /// Name of the tensor.
        tensor: String,
        /// Offset of its first byte from the start of the data.
        start: u64,
        /// Offset of its end from the start of the data.
        end: u64,
        /// Size of the data in bytes.
        data_len: u64,
    },
    /// The shape of a tensor does not match the number of its bytes.
    #[error("tensor {tensor}: shape {shape:?} of {dtype} does not take {bytes} bytes")]
    Size {
        /// Name of the tensor.
        tensor: String,
        /// Its shape, the outermost dimension first.
        shape: Vec<u64>,
        /// Its type, as safetensors names it.
        dtype: String,
        /// Number of its bytes.
        bytes: u64,
    },
    /// Two tensors share bytes; these are their names.
    #[error("tensors {0} and {1} overlap; the file is damaged")]
    Overlap(String, String),
}

/// A tensor as the header describes it. The type may be one that is newer than this program.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's tensors by name. `__metadata__` is left out; duplicates are an error.
struct Entries(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<serde::de::IgnoredAny>()?;
            } else {
                match entries.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert(map.next_value()?);
                    }
                    Slot::Occupied(slot) => {
                        return Err(M::Error::custom(format!("tensor {} appears twice", slot.key())));
                    }
                }
            }
        }
        Ok(Entries(entries))
    }
}

impl Entry {
    fn dtype(&self) -> Option<Dtype> {
        let name: StrDeserializer<'_, serde::de::value::Error> = self.dtype.as_str().into_deserializer();
        Dtype::deserialize(name).ok()
    }
}

/// The tensors of a file.
#[derive(Debug, Default, PartialEq)]
pub struct Tensors {
    /// Those of types that a conversion reads: F32, F16, BF16.
    pub views: Vec<(String, View)>,
    /// The others, with the names of their types: masks and position buffers of old checkpoints, quantized weights.
    pub others: Vec<(String, String)>,
}

/// Reads and checks the header of file `file`: tensors with the bytes they take in the file.
pub(super) fn read_header(files: &Files, file: usize) -> Result<Tensors, CheckpointError> {
    let path = files.path(file);
    let damaged = |source| CheckpointError::Header {
        path: path.to_owned(),
        source,
    };
    let file_len = files.len(file);
    let found = files.found(file)?;
    if let Some(found) = found.filter(|found| *found != Found::Safetensors) {
        return Err(damaged(HeaderError::Other(found)));
    }
    if file_len < 8 {
        return Err(damaged(HeaderError::TooShort(file_len)));
    }
    let first = files.read(file, 0..8)?;
    let length = u64::from_le_bytes(first[..].try_into().expect("eight bytes were read"));
    if length > MAX_HEADER {
        return Err(damaged(HeaderError::TooLarge(length)));
    }
    let data_start = 8 + length;
    if data_start > file_len {
        return Err(damaged(HeaderError::Truncated { length, file_len }));
    }
    let header = files.read(file, 8..data_start)?;
    parse_header(&header, file, data_start, file_len).map_err(damaged)
}

/// Parses and checks the JSON header of file `file`. The file has `file_len` bytes; its data begins at
/// `data_start`.
///
/// # Errors
/// Fails if the JSON is damaged or a tensor does not match the file.
pub fn parse_header(
    header: &[u8],
    file: usize,
    data_start: u64,
    file_len: u64,
) -> Result<Tensors, HeaderError> {
    let Entries(entries) = serde_json::from_slice(header)?;
    check_layout(&entries, file_len.saturating_sub(data_start))?;
    let mut tensors = Tensors::default();
    for (name, entry) in entries {
        match entry.dtype().and_then(float_type) {
            Some(ty) => {
                let start = data_start + entry.data_offsets.0;
                let shape = entry.shape;
                tensors.views.push((
                    name,
                    View {
                        file,
                        start,
                        ty,
                        shape,
                    },
                ));
            }
            None => tensors.others.push((name, entry.dtype)),
        }
    }
    Ok(tensors)
}

/// The types of weights that a conversion reads.
fn float_type(dtype: Dtype) -> Option<TensorType> {
    match dtype {
        Dtype::F32 => Some(TensorType::F32),
        Dtype::F16 => Some(TensorType::F16),
        Dtype::BF16 => Some(TensorType::Bf16),
        _ => None,
    }
}

/// Checks that each tensor's bytes match its shape, lie in the file, and overlap no other tensor.
fn check_layout(entries: &BTreeMap<String, Entry>, data_len: u64) -> Result<(), HeaderError> {
    let mut spans = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let (start, end) = entry.data_offsets;
        if start > end || end > data_len {
            return Err(HeaderError::PastEnd {
                tensor: name.clone(),
                start,
                end,
                data_len,
            });
        }
        let weights = entry.shape.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim));
        let bytes = |dtype: Dtype| Some(weights?.checked_mul(dtype.bitsize() as u64)? / 8);
        if entry
            .dtype()
            .is_some_and(|dtype| bytes(dtype) != Some(end - start))
        {
            return Err(HeaderError::Size {
                tensor: name.clone(),
                shape: entry.shape.clone(),
                dtype: entry.dtype.clone(),
                bytes: end - start,
            });
        }
        spans.push((start, end, name));
    }
    spans.sort_unstable();
    match spans.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(HeaderError::Overlap(pair[0].2.clone(), pair[1].2.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Tensors, CheckpointError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).expect("written");
        let mut files = Files::new();
        let file = files.open(&path).expect("opened");
        read_header(&files, file)
    }

    #[test]
    fn a_good_header_gives_views() {
        let json = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
            "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"mask":{"dtype":"BOOL","shape":[4],"data_offsets":[16,20]}}"#;
        let tensors = read(&header(json, 20)).expect("good");
        let start = 8 + json.len() as u64;
        let want = [
            (
                "a".to_owned(),
                View {
                    file: 0,
                    start,
                    ty: TensorType::F32,
                    shape: vec![],
                },
            ),
            (
                "b".to_owned(),
                View {
                    file: 0,
                    start: start + 4,
                    ty: TensorType::Bf16,
                    shape: vec![2, 3],
                },
            ),
        ];
        assert_eq!(tensors.views, want);
        assert_eq!(tensors.others, [("mask".to_owned(), "BOOL".to_owned())]);
        let newer = r#"{"a":{"dtype":"F2_E1M0","shape":[8],"data_offsets":[0,2]}}"#;
        let tensors = read(&header(newer, 2)).expect("a type of later years");
        assert_eq!(tensors.others, [("a".to_owned(), "F2_E1M0".to_owned())]);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let entry = |shape: &str, from: u64, to: u64| {
            format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
        };
        let mut long = u64::MAX.to_le_bytes().to_vec();
        long.extend([0; 8]);
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("empty", vec![], "an empty file"),
            ("seven bytes", vec![1; 7], "too few"),
            ("length of 2^64", long, "a header of 18446744073709551615 bytes"),
            (
                "length past the end",
                vec![100, 0, 0, 0, 0, 0, 0, 0, b'{'],
                "get it again",
            ),
            ("no json", header("nonsense", 0), "damaged header"),
            (
                "past the end",
                header(&format!(r#"{{"a":{}}}"#, entry("[2]", 0, 8)), 7),
                "tensor a takes bytes 0 to 8 of 7",
            ),
            (
                "wrong shape",
                header(&format!(r#"{{"a":{}}}"#, entry("[3]", 0, 8)), 8),
                "tensor a: shape [3]",
            ),
            (
                "overflow",
                header(
                    &format!(r#"{{"a":{}}}"#, entry("[4294967296,4294967296]", 0, 0)),
                    0,
                ),
                "tensor a: shape",
            ),
            (
                "overlap",
                header(
                    &format!(r#"{{"a":{},"b":{}}}"#, entry("[2]", 0, 8), entry("[2]", 4, 12)),
                    12,
                ),
                "tensors a and b overlap",
            ),
            (
                "twice",
                header(&format!(r#"{{"a":{0},"a":{0}}}"#, entry("[2]", 0, 8)), 8),
                "tensor a appears twice",
            ),
            (
                "backwards",
                header(&format!(r#"{{"a":{}}}"#, entry("[2]", 8, 0)), 8),
                "tensor a takes bytes 8 to 0",
            ),
        ];
        for (name, bytes, want) in cases {
            let error = read(&bytes).expect_err(name).to_string();
            assert!(error.contains(want), "{name}: {error}");
        }
    }
}
