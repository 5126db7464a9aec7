//! The gate before llama.cpp: a file passes only if siskin's own reader and checks find nothing wrong.

use std::ops::Range;
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
    let model = ModelFile::open_with(path, |files, index| read(files, index, !options.vocab_only))?;
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

/// Reads a header through a mapping: llama.cpp needs the pages next, and those of the weights if `weights` is true.
fn read(files: &Files, index: usize, weights: bool) -> Result<Header, GgufError> {
    let file = files.file(index);
    if let Some(file) = file {
        lost_file::note(file, files.path(index));
    }
    match file.and_then(Mapped::new) {
        Some(mapped) => {
            let header = Header::parse(mapped.bytes(), files.len(index));
            if let (Ok(header), true) = (&header, weights) {
                let runs = runs(header.tensors.iter().map(|tensor| header.range(tensor)));
                runs.into_iter().for_each(|run| mapped.read_ahead(run));
            }
            header.map_err(|source| GgufError::of_header(files, index, source))
        }
        // A file system without mappings, or a file that is elsewhere.
        None => Header::read(files, index),
    }
}

/// Tensors that follow each other closely, as one range each: what lies between others is not read.
fn runs(tensors: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    /// Less is read with the rest.
    const GAP: u64 = 1 << 20;
    let mut all: Vec<Range<u64>> = tensors.collect();
    all.sort_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in all {
        match runs.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => runs.push(range),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // lists of ranges are what is tested
    fn close_tensors_are_one_run() {
        let far = 1 << 30;
        let cases = [
            (vec![0..10, 32..40], vec![0..40]),
            (vec![far..far + 5, 0..10], vec![0..10, far..far + 5]),
            (vec![0..100, 10..20], vec![0..100]),
            (vec![], vec![]),
        ];
        for (tensors, want) in cases {
            assert_eq!(runs(tensors.into_iter()), want);
        }
    }
}
