//! The header of a GGUF file, validated: keys with their types in the file's order, and tensors whose ranges
//! lie within the file.
//!
//! The parser reads only the header, one buffer at a time, whatever the size of the file. It treats the
//! content as hostile: it checks counts and lengths against the remaining bytes before it allocates anything,
//! and a header may take at most 256 MiB of memory.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;

use super::cursor::Cursor;
use super::error::{GgufError, HeaderError, Place, Problem, shortened};
use super::{Array, DEFAULT_ALIGNMENT, MAGIC, Metadata, TensorInfo, Value, ValueType, align_up};
use crate::TensorType;
use crate::files::Files;

/// Minimum size of a key in bytes: name length, one character, value type, value.
const MIN_KEY_BYTES: u64 = 8 + 1 + 4 + 1;

/// Minimum size of a tensor entry in bytes: name length, one character, dimension count, one dimension, type,
/// offset.
const MIN_TENSOR_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// The key for the alignment: every tensor offset is a multiple of its value.
const ALIGNMENT_KEY: &str = "general.alignment";

/// Longest tensor name in bytes that llama.cpp can store (`GGML_MAX_NAME` without the terminating zero).
const MAX_TENSOR_NAME: usize = 63;

/// Everything before the tensor data of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// 2 or 3; the two formats differ only in this number.
    pub version: u32,
    /// All keys, in the file's order.
    pub metadata: Metadata,
    /// All tensors, in the file's order. Each lies within the file, and no two share a byte.
    pub tensors: Vec<TensorInfo>,
    /// Every tensor offset is a multiple of this.
    pub alignment: u64,
    /// File position of the tensor data.
    pub data_start: u64,
    /// Size of the file in bytes.
    pub file_len: u64,
}

impl Header {
    /// Reads the header of file `index` in `files`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if its header is damaged or of a kind that siskin does not read.
    pub fn read(files: &Files, index: usize) -> Result<Self, GgufError> {
        let input = files.reader(index)?;
        Self::parse(input, files.len(index)).map_err(|source| GgufError::of_header(files, index, source))
    }

    /// Reads a header from `input`, which starts at the first byte of a file of `file_len` bytes and should
    /// be buffered.
    ///
    /// # Errors
    /// Fails with the place, the position and the problem if the header is damaged or unsupported, or if
    /// `input` fails.
    pub fn parse(input: impl Read, file_len: u64) -> Result<Self, HeaderError> {
        let mut cursor = Cursor::new(input, file_len);
        let (version, n_tensors, n_keys) = at(&mut cursor, || Place::Start, read_start)?;
        let (metadata, alignment) = read_metadata(&mut cursor, n_keys)?;
        let (tensors, positions) = read_tensors(&mut cursor, n_tensors)?;
        let header = Header {
            version,
            metadata,
            tensors,
            alignment,
            data_start: align_up(cursor.position(), alignment),
            file_len,
        };
        header.check_places().map_err(|(index, problem)| HeaderError {
            place: Place::tensor(&header.tensors[index].name),
            position: positions[index],
            problem,
        })?;
        Ok(header)
    }

    /// The byte range of `tensor` in the file; `tensor` must be one of [`Self::tensors`].
    pub fn range(&self, tensor: &TensorInfo) -> Range<u64> {
        self.checked_range(tensor)
            .expect("every tensor of a header lies within its file")
    }

    fn checked_range(&self, tensor: &TensorInfo) -> Option<Range<u64>> {
        let start = self.data_start.checked_add(tensor.offset)?;
        let end = start.checked_add(tensor.ty.tensor_bytes(&tensor.shape)?)?;
        (end <= self.file_len).then_some(start..end)
    }

