//! Importance matrices in the format that llama-imatrix wrote before GGUF: little-endian, no magic number.
//!
//! The file has an `i32` number of entries, and for each entry: `i32` name length, name, `i32` number of
//! calls, `i32` number of values, the values as `f32`, each multiplied by the calls. All but the oldest files
//! then have an `i32` number of chunks, and the `i32` length and the name of the text.

use std::collections::BTreeMap;
use std::path::Path;

use super::Imatrix;

/// Longest tensor name in bytes that llama.cpp can store.
const MAX_NAME: usize = 63;
/// Longest accepted name of a text, in bytes.
const MAX_DATASET: usize = 4096;

/// Parses the bytes of a whole file.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Imatrix, String> {
    let mut cursor = Cursor {
        left: bytes,
        len: bytes.len(),
    };
    let count = cursor
        .count("entries")
        .map_err(|problem| format!("{problem}; it is not an importance matrix"))?;
    let mut entries = BTreeMap::new();
    for index in 0..count {
        let (name, values) = entry(&mut cursor).map_err(|problem| {
            format!("entry {index} of {count}: {problem}; the file is damaged, or not an importance matrix")
        })?;
        if entries.insert(name.clone(), values).is_some() {
            return Err(format!("{name:?} appears twice"));
        }
    }
    let (mut chunks, mut datasets) = (0, Vec::new());
    if !cursor.left.is_empty() {
        chunks = cursor.number()?.try_into().unwrap_or(0);
        if !cursor.left.is_empty() {
            let len = cursor.number()?;
            let len = usize::try_from(len).ok().filter(|len| *len <= MAX_DATASET);
            let name = cursor.take(len.ok_or("the name of the text is too long")?)?;
            if !name.is_empty() {
                datasets.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(Imatrix {
        path: path.to_owned(),
        datasets,
        chunks,
        entries,
    })
}

fn entry(cursor: &mut Cursor<'_>) -> Result<(String, Vec<f32>), String> {
    let len = cursor.number()?;
    let len = usize::try_from(len)
        .ok()
        .filter(|len| (1..=MAX_NAME).contains(len));
    let name = cursor.take(len.ok_or("the length of its name is impossible")?)?;
    let name = std::str::from_utf8(name)
        .map_err(|_| "its name is not UTF-8")?
        .to_owned();
    let calls = cursor.number()?;
    let count = cursor
        .count("values")
        .map_err(|problem| format!("{name:?}: {problem}"))?;
    let values = cursor
        .take(4 * count)?
        .as_chunks()
        .0
        .iter()
        .map(|v| f32::from_le_bytes(*v));
    let over = if calls > 0 { calls as f32 } else { 1.0 };
    Ok((name, values.map(|v| v / over).collect()))
}

/// The unread bytes, and the length of the file.
struct Cursor<'a> {
    left: &'a [u8],
    len: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let at = self.len - self.left.len();
        let (taken, left) = self
            .left
            .split_at_checked(bytes)
            .ok_or_else(|| format!("byte {at}: needs {bytes} bytes, but the file ends"))?;
        self.left = left;
        Ok(taken)
    }

    fn number(&mut self) -> Result<i32, String> {
        let bytes = self.take(4)?;
        Ok(i32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    /// Reads a count of items that each take at least four bytes. The count must be at least one.
    fn count(&mut self, what: &str) -> Result<usize, String> {
        let count = self.number()?;
        let count_or_none = usize::try_from(count)
            .ok()
            .filter(|n| *n > 0 && *n <= self.left.len() / 4);
        count_or_none.ok_or_else(|| format!("{count} {what} do not fit the file of {} bytes", self.len))
    }
}
