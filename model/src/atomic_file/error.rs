//! Errors of writing an output.

use std::io;
use std::path::{Path, PathBuf};

use crate::ErrorKind;
use crate::files::PathKind;

/// The output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtomicFileError {
    /// The target exists, and the caller did not ask to replace it.
    #[error("{}: already exists", .0.display())]
    Exists(PathBuf),
    /// Another process is writing the target.
    #[error("{}: another process is writing it; wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// The target is a folder or a device, or its name ends in `/`.
    #[error("{}: {}not a regular file; name a file to write to", path.display(), kind.map_or(String::new(), |kind| format!("{kind}, ")))]
    NotAFile {
        /// Path of the target.
        path: PathBuf,
        /// What it is, if it exists.
        kind: Option<PathKind>,
    },
    /// The target is `-`, by which other programs mean their standard output.
    #[error(
        "-: this output is a file and cannot go to standard output; name a file (./- for one of this name)"
    )]
    Dash,
    /// The target is a symbolic link to a file that does not exist.
    #[error("{}: a symbolic link to {}, which does not exist; name that file instead", path.display(), to.display())]
    Dangling {
        /// Path of the link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// The folder of the target does not exist.
    #[error("{}: the folder {} does not exist", path.display(), folder.display())]
    NoFolder {
        /// Path of the target.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The target is one of the files that are read.
    #[error("{}: the output is the input itself; name another file{}", output.display(), other_name(output, input))]
    IsInput {
        /// Path of the target.
        output: PathBuf,
        /// Path of the same file as the caller named it as an input.
        input: PathBuf,
    },
    /// The system reported an error.
    #[error("{}: cannot write: {source}", path.display())]
    Io {
        /// Path of the target.
        path: PathBuf,
        /// Error reported by the system.
        source: io::Error,
    },
}

/// The name of the same file as an input, if it is another one.
fn other_name(output: &Path, input: &Path) -> String {
    match output == input {
        true => String::new(),
        false => format!(" ({})", input.display()),
    }
}

impl AtomicFileError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        AtomicFileError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            AtomicFileError::Exists(_) => ErrorKind::Exists,
            AtomicFileError::NotAFile { .. }
            | AtomicFileError::Dash
            | AtomicFileError::Dangling { .. }
            | AtomicFileError::NoFolder { .. }
            | AtomicFileError::IsInput { .. } => ErrorKind::Path,
            AtomicFileError::Busy(_) | AtomicFileError::Io { .. } => ErrorKind::Io,
        }
    }
}
