//! The embedded default model; `assets/README.md` says what it is and the command that made it.

/// A small storyteller: a bare binary can do something real.
pub const STORYTELLER: &[u8] = include_bytes!("../../assets/stories260k-q8_0.gguf");
