//! Errors of a conversion whose shards arrive.

use std::io;

use super::route::Unroutable;
use crate::stream::StreamError;
use siskin_model::ErrorKind;
use siskin_model::atomic_file::AtomicFileError;

/// A conversion of arriving shards failed. Nothing is under the target's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrivingError {
    /// The output cannot be written.
    #[error(transparent)]
    Target(#[from] AtomicFileError),
    /// A tensor cannot be converted.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The output is the same file as an input.
    #[error("{0}: the output is the input itself; name another file")]
    InPlace(String),
    /// The shards are not those of the checkpoint.
    #[error("{shard}: {reason}; the checkpoint has changed, begin again")]
    Shard {
        /// Name of the shard.
        shard: String,
        /// What differs.
        reason: &'static str,
    },
    /// Two tensors share a part of their bytes.
    #[error("tensors {0} and {1} overlap; the file is damaged")]
    Overlap(String, String),
    /// A tensor is not in its shard.
    #[error("tensor {0} is outside of its file; the file is damaged")]
    Outside(String),
    /// A shard stopped arriving.
    #[error("{shard}: {source}")]
    Source {
        /// Name of the shard.
        shard: String,
        /// What the source reports.
        source: io::Error,
    },
    /// A shard has arrived twice, and both times with other bytes than it should have.
    #[error(
        "{shard}: has sha256 {found} instead of {expected}, twice; the source or the way to it is damaged"
    )]
    Hash {
        /// Name of the shard.
        shard: String,
        /// The hash that it should have, in hexadecimal digits.
        expected: String,
        /// The hash of the bytes that arrived.
        found: String,
    },
    /// What is on the disk is not what was written.
    #[error("{path}: {what} is not on the disk as it was written; the disk is damaged")]
    ReadBack {
        /// Path of the target.
        path: String,
        /// The tensor, or the header.
        what: String,
    },
    /// The run was stopped by `cancel`.
    #[error("interrupted; what has arrived is kept for the next run")]
    Interrupted {
        /// Bytes of the shards that the next run does not read again.
        kept: u64,
    },
}

impl ArrivingError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ArrivingError::Target(source) => source.kind(),
            ArrivingError::Stream(source) => source.kind(),
            ArrivingError::InPlace(_) => ErrorKind::Path,
            ArrivingError::Shard { .. } => ErrorKind::Mismatch,
            ArrivingError::Source { .. } => ErrorKind::Io,
            ArrivingError::Overlap(..)
            | ArrivingError::Outside(_)
            | ArrivingError::Hash { .. }
            | ArrivingError::ReadBack { .. } => ErrorKind::Damaged,
            ArrivingError::Interrupted { .. } => ErrorKind::Interrupted,
        }
    }
}

impl From<Unroutable> for ArrivingError {
    fn from(reason: Unroutable) -> Self {
        match reason {
            Unroutable::Overlap(a, b) => ArrivingError::Overlap(a, b),
            Unroutable::Outside(tensor) => ArrivingError::Outside(tensor),
        }
    }
}
