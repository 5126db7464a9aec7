//! siskin: small language models on small machines.
//!
//! ```text
//! GGUF ─► model ─► session ─► sampler ─► text
//! ```
//!
//! [`engine`] is the runtime, [`mod@bench`] measures it; conversion lives in the crate `siskin-quant`.

pub mod bench;
pub mod device;
pub mod engine;
pub mod kernel;
mod vocabulary;
