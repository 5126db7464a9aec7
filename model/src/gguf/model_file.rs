//! A model on disk: one GGUF file, or all parts of a model that was split into several.
//!
//! The names and keys of parts are those of llama.cpp's gguf-split: `NAME-00001-of-00003.gguf`, `split.no` (from 0),
//! `split.count`, `split.tensors.count`. Only the first part has the model's other keys.

use std::path::{Path, PathBuf};

use super::error::{GgufError, NotGguf, SplitProblem};
use super::{Header, Problem, TensorInfo, Value, part_suffix};
use crate::files::{FileError, Files};

/// The most parts of a model: each is an open file and a mapping.
const MAX_PARTS: u64 = 512;

/// The most keys of a part after the first: it has three.
const MAX_PART_KEYS: usize = 64;

/// Keys that describe the parts and not the model.
const SPLIT_KEYS: &str = "split.";

/// An open model, with its header. A split model is one model here: [`Header::tensors`] has the tensors of all parts,
/// and their ranges are those of the files one after the other; [`Files::locate`] has the file and the position in it.
#[derive(Debug)]
pub struct ModelFile {
    /// The model's files, in the order of the parts.
    pub files: Files,
    /// The header of the whole model.
    pub header: Header,
}

impl ModelFile {
    /// Opens the model at `path`: a whole file, or any part of a split model.
    ///
    /// # Errors
    /// Fails if a file cannot be opened or read, is not a GGUF file or is damaged, or if a part is missing or belongs to
    /// another model.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        ModelFile::open_with(path, Header::read)
    }

    /// The same, if the caller has a faster way to read a header than [`Header::read`].
    ///
    /// # Errors
    /// As [`ModelFile::open`]'s.
    pub fn open_with(
        path: &Path,
        read: impl Fn(&Files, usize) -> Result<Header, GgufError>,
    ) -> Result<Self, GgufError> {
        let mut files = Files::new();
        let index = files.open(path).map_err(|error| match error {
            FileError::Strange { path, found } => GgufError::NotGguf {
                path,
                source: NotGguf(found),
            },
            error => error.into(),
        })?;
        let header = read(&files, index)?;
        match Part::new(&header) {
            None => Ok(ModelFile { files, header }),
            Some(part) => join(path, &part, &read),
        }
    }

    /// The model in files that are open already: one, or all parts in their order.
    ///
    /// # Errors
    /// As [`ModelFile::open`]'s.
    pub fn of(files: Files) -> Result<Self, GgufError> {
        let first = if files.count() > 0 {
            files.path(0).to_owned()
        } else {
            PathBuf::new()
        };
        let mut headers = (0..files.count()).map(|index| Header::read(&files, index));
        let Some(header) = headers.next().transpose()? else {
            return Err(FileError::io(&first, std::io::ErrorKind::NotFound.into()).into());
        };
        let Some(part) = Part::new(&header) else {
            drop(headers);
            if files.count() > 1 {
                return Err(GgufError::Split {
                    path: first,
                    number: 1,
                    count: files.count() as u64,
                    problem: SplitProblem::Foreign,
                });
            }
            return Ok(ModelFile { files, header });
        };
        let rest = headers.collect::<Result<Vec<_>, _>>()?;
        let paths: Vec<PathBuf> = (0..files.count())
            .map(|index| files.path(index).to_owned())
            .collect();
        let header = joined(
            &first,
            &part,
            paths.into_iter().zip([header].into_iter().chain(rest)),
        )?;
        Ok(ModelFile { files, header })
    }

    /// Number of files: 1, unless the model was split.
    pub fn parts(&self) -> usize {
        self.files.count()
    }
}

/// What a part says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Counted from 0.
    number: u64,
    count: u64,
    /// Number of tensors in all parts.
    tensors: Option<u64>,
}

impl Part {
    /// `None` if the file is a whole model.
    fn new(header: &Header) -> Option<Self> {
        let count = |key| header.metadata.get(key).and_then(Value::as_count);
        Some(Part {
            count: count("split.count").filter(|count| *count > 1)?,
            number: count("split.no").unwrap_or(0),
            tensors: count("split.tensors.count"),
        })
    }

    /// The paths of all parts, from that of this one.
    fn paths(&self, path: &Path) -> Option<Vec<PathBuf>> {
        let ending = |number: u64| format!("{}.gguf", part_suffix(number + 1, self.count));
        let name = path.file_name()?.to_str()?;
        let stem = name.strip_suffix(&ending(self.number))?;
        let path = |number| path.with_file_name(format!("{stem}{}", ending(number)));
        Some((0..self.count).map(path).collect())
    }
}

