//! A model as results name it, and its shape.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use siskin_model::files::Files;
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::{Shape, ShapeError};
use siskin_model::summary;

use crate::BenchError;
use crate::result::Model;

/// A model and what decoding it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Name, type, size.
    pub model: Model,
    /// Its shape.
    pub shape: Shape,
}

impl ModelInfo {
    /// Reads the header of the file at `path`, and the whole file once for its hash.
    ///
    /// # Errors
    /// The file cannot be read, or is not a language model.
    pub fn open(path: &Path) -> Result<Self, BenchError> {
        let ModelFile { files, header } = ModelFile::open(path)?;
        let name = path
            .file_stem()
            .map_or("model".into(), |stem| stem.to_string_lossy().into_owned());
        // The bytes of the first part are not those of the model, and a sparse file may be larger than any disk.
        let is_whole = files.count() == 1 && file_waste(&header) <= MOST_WASTE;
        let hash = is_whole.then(|| hash(&files)).transpose()?;
        ModelInfo::from_header(&header, name, hash).map_err(|source| BenchError::Shape {
            name: path.display().to_string(),
            source,
        })
    }

    /// The same of a file in memory.
    ///
    /// # Errors
    /// The bytes are not a language model.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, BenchError> {
        let header = Header::parse(bytes, bytes.len() as u64).map_err(|source| BenchError::Bytes {
            name: name.into(),
            source,
        })?;
        let hash = sha256(bytes).ok();
        ModelInfo::from_header(&header, name.into(), hash).map_err(|source| BenchError::Shape {
            name: name.into(),
            source,
        })
    }

    fn from_header(header: &Header, name: String, sha256: Option<String>) -> Result<Self, ShapeError> {
        let shape = Shape::from_header(header)?;
        let model = Model {
            // A file's name may hold anything, and it goes to terminals.
            name: name.replace(char::is_control, "?"),
            architecture: shape.arch.clone(),
            file_type: summary::file_type(header),
            sha256,
            file_bytes: header.file_len,
            parameters: shape.parameters,
            bits_per_weight: header.file_len as f64 * 8.0 / shape.parameters.max(1) as f64,
            training_context_tokens: Some(shape.training_context.into()),
        };
        Ok(ModelInfo { model, shape })
    }
}

/// The hash of the first file.
fn hash(files: &Files) -> Result<String, BenchError> {
    sha256(files.reader(0)?).map_err(|source| BenchError::Read {
        path: files.path(0).to_owned(),
        source,
    })
}

/// The most bytes beside header and weights that are read for a file's hash; the file has none beyond that.
const MOST_WASTE: u64 = 1 << 30;

/// Bytes of a file that are neither header nor weights.
fn file_waste(header: &Header) -> u64 {
    let weights = header.tensors.iter().map(|tensor| header.range(tensor));
    let known = weights.fold(header.data_start, |sum, range| sum + (range.end - range.start));
    header.file_len.saturating_sub(known)
}

/// SHA-256 in hexadecimal digits, as `sha256sum` prints it.
fn sha256(mut input: impl Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => hash.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use siskin_runtime::STORYTELLER;

    use super::*;

    #[test]
    fn the_embedded_model() {
        let info = ModelInfo::from_bytes(STORYTELLER, "a\u{1b}b").expect("a model");
        assert_eq!(info.model.name, "a?b");
        assert_eq!(info.model.file_bytes, STORYTELLER.len() as u64);
        assert_eq!(info.model.parameters, info.shape.parameters);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a?b.gguf");
        std::fs::write(&path, STORYTELLER).expect("written");
        assert_eq!(ModelInfo::open(&path).expect("a model"), info);
        let error = ModelInfo::open(&folder.path().join("none.gguf")).expect_err("no file");
        assert_eq!(error.kind(), crate::ErrorKind::File);
        let error = ModelInfo::from_bytes(b"GGUF", "m").expect_err("no model");
        assert_eq!(error.kind(), crate::ErrorKind::DamagedModel);
    }

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&b"abc"[..]).expect("hashed"), want);
    }
}
