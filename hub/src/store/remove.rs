//! Removing a model.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::{Store, StoreError, Stored};

/// What removing a model freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes that the disk has again.
    pub bytes: u64,
    /// Bytes that stay, because they belong to another program or have another name.
    pub kept: u64,
}

impl Store {
    /// Removes a model's files and what is known of it. Files that have another name, or that only a link leads to, keep
    /// their bytes.
    ///
    /// # Errors
    /// The system refuses; what was removed before stays removed.
    pub fn remove(&self, model: &Stored) -> Result<Freed, StoreError> {
        let mut freed = Freed::default();
        for path in &model.files {
            let error = |source| StoreError::Io {
                path: path.clone(),
                source,
            };
            let meta = fs::symlink_metadata(path).map_err(error)?;
            fs::remove_file(path).map_err(error)?;
            if meta.is_symlink() || meta.nlink() > 1 {
                freed.kept += if meta.is_symlink() { 0 } else { meta.len() };
            } else {
                freed.bytes += meta.len();
            }
        }
        let record = self.record_path(&model.name);
        match fs::remove_file(&record) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io { path: record, source })
            }
            _ => Ok(freed),
        }
    }
}
