//! What goes wrong between a name and its bytes.

use std::io;
use std::path::{Path, PathBuf};

use siskin_model::ErrorKind;
use siskin_model::files::FileError;

use crate::digest::Digest;
use crate::name::NameError;

/// Why a model or a file of it cannot be had. Each text is one or two sentences on one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A variable of the environment has a value that cannot be used.
    #[error("{variable}: {problem}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// A variable forbids the network.
    #[error("{what} is not on this disk, and {variable} forbids the network")]
    Offline {
        /// What is needed.
        what: String,
        /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`.
        variable: &'static str,
    },
    /// The repository is gated and no token was sent.
    #[error(
        "{repo} needs a token: its owner lets only known accounts download it. \
         Accept its terms at {page}, make a token at {tokens}, and set HF_TOKEN to it"
    )]
    NeedsToken {
        /// The repository.
        repo: String,
        /// Its page.
        page: String,
        /// The page that makes tokens.
        tokens: String,
    },
    /// The account of the token has not accepted the repository's terms, or waits for its owner.
    #[error(
        "{repo} is gated, and the account of this token may not download it yet. \
         Accept its terms at {page}; some owners then answer by hand"
    )]
    Gated {
        /// The repository.
        repo: String,
        /// Its page.
        page: String,
    },
    /// The token is not accepted.
    #[error("{host} does not accept the token. Make another one at {tokens}, and set HF_TOKEN to it")]
    BadToken {
        /// The host that refused it.
        host: String,
        /// The page that makes tokens.
        tokens: String,
    },
    /// There is no such repository, or it is private.
    #[error(
        "there is no repository {repo}, or it is private and needs the token of an account that may read it"
    )]
    NoRepo {
        /// The repository.
        repo: String,
    },
    /// The repository has no such revision.
    #[error("{repo} has no revision {revision}{}", among(known))]
    NoRevision {
        /// The repository.
        repo: String,
        /// The revision that was asked for.
        revision: String,
        /// Branches and tags that the repository has; empty if the server does not tell.
        known: Vec<String>,
    },
    /// The repository has no such file.
    #[error("{repo} has no file {file}")]
    NoFile {
        /// The repository, with its commit if it is known.
        repo: String,
        /// The file that was asked for.
        file: String,
    },
    /// A web page came instead of data.
    #[error("{host} answers with a web page instead of {what}; a proxy or a login page may be in the way")]
    Html {
        /// The host that sent it.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// The content was compressed although it must not be.
    #[error("{host} sends {what} compressed ({encoding}), which was not asked for; offsets would be wrong")]
    Compressed {
        /// The host that sent it.
        host: String,
        /// What was asked for.
        what: String,
        /// The encoding.
        encoding: String,
    },
    /// The server's answer contradicts what was asked or itself.
    #[error("{host} answers wrongly for {what}: {problem}")]
    Answer {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The server refuses.
    #[error("{host} refuses {what}: {status}{}", said(message))]
    Status {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// The status of HTTP.
        status: u16,
        /// What the server says, shortened; may be empty.
        message: String,
    },
    /// The server asks to wait longer than we do.
    #[error("{host} asks to wait for {seconds} s before the next request; try again then")]
    Busy {
        /// The host.
        host: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// The connection cannot be made, or broke more often than is tried.
    #[error("{host}: {problem} ({attempts} attempts)")]
    Network {
        /// The host.
        host: String,
        /// The last thing that went wrong.
        problem: String,
        /// How often it was tried without one byte.
        attempts: u32,
    },
    /// An answer or a file is larger than any of its kind.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not those that the server's list names.
    #[error("{what} arrived damaged: expected {expected}, received {found}")]
    Digest {
        /// The file.
        what: String,
        /// As the list says.
        expected: Digest,
        /// As received.
        found: Digest,
    },
    /// The disk cannot hold what is to be downloaded.
    #[error("{}: {needed} bytes are needed, and {free} are free", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What is still to come, in bytes.
        needed: u64,
        /// What is free for this user, in bytes.
        free: u64,
    },
    /// Another program is downloading the same file.
    #[error("{}: another program is downloading this file", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A file on this disk cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file on this disk is not what it must be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of another program's store is damaged.
    #[error("{}: {problem}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller stopped the work.
    #[error("interrupted")]
    Interrupted,
}

/// How many branches an error names.
const MAX_KNOWN: usize = 8;

pub(crate) fn among(known: &[String]) -> String {
    match known {
        [] => String::new(),
        _ if known.len() <= MAX_KNOWN => format!("; it has {}", known.join(", ")),
        _ => format!(
            "; it has {} and {} more",
            known[..MAX_KNOWN].join(", "),
            known.len() - MAX_KNOWN
        ),
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(", {message}")
    }
}

impl HubError {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            HubError::Name(_) | HubError::Environment { .. } => ErrorKind::Format,
            HubError::NoRepo { .. } | HubError::NoRevision { .. } | HubError::NoFile { .. } => {
                ErrorKind::Missing
            }
            HubError::Digest { .. } | HubError::Store { .. } => ErrorKind::Damaged,
            HubError::TooLarge { .. } => ErrorKind::TooLarge,
            HubError::Interrupted => ErrorKind::Interrupted,
            HubError::File(error) => error.kind(),
            _ => ErrorKind::Io,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        HubError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The error inside one of the system's: readers of bodies can only give those.
    ///
    /// # Errors
    /// The same error, if no error of the hub is in it.
    pub fn in_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<HubError>()
    }
}

impl From<HubError> for io::Error {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Io { source, .. } => source,
            // Never `Interrupted`: readers of the standard library try again after that.
            error => io::Error::other(error),
        }
    }
}
