//! The small files of a checkpoint: in a folder on the disk, or in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use siskin_model::files::{self, FileError, Files};

/// The most names of a folder that are listed.
const MAX_NAMES: usize = 1024;

/// Where a checkpoint's configuration, tokenizer and chat templates are.
#[derive(Debug, Clone)]
pub enum Folder {
    /// In this folder on the disk.
    Disk(PathBuf),
    /// In memory.
    Memory {
        /// What errors name in place of a folder; its last part is the model's name.
        name: PathBuf,
        /// The files by their paths in the checkpoint, with `/` between the parts.
        files: BTreeMap<String, Vec<u8>>,
    },
}

/// What a folder has under a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing.
    Absent,
    /// A file of so many bytes, which are more than the limit.
    TooLarge(u64),
    /// A file with these bytes.
    Whole(Cow<'a, [u8]>),
}

impl Folder {
    /// The path of the folder itself, for errors.
    pub fn root(&self) -> &Path {
        match self {
            Folder::Disk(dir) => dir,
            Folder::Memory { name, .. } => name,
        }
    }

    /// The path of file `name`, for errors.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// True if the folder itself is there.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Folder::Disk(dir) => dir.exists(),
            Folder::Memory { .. } => true,
        }
    }

    /// True if there is a file `name`, not only a link to one that is gone.
    pub fn exists(&self, name: &str) -> bool {
        match self {
            Folder::Disk(dir) => dir.join(name).exists(),
            Folder::Memory { files, .. } => files.contains_key(name),
        }
    }

    /// True if the folder has an entry of this name, even a link to a file that is gone: opening it then says so.
    pub(super) fn has_entry(&self, name: &str) -> bool {
        match self {
            Folder::Disk(dir) => dir.join(name).symlink_metadata().is_ok(),
            Folder::Memory { .. } => self.exists(name),
        }
    }

    /// Reads file `name` if it has at most `limit` bytes.
    ///
    /// # Errors
    /// Fails if it cannot be read, is not a regular file, or begins as something that is never a part of a model.
    pub fn read(&self, name: &str, limit: u64) -> Result<Content<'_>, FileError> {
        if !self.exists(name) {
            return Ok(Content::Absent);
        }
        match self {
            Folder::Disk(dir) => {
                let mut files = Files::new();
                let file = files.open(&dir.join(name))?;
                match files.len(file) {
                    len if len > limit => Ok(Content::TooLarge(len)),
                    len => Ok(Content::Whole(files.read(file, 0..len)?.into())),
                }
            }
            Folder::Memory { files, .. } => {
                let bytes = files.get(name).map_or(&[][..], Vec::as_slice);
                files::check_start(&self.path(name), bytes)?;
                match bytes.len() as u64 {
                    len if len > limit => Ok(Content::TooLarge(len)),
                    _ => Ok(Content::Whole(bytes.into())),
                }
            }
        }
    }

    /// The first byte of file `name`; `None` if the file is missing or empty.
    ///
    /// # Errors
    /// As [`Self::read`]'s.
    pub(crate) fn first_byte(&self, name: &str) -> Result<Option<u8>, FileError> {
        match self {
            Folder::Disk(dir) => {
                let mut files = Files::new();
                let file = files.open(&dir.join(name))?;
                let start = 0..files.len(file).min(1);
                Ok(files.read(file, start)?.first().copied())
            }
            Folder::Memory { files, .. } => {
                let bytes = files.get(name).map_or(&[][..], Vec::as_slice);
                files::check_start(&self.path(name), bytes)?;
                Ok(bytes.first().copied())
            }
        }
    }

    /// The names of the entries of the folder `inner`, in order; none if there is no such folder.
    pub fn names_under(&self, inner: &str) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Folder::Disk(dir) => {
                let entries = std::fs::read_dir(dir.join(inner)).into_iter().flatten();
                let name =
                    |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
                entries.take(MAX_NAMES).filter_map(name).collect()
            }
            Folder::Memory { files, .. } => {
                let under = |path: &String| Some(path.strip_prefix(inner)?.strip_prefix('/')?.to_owned());
                let names = files.keys().filter_map(under);
                names.filter(|name| !name.contains('/')).take(MAX_NAMES).collect()
            }
        };
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_as_one_on_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let files: [(&str, &[u8]); 5] = [
            ("config.json", b"{}"),
            ("inner/b.jinja", b"bb"),
            ("inner/a.jinja", b"a"),
            ("empty", b""),
            ("page.json", b"<html>"),
        ];
        std::fs::create_dir(dir.path().join("inner")).expect("a folder");
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        let folders = [
            Folder::Disk(dir.path().to_owned()),
            Folder::Memory {
                name: dir.path().to_owned(),
                files: files
                    .iter()
                    .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                    .collect(),
            },
        ];
        for folder in &folders {
            assert_eq!(folder.path("config.json"), dir.path().join("config.json"));
            assert_eq!(folder.names_under("inner"), ["a.jinja", "b.jinja"]);
            assert_eq!(folder.names_under("none"), [""; 0]);
            assert!(folder.exists("inner/a.jinja") && !folder.exists("a.jinja"));
            assert_eq!(folder.read("none", 9).expect("nothing"), Content::Absent);
            assert_eq!(folder.read("config.json", 1).expect("read"), Content::TooLarge(2));
            let whole = folder.read("inner/b.jinja", 2).expect("read");
            assert_eq!(whole, Content::Whole(b"bb".into()));
            assert_eq!(folder.first_byte("inner/b.jinja").expect("read"), Some(b'b'));
        }
        let errors = folders.map(|folder| {
            let page = folder.read("page.json", 9).expect_err("a page").to_string();
            (
                page,
                folder
                    .read("empty", 9)
                    .map(|_| ())
                    .map_err(|error| error.to_string()),
            )
        });
        assert_eq!(errors[0], errors[1]);
    }
}
