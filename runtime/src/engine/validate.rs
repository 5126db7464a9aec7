//! The gate before llama.cpp: a file passes only where siskin's own reader and checks find nothing wrong.

use std::path::Path;

use siskin_model::files::{FileError, Files};
use siskin_model::gguf::Header;
use siskin_model::validate;

use super::{EngineError, ModelOptions};

/// Checks the file at `path` as far as `options` would have llama.cpp read it, and gives its header.
pub(super) fn check(path: &Path, options: &ModelOptions) -> Result<Header, EngineError> {
    let not_a_model = |reason: String| EngineError::NotAModel {
        path: path.to_owned(),
        reason,
    };
    let mut files = Files::new();
    let file = files.open(path).map_err(|error| match error {
        FileError::Io { path, source } => EngineError::Io { path, source },
        other => not_a_model(reason_of(&other)),
    })?;
    let header = Header::read(&files, file)?;
    match options.vocab_only {
        true => validate::check_vocabulary(&header),
        false => validate::check_model(&header, options.any_architecture),
    }
    .map_err(|error| not_a_model(error.to_string()))?;
    Ok(header)
}

/// An error's text without the path it starts with.
fn reason_of(error: &FileError) -> String {
    let text = error.to_string();
    text.split_once(": ")
        .map_or(text.clone(), |(_, reason)| reason.to_owned())
}