/// Opens all parts of the model that `path` is a part of.
fn join(
    path: &Path,
    part: &Part,
    read: &impl Fn(&Files, usize) -> Result<Header, GgufError>,
) -> Result<ModelFile, GgufError> {
    let problem = |path: &Path, problem| GgufError::Split {
        path: path.to_owned(),
        number: part.number.saturating_add(1),
        count: part.count,
        problem,
    };
    if part.count > MAX_PARTS || part.number >= part.count {
        return Err(problem(path, SplitProblem::Number));
    }
    let paths = part
        .paths(path)
        .ok_or_else(|| problem(path, SplitProblem::Name))?;
    if let Some(missing) = paths.iter().position(|path| !path.exists()) {
        return Err(GgufError::Split {
            path: paths[missing].clone(),
            number: missing as u64 + 1,
            count: part.count,
            problem: SplitProblem::Missing,
        });
    }
    let mut files = Files::new();
    let mut headers = Vec::with_capacity(paths.len());
    for path in &paths {
        let index = files.open(path)?;
        headers.push(read(&files, index)?);
    }
    let header = joined(path, part, paths.into_iter().zip(headers))?;
    Ok(ModelFile { files, header })
}

/// The header of the whole model, from those of its parts in their order. `path` is one of them.
fn joined(
    path: &Path,
    part: &Part,
    headers: impl Iterator<Item = (PathBuf, Header)>,
) -> Result<Header, GgufError> {
    let problem = |path: &Path, number: u64, problem| GgufError::Split {
        path: path.to_owned(),
        number: number.saturating_add(1),
        count: part.count,
        problem,
    };
    let mut whole: Option<Header> = None;
    let mut count = 0;
    for (number, (path, header)) in headers.enumerate() {
        let expected = Part {
            number: number as u64,
            ..*part
        };
        if Part::new(&header) != Some(expected) || (number > 0 && header.metadata.len() > MAX_PART_KEYS) {
            return Err(problem(&path, number as u64, SplitProblem::Foreign));
        }
        count += 1;
        match &mut whole {
            None => whole = Some(header),
            Some(whole) => append(whole, header),
        }
    }
    let mut header = whole.ok_or_else(|| problem(path, part.number, SplitProblem::Number))?;
    if count != part.count {
        return Err(problem(path, count, SplitProblem::Missing));
    }
    header.metadata.retain(|key| !key.starts_with(SPLIT_KEYS));
    if part
        .tensors
        .is_some_and(|count| count != header.tensors.len() as u64)
        || has_duplicates(&header.tensors)
    {
        return Err(problem(path, part.number, SplitProblem::Tensors));
    }
    Ok(header)
}

/// Adds the tensors of the next part, as if its file followed.
fn append(whole: &mut Header, part: Header) {
    // Both are positions in files: their sums are far below 2^64.
    let before = whole.file_len - whole.data_start + part.data_start;
    whole
        .tensors
        .extend(part.tensors.into_iter().map(|tensor| TensorInfo {
            offset: tensor.offset.saturating_add(before),
            ..tensor
        }));
    whole.file_len += part.file_len;
    whole.alignment = whole.alignment.min(part.alignment);
}

fn has_duplicates(tensors: &[TensorInfo]) -> bool {
    let mut seen = std::collections::HashSet::new();
    !tensors.iter().all(|tensor| seen.insert(tensor.name.as_str()))
}

