//! Where the shards of a checkpoint are.

use std::sync::Arc;

use siskin_model::files::{FileError, Files, ReadAt};

use super::{Folder, Format};

/// The files with the tensors.
#[derive(Debug)]
pub(super) enum Shards {
    /// In the checkpoint's folder.
    Beside,
    /// Elsewhere: name in the checkpoint, size in bytes, content.
    Elsewhere(Vec<(String, u64, Arc<dyn ReadAt>)>),
}

impl Shards {
    fn find(&self, name: &str) -> Option<&(String, u64, Arc<dyn ReadAt>)> {
        match self {
            Shards::Beside => None,
            Shards::Elsewhere(shards) => shards.iter().find(|(other, ..)| other == name),
        }
    }

    /// True if there is an entry `name` among the shards, even a link to a file that is gone.
    pub(super) fn has_entry(&self, folder: &Folder, name: &str) -> bool {
        match self {
            Shards::Beside => folder.has_entry(name),
            Shards::Elsewhere(_) => self.find(name).is_some(),
        }
    }

    /// True if the checkpoint has the shard `name`.
    pub(super) fn exist(&self, folder: &Folder, name: &str) -> bool {
        match self {
            Shards::Beside => folder.exists(name),
            Shards::Elsewhere(_) => self.find(name).is_some(),
        }
    }

    /// Adds the shard `name` to `files` and returns its index.
    pub(super) fn open(
        &self,
        folder: &Folder,
        name: &str,
        format: Format,
        files: &mut Files,
    ) -> Result<usize, FileError> {
        let path = folder.path(name);
        match (self, self.find(name)) {
            (Shards::Beside, _) => match format {
                Format::Safetensors => files.open(&path),
                Format::Pickle => files.open_archive(&path),
            },
            (Shards::Elsewhere(_), None) => Err(FileError::Io {
                path,
                source: std::io::ErrorKind::NotFound.into(),
            }),
            (Shards::Elsewhere(_), Some((_, len, content))) => {
                let file = files.add(&path, *len, Arc::clone(content));
                match format {
                    Format::Safetensors => files.check_start(file)?,
                    Format::Pickle => files.check_archive(file)?,
                }
                Ok(file)
            }
        }
    }
}
