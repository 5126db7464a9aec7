//! From Hugging Face checkpoints to quantized GGUF files.
//!
//! ```text
//! checkpoint ─► tensor map ─► plan ─► stream (read rows, transform, quantize, write in order) ─► GGUF
//! ```

pub mod block;
pub mod files;
pub mod gguf;
pub mod plan;
pub mod recipe;
pub mod requantize;
pub mod target;
mod types;
pub mod view;

pub use types::TensorType;
