//! The embedded default model; `assets/README.md` describes it and has the command that made it.

/// A storyteller of 3.7 million parameters: a bare binary can do something real.
pub static STORYTELLER: &[u8] = include_bytes!("../../assets/storyteller-q4_k_m.gguf");
