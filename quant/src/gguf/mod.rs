//! GGUF version 3: typed values that keep their order and type, a checked reader, a writer.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod value;

pub use value::{Array, Metadata, Value, ValueType};

/// Tensor data and each tensor start at multiples of this where `general.alignment` says nothing else.
pub const DEFAULT_ALIGNMENT: u64 = 32;

/// A tensor as a GGUF file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// GGUF name, e.g. `blk.0.attn_q.weight`.
    pub name: String,
    /// Dimensions in ggml's order: the innermost (the row's length) first.
    pub shape: Vec<u64>,
    /// Storage type.
    pub ty: crate::TensorType,
    /// First byte, counted from the start of the file's data section.
    pub offset: u64,
}
