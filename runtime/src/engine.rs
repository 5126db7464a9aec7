//! The runtime: the only room that names llama.cpp's types.
//!
//! ```no_run
//! use siskin::engine::{Model, ModelOptions, SamplerConfig, Session, SessionOptions};
//!
//! # fn main() -> Result<(), siskin::engine::EngineError> {
//! let model = Model::load("model.gguf".as_ref(), &ModelOptions::default())?;
//! let mut session = Session::new(&model, &SessionOptions::default())?;
//! session.feed(&model.tokenize("Once upon a time", true, false))?;
//! for token in session.generate(&SamplerConfig::default())?.take(64) {
//!     print!("{}", String::from_utf8_lossy(&model.piece(token?, false)));
//! }
//! # Ok(())
//! # }
//! ```

pub mod chat;
mod collector;
mod embedded;
mod error;
mod generate;
mod importance;
mod model;
mod pages;
mod preflight;
mod product;
mod raw;
mod sampler;
mod session;
mod setup;
mod stop;
mod utf8;
mod watch;
mod words;

pub use crate::device::profile::KvType;
pub use embedded::STORYTELLER;
pub use error::EngineError;
pub use generate::Generate;
pub use importance::{Importance, ImportanceOptions};
pub use model::{Model, ModelOptions, Token};
pub use raw::{compiled_features, llama_cpp_version, silence};
pub use sampler::{SamplerConfig, most_likely};
pub use session::{Session, SessionOptions};
pub use stop::{Cut, StopStrings};
pub use utf8::Utf8Stream;
