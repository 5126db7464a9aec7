//! Measures models on this machine: how fast, with how much memory, how close to the memory's bandwidth.
//!
//! ```text
//! Request ─► plan (cases, groups) ─► worker processes that take turns ─► samples ─► summaries ─► Results ─► report
//!                                        ▲
//! tune: stage after stage, each a request of two tests
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | measure models | [`run`] with a [`Request`] |
//! | find the fastest settings for a model | [`tune::run`] |
//! | survey a machine for a report | [`survey::run`] |
//! | measure what guessing tokens is worth on real texts | [`prompts::run`] |
//! | be a worker process of either | [`serve_worker`] |
//! | write results | [`report::render`] |
//! | read results back, or llama-bench's | [`Imported`], [`compare::parse`] |
//! | compare results | [`compare::with_baseline`] |
//! | choose a model for a device | [`catalog`] |
//!
//! A worker is this program, started again with a hidden flag: its standard input and output carry lines of JSON.
//! A process for each model, settings and depth has the peak memory of nothing else, and settings that end the process
//! end nothing else. Nothing here prints or reads flags.

#![deny(unsafe_code)]

mod bandwidth;
pub mod catalog;
pub mod compare;
mod cpu_load;
mod error;
mod event;
mod harness;
mod heat;
mod import;
mod llama_bench;
mod model_info;
mod plan;
pub mod prompts;
mod protocol;
pub mod report;
pub mod result;
mod stats;
mod summarize;
pub mod survey;
pub mod tune;
mod turns;
mod worker;

pub use cpu_load::CpuLoad;
pub use error::{BenchError, ErrorKind, LlamaBenchError, WorkerError};
pub use event::{Event, Harness};
pub use harness::{Request, nothing_measured, run};
pub use import::Imported;
pub use model_info::ModelInfo;
pub use plan::{ContextLimit, PlanError, Setup, Subject, Tests, longest_context};
pub use stats::{Outlier, Ratio, Spread, Summary};
pub use worker::{read_memory, run as serve_worker};
