//! The embedded default model, made by `assets/train.py` and `siskin convert`.

/// A storyteller of a few million weights in Q4_K_M: a bare binary can do something real.
pub const STORYTELLER: &[u8] = include_bytes!("../../assets/storyteller-q4_k_m.gguf");
