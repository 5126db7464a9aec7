//! Why a name cannot be pulled.

use siskin_model::ErrorKind;
use siskin_model::arch::ArchError;
use siskin_quant::arriving::ArrivingError;
use siskin_quant::checkpoint::CheckpointError;
use siskin_quant::convert::ConvertError;

use crate::HubError;
use crate::choose::ChooseError;
use crate::error::among;

/// Why a name cannot be pulled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The hub, or the way to it.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The repository has nothing that can be used.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// A revision of the repository has nothing that can be used.
    #[error("revision {revision}: {source}{}", among(known))]
    Revision {
        /// The revision.
        revision: String,
        /// What is wrong with it.
        source: ChooseError,
        /// The revisions that the repository has.
        known: Vec<String>,
    },
    /// A short name that nobody knows.
    #[error("{0}: no model has this name; give OWNER/REPO of a repository")]
    Short(String),
    /// A type that no conversion makes.
    #[error("{0}: siskin converts to no such type; q4_k_m and q8_0 are two of those that it does")]
    Type(String),
    /// An architecture that is not converted.
    #[error("config.json: {0}")]
    Architecture(ArchError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The conversion failed on its way.
    #[error(transparent)]
    Arriving(#[from] ArrivingError),
    /// An artifact without a model.
    #[error("{0} has no GGUF model in it")]
    NoModel(String),
}

impl PullError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PullError::Hub(source) => source.kind(),
            PullError::Choose(source) | PullError::Revision { source, .. } => source.kind(),
            PullError::Short(_) | PullError::Type(_) => ErrorKind::Path,
            PullError::Architecture(source) => source.kind(),
            PullError::Checkpoint(source) => source.kind(),
            PullError::Convert(source) => source.kind(),
            PullError::Arriving(source) => source.kind(),
            PullError::NoModel(_) => ErrorKind::Missing,
        }
    }
}
