//! From Hugging Face checkpoints to quantized GGUF files.
//!
//! ```text
//! checkpoint ─► tensor map ─► plan ─► stream (read rows, transform, quantize, write in order) ─► GGUF
//! ```

pub mod arch;
pub mod block;
pub mod checkpoint;
pub mod convert;
pub mod files;
pub mod gguf;
pub mod plan;
pub mod planner;
pub mod recipe;
pub mod stream;
pub mod target;
pub mod tokenizer;
mod types;
pub mod view;

pub use types::TensorType;
