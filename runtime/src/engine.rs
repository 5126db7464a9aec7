//! The module that names llama.cpp's types: models, contexts, sequences, samplers.

mod abort;
mod context;
mod embedded;
mod eval_callback;
mod ffi;
mod lost_file;
mod memory;
mod model;
mod mul_mat;
mod opened;
pub(crate) mod pages;
mod restart;
mod sampler;
mod session;
mod stop;
mod validate;
mod vocab;

pub use abort::on_abort;
pub use context::{Batch, CacheLayout, Context, ContextOptions, Pooling, Row, Rows, SequenceId};
pub use embedded::STORYTELLER;
pub use eval_callback::EvalCallback;
pub use ffi::{compiled_features, llama_cpp_version, show_log};
pub use lost_file::report_lost_models;
pub(crate) use memory::can_lock;
pub use memory::{share_one_heap, trim as release_memory};
pub use model::{LoadOptions, Model, Token};
pub use mul_mat::MulMat;
pub use restart::restart;
pub use sampler::{Sampler, SamplerConfig, argmax, check_logits};
pub(crate) use session::{Draw, Drawn};
pub use session::{Progress, Samples, Session};
pub(crate) use vocab::SpecialToken;
pub use vocab::Tokenize;
