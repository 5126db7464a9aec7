//! The service: language models over HTTP, with the OpenAI API, ollama's and llama.cpp's.
//!
//! ```text
//! socket ─► listen ─► front ─► dialect ─► Ask ─► Answer ─► engine: scheduler ─► pass ─► context
//!                                dialect ◄─ parts ◄─ events ◄──────────────────────────────┘
//! ```
//!
//! One thread owns every context; one thread serves HTTP, and two more tokenize and load for it. A dialect is one file
//! that reads a wire format into an ask and writes the parts of an answer.

#![forbid(unsafe_code)]

pub mod address;
#[cfg(any(feature = "fuzzing", test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
pub mod heat;
pub mod journal;
pub mod keys;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod store;
pub mod unit;

mod answer;
mod api;
mod app;
mod body;
mod dialect;
mod engine;
mod error;
mod facts;
mod front;
mod live;
mod models;
mod page;
mod reader;
mod request;
mod service;
mod stream_body;

pub use models::ModelConfig;
pub use service::{Config, ServeError, StoreConfig, run};
