//! The service: language models over HTTP, with the OpenAI API, ollama's and llama.cpp's.
//!
//! ```text
//! dialect ─► Ask ─► Answer ─► engine: scheduler ─► pass ─► context ─► events ─► parts ─► dialect
//! ```
//!
//! One thread owns every context ([`engine`](self)); one thread serves HTTP. A dialect is one file that reads a wire
//! format into an ask and writes the parts of an answer.

#![forbid(unsafe_code)]

pub mod address;
pub mod guard;
pub mod heat;
pub mod journal;
pub mod keys;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod unit;

mod answer;
mod api;
mod app;
mod body;
mod dialect;
mod engine;
mod error;
mod facts;
#[cfg_attr(not(test), expect(dead_code, reason = "the service does not use it yet"))]
mod front;
mod live;
mod models;
mod request;
mod service;
pub mod store;
mod stream_body;

pub use models::ModelConfig;
pub use service::{Config, ServeError, run};
