//! From Hugging Face checkpoints to quantized GGUF files.
//!
//! ```text
//! checkpoint ─► tensor map ─► plan ─► stream (read rows, transform, quantize, write in order) ─► GGUF
//! ```
//!
//! [`convert::Conversion`] is the journey from end to end; the other modules are its rooms.

#![forbid(unsafe_code)]

pub mod block;
pub mod checkpoint;
pub mod convert;
pub mod imatrix;
pub mod outline;
pub mod plan;
pub mod planner;
pub mod recipe;
pub mod requantize;
pub mod stream;
pub mod tokenizer;
pub mod view;
