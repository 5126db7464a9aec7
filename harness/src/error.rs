//! What can go wrong in a measurement.

use std::path::PathBuf;
use std::process::ExitStatus;

use siskin_model::files::FileError;
use siskin_model::gguf::{GgufError, HeaderError};
use siskin_model::shape::ShapeError;

use crate::compare::CompareError;
use crate::plan::PlanError;

/// A measurement could not be made. The texts name no flag of a program; [`BenchError::kind`] shows a front end what it
/// can offer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A model's file cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model's header is damaged, or the file is not a GGUF file.
    #[error(transparent)]
    Header(#[from] GgufError),
    /// The header of a model in memory is damaged.
    #[error("{name}: {source}")]
    Bytes {
        /// The model's name.
        name: String,
        /// What is wrong.
        source: HeaderError,
    },
    /// A model's header does not state its shape.
    #[error("{name}: {source}")]
    Shape {
        /// The model's file or name.
        name: String,
        /// What is missing.
        source: ShapeError,
    },
    /// A model's file cannot be read to its end.
    #[error("{}: {source}", path.display())]
    Read {
        /// The model's file.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },
    /// The request cannot be met.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A worker process failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// llama-bench failed, or printed something that cannot be read.
    #[error("{}: {source}", path.display())]
    LlamaBench {
        /// The program, or the file with its output.
        path: PathBuf,
        /// What went wrong.
        source: LlamaBenchError,
    },
    /// A file of results cannot be used.
    #[error(transparent)]
    Results(#[from] CompareError),
    /// Not one round of the settings that tuning starts with could be measured.
    #[error("nothing could be measured")]
    NothingMeasured,
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted {
        /// The signal that ended a worker before this process had noticed any; `None` if this process noticed it.
        signal: Option<i32>,
    },
}

/// A worker process failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The process cannot be started.
    #[error("a worker process cannot be started: {0}")]
    Start(std::io::Error),
    /// The process ended without an answer.
    #[error("a worker process ended before it answered ({0})")]
    Ended(ExitStatus),
    /// The process's end could not be waited for.
    #[error("a worker process ended before it answered ({0})")]
    Lost(std::io::Error),
    /// The process's answer is not one.
    #[error("a worker process gave an unreadable answer: {0}")]
    Answer(serde_json::Error),
    /// The process reports what went wrong.
    #[error("{reason}")]
    Failed {
        /// In one line.
        reason: String,
        /// True if the model's architecture is one that siskin does not check.
        unknown_architecture: bool,
    },
}

/// What llama-bench did wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlamaBenchError {
    /// It cannot be started.
    #[error("cannot be started: {0}")]
    Start(std::io::Error),
    /// Its output cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It failed.
    #[error("ended with {0}")]
    Ended(ExitStatus),
    /// What it printed is not its JSON.
    #[error("its output is not the JSON of llama-bench: {0}")]
    Json(serde_json::Error),
    /// It printed no result for a test.
    #[error("its output has no result for {0}")]
    Missing(String),
    /// The file is neither its JSON nor siskin's.
    #[error("not the JSON of llama-bench or siskin bench: {0}")]
    NoResults(serde_json::Error),
    /// The file has no result of a test that is a prefill or a decode alone.
    #[error("has no test of a prompt or of decoding alone")]
    NoTest,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file is not there, or cannot be read.
    File,
    /// A file is not a model, or damaged.
    DamagedModel,
    /// A model is of an architecture that siskin does not check.
    UnknownArchitecture,
    /// The request is empty, or needs a longer context than there is.
    Request,
    /// A file of results is damaged, or cannot be compared.
    Results,
    /// A worker process failed; loading the same model alone shows more.
    Worker,
    /// llama-bench failed.
    LlamaBench,
    /// The user asked to stop.
    Interrupted,
}

impl BenchError {
    /// What the error is about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            BenchError::File(_) | BenchError::Read { .. } => ErrorKind::File,
            BenchError::Header(GgufError::File(_)) => ErrorKind::File,
            BenchError::Header(_) | BenchError::Bytes { .. } | BenchError::Shape { .. } => {
                ErrorKind::DamagedModel
            }
            BenchError::Plan(_) => ErrorKind::Request,
            BenchError::Worker(WorkerError::Failed {
                unknown_architecture: true,
                ..
            }) => ErrorKind::UnknownArchitecture,
            BenchError::Worker(_) | BenchError::NothingMeasured => ErrorKind::Worker,
            BenchError::Results(_) => ErrorKind::Results,
            BenchError::LlamaBench { .. } => ErrorKind::LlamaBench,
            BenchError::Interrupted { .. } => ErrorKind::Interrupted,
        }
    }
}