    /// Checks that every tensor is aligned, lies within the file and overlaps no other; the error holds the
    /// tensor's index.
    fn check_places(&self) -> Result<(), (usize, Problem)> {
        let mut places = Vec::with_capacity(self.tensors.len());
        for (index, tensor) in self.tensors.iter().enumerate() {
            let (offset, alignment) = (tensor.offset, self.alignment);
            if !offset.is_multiple_of(alignment) {
                return Err((index, Problem::Misaligned { offset, alignment }));
            }
            let range = self.checked_range(tensor).ok_or_else(|| {
                let size = tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(u64::MAX);
                (index, Problem::PastEnd { offset, size })
            })?;
            places.push((range, index));
        }
        places.sort_unstable_by_key(|(range, index)| (range.start, *index));
        match places.windows(2).find(|pair| pair[1].0.start < pair[0].0.end) {
            Some(pair) => {
                let other = &self.tensors[pair[0].1].name;
                Err((pair[1].1, Problem::Overlap(shortened(other))))
            }
            None => Ok(()),
        }
    }
}

/// Runs `read`; adds the place and the start position to its error.
fn at<R: Read, T>(
    cursor: &mut Cursor<R>,
    place: impl FnOnce() -> Place,
    read: impl FnOnce(&mut Cursor<R>) -> Result<T, Problem>,
) -> Result<T, HeaderError> {
    let position = cursor.position();
    read(cursor).map_err(|problem| HeaderError {
        place: place(),
        position,
        problem,
    })
}

/// Reads version, tensor count and key count.
fn read_start(cursor: &mut Cursor<impl Read>) -> Result<(u32, usize, usize), Problem> {
    let magic = cursor.bytes()?;
    if magic != MAGIC {
        return Err(Problem::Magic(magic));
    }
    let version: u32 = cursor.number()?;
    match version {
        2 | 3 => {}
        // In the wrong byte order, the low 16 bits of a small number are zero.
        _ if version != 0 && version.trailing_zeros() >= 16 => return Err(Problem::BigEndian),
        _ => return Err(Problem::Version(version)),
    }
    let n_tensors = cursor.count("tensors", MIN_TENSOR_BYTES)?;
    let n_keys = cursor.count("keys", MIN_KEY_BYTES)?;
    Ok((version, n_tensors, n_keys))
}

/// Reads all keys; also returns the alignment that they declare.
fn read_metadata(cursor: &mut Cursor<impl Read>, count: usize) -> Result<(Metadata, u64), HeaderError> {
    let (mut metadata, mut positions) = (Metadata::new(), Vec::new());
    let mut alignment = DEFAULT_ALIGNMENT;
    for index in 0..count {
        positions.push(cursor.position());
        let key = at(cursor, || Place::KeyName(index as u64), read_name)?;
        let value = at(
            cursor,
            || Place::key(&key),
            |cursor| {
                let value = read_value(cursor)?;
                if key == ALIGNMENT_KEY {
                    alignment = alignment_of(&value)?;
                }
                Ok(value)
            },
        )?;
        metadata.push(key, value);
    }
    no_duplicates(metadata.iter().map(|(key, _)| key), &positions, Place::key)?;
    Ok((metadata, alignment))
}

/// Reads the name of a key or a tensor, and charges the memory of its entry.
fn read_name(cursor: &mut Cursor<impl Read>) -> Result<String, Problem> {
    cursor.charge(2 * size_of::<(String, Value)>().max(size_of::<TensorInfo>()) as u64)?;
    let name = cursor.string()?;
    if name.is_empty() {
        Err(Problem::EmptyName)
    } else {
        Ok(name)
    }
}

fn read_type(cursor: &mut Cursor<impl Read>) -> Result<ValueType, Problem> {
    let id = cursor.number()?;
    ValueType::from_id(id).ok_or(Problem::ValueType(id))
}

fn read_value(cursor: &mut Cursor<impl Read>) -> Result<Value, Problem> {
    Ok(match read_type(cursor)? {
        ValueType::U8 => Value::U8(cursor.number()?),
        ValueType::I8 => Value::I8(cursor.number()?),
        ValueType::U16 => Value::U16(cursor.number()?),
        ValueType::I16 => Value::I16(cursor.number()?),
        ValueType::U32 => Value::U32(cursor.number()?),
        ValueType::I32 => Value::I32(cursor.number()?),
        ValueType::F32 => Value::F32(cursor.number()?),
        ValueType::U64 => Value::U64(cursor.number()?),
        ValueType::I64 => Value::I64(cursor.number()?),
        ValueType::F64 => Value::F64(cursor.number()?),
        ValueType::Bool => Value::Bool(cursor.number()?),
        ValueType::String => Value::String(cursor.string()?),
        ValueType::Array => Value::Array(read_array(cursor)?),
    })
}

