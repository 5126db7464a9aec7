//! The benchmark harness: how fast, with how much memory, how near to what the machine's memory can give.
//!
//! ```text
//! request ─► plan (cases, groups) ─► worker processes that take turns ─► samples ─► stats ─► report
//! ```
//!
//! [`harness::run`] is the journey; [`result::Results`] is what comes out, and [`report`] writes it.

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

/// A benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model's file cannot be read, or holds no model.
    #[error("{}: {reason}", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The request cannot be met.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// A worker process failed.
    #[error("a worker process {0}; run `siskin run` on the same model to see why")]
    Worker(String),
    /// The other program failed, or printed nothing that can be read.
    #[error("{}: {reason}", path.display())]
    Peer {
        /// The program or its output.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Told in full by the room that found it.
    #[error("{0}")]
    Text(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}
