//! A conversion whose output is split into parts.

use std::path::{Path, PathBuf};

use siskin_model::atomic_file::{AtomicFile, Overwrite};

use super::{Conversion, ConvertError, file_bytes, fill, reserved};
use crate::plan::Plan;
use crate::split::{self, SplitOptions};
use crate::stream::{Progress, StreamOptions};

impl Conversion {
    /// The names of the parts that [`Self::write_split`] writes, and the size of each in bytes.
    ///
    /// # Errors
    /// Fails if the model cannot be split like this.
    pub fn parts(&self, path: &Path, options: SplitOptions) -> Result<Vec<(PathBuf, u64)>, ConvertError> {
        let parts = split::parts(&self.plan, options)?;
        let count = parts.len();
        let named = parts.iter().enumerate();
        let named =
            named.map(|(number, part)| Ok((split::part_path(path, number, count)?, file_bytes(part))));
        named.collect()
    }

    /// Writes the model in parts named after `path`. All are complete before the first has its name, and the first
    /// part, which others are found by, gets its name last. Progress is that of all parts together.
    ///
    /// # Errors
    /// Fails if the model cannot be split like this, if [`Self::check_target`] refuses the name of a part, or if an input
    /// cannot be read, converted or written.
    pub fn write_split(
        &self,
        path: &Path,
        split: SplitOptions,
        existing: Overwrite,
        options: StreamOptions<'_>,
        on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Vec<PathBuf>, ConvertError> {
        let parts = split::parts(&self.plan, split)?;
        let paths = (0..parts.len()).map(|number| split::part_path(path, number, parts.len()));
        let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
        for path in &paths {
            self.check_target(path, existing)?;
        }
        let total: u64 = parts.iter().map(Plan::data_bytes).sum();
        let mut before = 0;
        let mut targets = Vec::with_capacity(parts.len());
        // Space is reserved for all of them first: a full disk is reported before the work.
        for (part, path) in parts.iter().zip(&paths) {
            targets.push(reserved(part, path, existing)?);
        }
        for (part, target) in parts.iter().zip(&targets) {
            let mut whole = |progress: Progress<'_>| {
                on_progress(Progress {
                    written: before + progress.written,
                    total,
                    ..progress
                });
            };
            fill(part, &self.files, target, options, &mut whole)?;
            before += part.data_bytes();
        }
        targets.rotate_left(1);
        AtomicFile::commit_all(targets)?;
        Ok(paths)
    }
}