fn read_array(cursor: &mut Cursor<impl Read>) -> Result<Array, Problem> {
    Ok(match read_type(cursor)? {
        ValueType::U8 => Array::U8(cursor.numbers()?),
        ValueType::I8 => Array::I8(cursor.numbers()?),
        ValueType::U16 => Array::U16(cursor.numbers()?),
        ValueType::I16 => Array::I16(cursor.numbers()?),
        ValueType::U32 => Array::U32(cursor.numbers()?),
        ValueType::I32 => Array::I32(cursor.numbers()?),
        ValueType::F32 => Array::F32(cursor.numbers()?),
        ValueType::U64 => Array::U64(cursor.numbers()?),
        ValueType::I64 => Array::I64(cursor.numbers()?),
        ValueType::F64 => Array::F64(cursor.numbers()?),
        ValueType::Bool => Array::Bool(cursor.numbers()?),
        ValueType::String => Array::String(cursor.strings()?),
        ValueType::Array => return Err(Problem::NestedArray),
    })
}

fn alignment_of(value: &Value) -> Result<u64, Problem> {
    match value {
        Value::U32(alignment) if alignment.is_power_of_two() => Ok((*alignment).into()),
        Value::U32(alignment) => Err(Problem::Alignment(*alignment)),
        _ => Err(Problem::AlignmentType),
    }
}

/// Reads all tensors; also returns the position of each entry.
fn read_tensors(
    cursor: &mut Cursor<impl Read>,
    count: usize,
) -> Result<(Vec<TensorInfo>, Vec<u64>), HeaderError> {
    let (mut tensors, mut positions) = (Vec::new(), Vec::new());
    for index in 0..count {
        positions.push(cursor.position());
        let name = at(cursor, || Place::TensorName(index as u64), read_tensor_name)?;
        let (shape, ty, offset) = at(cursor, || Place::tensor(&name), read_tensor_fields)?;
        tensors.push(TensorInfo {
            name,
            shape,
            ty,
            offset,
        });
    }
    no_duplicates(
        tensors.iter().map(|tensor| tensor.name.as_str()),
        &positions,
        Place::tensor,
    )?;
    Ok((tensors, positions))
}

fn read_tensor_name(cursor: &mut Cursor<impl Read>) -> Result<String, Problem> {
    let name = read_name(cursor)?;
    if name.len() > MAX_TENSOR_NAME {
        Err(Problem::LongName(name.len()))
    } else {
        Ok(name)
    }
}

fn read_tensor_fields(cursor: &mut Cursor<impl Read>) -> Result<(Vec<u64>, TensorType, u64), Problem> {
    let n_dims: u32 = cursor.number()?;
    if !(1..=4).contains(&n_dims) {
        return Err(Problem::Dimensions(n_dims));
    }
    let shape = (0..n_dims)
        .map(|_| cursor.number())
        .collect::<Result<Vec<u64>, _>>()?;
    if shape.contains(&0) {
        return Err(Problem::Empty(shape));
    }
    let id = cursor.number()?;
    let ty = TensorType::from_id(id).ok_or(Problem::TensorType(id))?;
    if ty.tensor_bytes(&shape).is_none() {
        return Err(Problem::Shape { shape, ty });
    }
    Ok((shape, ty, cursor.number()?))
}

/// Checks that no name occurs twice; `positions` are the positions of the entries.
fn no_duplicates<'a>(
    names: impl Iterator<Item = &'a str>,
    positions: &[u64],
    place: fn(&str) -> Place,
) -> Result<(), HeaderError> {
    let mut seen = HashSet::new();
    match names.zip(positions).find(|(name, _)| !seen.insert(*name)) {
        Some((name, &position)) => Err(HeaderError {
            place: place(name),
            position,
            problem: Problem::Duplicate,
        }),
        None => Ok(()),
    }
}
