//! Errors of opening and reading files.

use std::io;
use std::path::{Path, PathBuf};

use super::{Found, PathKind};
use crate::ErrorKind;

/// A file could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error reported by the system.
        source: io::Error,
    },
    /// The path is a folder, FIFO, socket or device, not a regular file.
    #[error("{}: {kind}, not a regular file; name a file", path.display())]
    NotAFile {
        /// The path that was given.
        path: PathBuf,
        /// What it is.
        kind: PathKind,
    },
    /// The path is a FIFO, and no program has it open for writing.
    #[error("{}: a FIFO that no program writes to", .0.display())]
    NoWriter(PathBuf),
    /// The file is a Git LFS pointer: the repository was cloned without its large files.
    #[error("{}: a Git LFS pointer, not the file itself; run `git lfs pull` in the repository", path.display())]
    LfsPointer {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file's first bytes are those of another kind of file.
    #[error("{}: {found}", path.display())]
    Strange {
        /// Path of the file.
        path: PathBuf,
        /// What it is, by its first bytes.
        found: Found,
    },
    /// The file is larger than any of its kind.
    #[error("{}: larger than {} KiB, the limit for this file", path.display(), limit >> 10)]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// The file is not text.
    #[error("{}: not UTF-8 text", path.display())]
    NotText {
        /// Path of the file.
        path: PathBuf,
    },
    /// The requested range is not within the file.
    #[error("{}: bytes {start} to {end} are past the end of the file ({len} bytes); it is truncated; get it again", path.display())]
    PastEnd {
        /// Path of the file.
        path: PathBuf,
        /// First byte of the request.
        start: u64,
        /// One past the last byte of the request.
        end: u64,
        /// Current size of the file in bytes.
        len: u64,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        FileError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            FileError::Io { .. } => ErrorKind::Io,
            FileError::NotAFile {
                kind: PathKind::Checkpoint,
                ..
            } => ErrorKind::Checkpoint,
            FileError::NotAFile { .. } | FileError::NoWriter(_) => ErrorKind::Path,
            FileError::LfsPointer { .. } => ErrorKind::LfsPointer,
            FileError::Strange { .. } => ErrorKind::Format,
            FileError::TooLarge { .. } => ErrorKind::TooLarge,
            FileError::NotText { .. } | FileError::PastEnd { .. } => ErrorKind::Damaged,
        }
    }
}
