//! Runs GGUF models of about one billion parameters in little memory, on llama.cpp.
//!
//! ```no_run
//! use siskin_runtime::{Model, Sampling};
//!
//! # fn main() -> Result<(), siskin_runtime::Error> {
//! let model = Model::builder("llama-q4_k_m.gguf").context(4096).load()?; // probes, plans, refuses, tunes
//! let mut session = model.session()?;
//! for piece in session.generate("Once upon a time", &Sampling::greedy().max_tokens(64))? {
//!     print!("{}", piece?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | load a model with the settings that fit this machine | [`Model::builder`] |
//! | see what that would be, before it loads | [`Builder::plan`] |
//! | make text | [`Session::generate`], an iterator of pieces |
//! | chat on the model's own template | [`chat::Chat::reply`] |
//! | decode many texts for one read of the weights | [`Context`], [`Batch`] |
//! | share a context among requests | [`scheduler`] |
//! | collect an importance matrix | [`Importance`], or an [`EvalCallback`] of your own |
//!
//! No function here prints, reads flags or changes the process's environment. llama.cpp's own log is off; see
//! [`show_log`].

#![deny(unsafe_code)]

mod builder;
pub mod chat;
#[allow(unsafe_code)]
mod engine;
mod error;
#[allow(unsafe_code)]
pub mod ggml_hook;
mod importance;
mod read;
pub mod scheduler;
pub mod speculate;
mod text;

pub use builder::{Builder, Device, LoadPlan, Notice};
pub use engine::{
    Batch, CacheLayout, Context, ContextOptions, EvalCallback, LoadOptions, Model, MulMat, NoKernel,
    NotExact, Pooling, Progress, Row, Rows, STORYTELLER, Sampler, SamplerConfig, Samples, SequenceId,
    Session, Token, Tokenize, argmax, check_logits, compiled_features, llama_cpp_version, on_abort,
    release_memory, report_lost_models, restart, share_one_heap, show_log,
};
pub use error::{Error, ErrorKind};
pub use importance::{Importance, Sums};
pub use read::read_memory;
pub use text::{Cut, Generation, Sampling, StopReason, StopStrings, TextDecoder, Usage, Utf8Stream};
