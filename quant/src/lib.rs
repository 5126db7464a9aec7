//! Converts Hugging Face checkpoints to quantized GGUF files.
//!
//! ```text
//! checkpoint ─► tensor map ─► plan ─► stream (read rows, transform, quantize, write in order) ─► GGUF
//! ```
//!
//! [`convert::Conversion`] runs the whole conversion; the other modules are its steps.

pub mod arch;
pub mod block;
pub mod checkpoint;
pub mod convert;
pub mod files;
pub mod gguf;
pub mod imatrix;
pub mod outline;
pub mod plan;
pub mod planner;
pub mod preflight;
pub mod recipe;
pub mod requantize;
pub mod stream;
pub mod summary;
pub mod target;
pub mod tokenizer;
mod types;
pub mod view;

pub use recipe::FileType;
pub use types::TensorType;