impl GgufError {
    /// An error of the header of file `index`: if the file is not GGUF at all, what it is instead.
    pub fn of_header(files: &Files, index: usize, source: super::HeaderError) -> Self {
        let path = files.path(index).to_owned();
        let no_gguf = matches!(source.problem, Problem::Magic(_)) || files.len(index) == 0;
        match files.found(index) {
            Ok(Some(found)) if no_gguf => GgufError::NotGguf {
                path,
                source: NotGguf(found),
            },
            _ => GgufError::Header { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{DEFAULT_ALIGNMENT, Metadata, data_start, write_header};

    /// Writes a file with one tensor of 32 floats for each name.
    fn write(path: &Path, metadata: &Metadata, names: &[&str]) {
        let info = |(index, name): (usize, &&str)| TensorInfo {
            name: (*name).to_owned(),
            shape: vec![32],
            ty: crate::TensorType::F32,
            offset: index as u64 * 128,
        };
        let tensors: Vec<TensorInfo> = names.iter().enumerate().map(info).collect();
        let mut bytes = Vec::new();
        write_header(&mut bytes, metadata, &tensors, DEFAULT_ALIGNMENT).expect("written");
        assert_eq!(
            bytes.len() as u64,
            data_start(metadata, &tensors, DEFAULT_ALIGNMENT)
        );
        for name in names {
            bytes.extend(std::iter::repeat_n(name.as_bytes()[0], 128));
        }
        std::fs::write(path, bytes).expect("written");
    }

    fn part(number: u16, count: u16, tensors: u32) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.set("split.no", number);
        metadata.set("split.count", count);
        metadata.set("split.tensors.count", tensors as i32);
        metadata
    }

    fn first(count: u16, tensors: u32) -> Metadata {
        let mut metadata = part(0, count, tensors);
        metadata.set("general.architecture", "llama");
        metadata
    }

    #[test]
    fn the_parts_of_a_split_model_are_one_model() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        write(&at("m-00001-of-00003.gguf"), &first(3, 5), &["a", "b"]);
        write(&at("m-00002-of-00003.gguf"), &part(1, 3, 5), &["c", "d"]);
        write(&at("m-00003-of-00003.gguf"), &part(2, 3, 5), &["e"]);
        for given in ["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"] {
            let model = ModelFile::open(&at(given)).expect("all parts are there");
            let header = &model.header;
            assert_eq!(model.parts(), 3);
            assert_eq!(header.metadata.text("general.architecture"), Some("llama"));
            assert!(header.metadata.get("split.count").is_none());
            let lens = (0..3).map(|part| model.files.len(part));
            assert_eq!(header.file_len, lens.sum::<u64>());
            assert_eq!(header.tensors.len(), 5);
            for tensor in &header.tensors {
                let range = header.range(tensor);
                let (file, start) = model.files.locate(range.start);
                let bytes = model.files.read(file, start..start + range.end - range.start);
                assert_eq!(bytes.expect("read"), [tensor.name.as_bytes()[0]; 128]);
            }
        }
    }

    #[test]
    fn missing_and_foreign_parts_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let error = |name: &str| ModelFile::open(&at(name)).expect_err(name).to_string();
        write(&at("m-00001-of-00002.gguf"), &first(2, 2), &["a"]);
        let missing = error("m-00001-of-00002.gguf");
        assert!(
            missing.contains("m-00002-of-00002.gguf: part 2 of 2"),
            "{missing}"
        );
        let cases = [
            (part(1, 3, 2), "b", "is not part 2 of 2 of this model"),
            (part(0, 2, 2), "b", "is not part 2 of 2 of this model"),
            (Metadata::new(), "b", "is not part 2 of 2 of this model"),
            (part(1, 2, 2), "a", "the parts do not have the tensors"),
            (part(1, 2, 9), "b", "is not part 2 of 2 of this model"),
        ];
        for (metadata, tensor, want) in cases {
            write(&at("m-00002-of-00002.gguf"), &metadata, &[tensor]);
            let error = error("m-00001-of-00002.gguf");
            assert!(error.contains(want), "{error}");
        }
        write(&at("renamed.gguf"), &first(2, 2), &["a"]);
        assert!(error("renamed.gguf").contains("-00001-of-00002.gguf"));
        write(&at("m-00003-of-00002.gguf"), &part(2, 2, 2), &["a"]);
        assert!(error("m-00003-of-00002.gguf").contains("impossible"));
        write(&at("m-00001-of-60000.gguf"), &first(60000, 2), &["a"]);
        assert!(error("m-00001-of-60000.gguf").contains("impossible"));
    }

    #[test]
    fn other_files_are_named_as_what_they_are() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.gguf");
        let safetensors = [&64u64.to_le_bytes()[..], b"{\"a\":{}}"].concat();
        let cases: [(&[u8], &str); 8] = [
            (b"", "an empty file"),
            (b"<!DOCTYPE html><title>Log in</title>", "an HTML page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"{\"error\":\"Repository not found\"}", "a JSON text"),
            (b"Entry not found", "a text"),
            (b"PK\x03\x04\0\0", "a ZIP archive"),
            (b"\x1f\x8b\x08\0", "compressed with gzip"),
            (&safetensors, "a safetensors file"),
        ];
        for (bytes, want) in cases {
            std::fs::write(&path, bytes).expect("written");
            let error = ModelFile::open(&path).expect_err(want).to_string();
            assert!(error.contains(want) && !error.contains('\n'), "{error}");
        }
    }
}
