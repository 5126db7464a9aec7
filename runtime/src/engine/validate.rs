//! The gate before llama.cpp: a file passes only if siskin's own reader and checks find nothing wrong.

use std::path::Path;

use siskin_model::files::Files;
use siskin_model::gguf::{GgufError, Header};
use siskin_model::validate;

use super::LoadOptions;
use super::memory::Mapped;
use crate::Error;

/// Checks the file at `path` as far as `options` would have llama.cpp read it, and returns its header.
pub(super) fn check(path: &Path, options: &LoadOptions) -> Result<Header, Error> {
    let mut files = Files::new();
    let index = files.open(path)?;
    let header = match Mapped::new(files.file(index)) {
        Some(mapped) => {
            let header = Header::parse(mapped.bytes(), files.len(index));
            header.map_err(|source| GgufError::Header {
                path: path.to_owned(),
                source,
            })?
        }
        // A file system without mappings.
        None => Header::read(&files, index)?,
    };
    match options.vocab_only {
        true => validate::check_vocabulary(&header),
        false => validate::check_model(&header, options.any_architecture),
    }
    .map_err(|source| Error::Invalid {
        path: path.to_owned(),
        source,
    })?;
    Ok(header)
}
