//! The benchmark harness: how fast, with how much memory, how close to the machine's memory bandwidth.
//!
//! ```text
//! request ─► plan (cases, groups) ─► worker processes that take turns ─► samples ─► stats ─► report
//! ```
//!
//! [`harness::run`] runs all of it; [`result::Results`] is the outcome, and [`report`] writes it.

use std::path::PathBuf;

mod assemble;
pub mod catalog;
pub mod compare;
pub mod facts;
pub mod harness;
mod machine;
mod measured;
mod neighbours;
pub mod peer;
pub mod plan;
pub mod protocol;
pub mod report;
pub mod result;
pub mod roofline;
mod sample;
pub mod stats;
pub mod worker;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model's file cannot be read, or is not a model.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be met.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// A worker process failed.
    #[error("a worker process {0}; run `siskin run` on the same model to see why")]
    Worker(String),
    /// The other program failed, or printed something that cannot be read.
    #[error("{}: {reason}", path.display())]
    Peer {
        /// The program, or the file with its output.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A complete message from the module that found the problem.
    #[error("{0}")]
    Text(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}
