//! The gate before llama.cpp: a file passes only if siskin's own reader and checks find nothing wrong.

use std::path::Path;

use siskin_model::files::Files;
use siskin_model::gguf::{GgufError, Header, ModelFile};
use siskin_model::validate;

use super::memory::Mapped;
use super::{LoadOptions, lost_file};
use crate::Error;

/// Checks the model at `path` as far as `options` would have llama.cpp read it, and returns it open: what was checked is
/// what llama.cpp must get.
pub(super) fn check(path: &Path, options: &LoadOptions) -> Result<ModelFile, Error> {
    let model = ModelFile::open_with(path, read)?;
    let header = &model.header;
    match options.vocab_only {
        true => validate::check_vocabulary(header),
        false => validate::check_model(header, options.any_architecture),
    }
    .map_err(|source| Error::Invalid {
        path: path.to_owned(),
        source,
    })?;
    Ok(model)
}

/// Reads a header through a mapping: llama.cpp needs the pages next.
fn read(files: &Files, index: usize) -> Result<Header, GgufError> {
    lost_file::note(files.file(index), files.path(index));
    match Mapped::new(files.file(index)) {
        Some(mapped) => {
            let header = Header::parse(mapped.bytes(), files.len(index));
            header.map_err(|source| GgufError::of_header(files, index, source))
        }
        // A file system without mappings.
        None => Header::read(files, index),
    }
}
