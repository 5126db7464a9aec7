//! Converts Hugging Face checkpoints to quantized GGUF files.
//!
//! ```text
//! checkpoint ─► tensor map ─► plan ─► stream (read rows, transform, quantize, write in order) ─► GGUF
//! ```
//!
//! [`convert::Conversion`] runs the whole conversion; the other modules are its steps.

#![forbid(unsafe_code)]

pub mod arriving;
pub mod audit;
pub mod block;
pub mod checkpoint;
pub mod convert;
pub mod hash;
pub mod imatrix;
pub mod outline;
pub mod plan;
pub mod planner;
pub mod recipe;
pub mod requantize;
pub mod split;
pub mod stream;
pub mod tokenizer;
pub mod view;
