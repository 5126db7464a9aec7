//! The location of a stored tensor's bytes, used for both checkpoints and GGUF files.

use siskin_model::TensorType;

/// A tensor's bytes in one of a set of open files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Index of the file in its [`siskin_model::files::Files`].
    pub file: usize,
    /// Position of the first byte, counted from the start of the file.
    pub start: u64,
    /// Storage type.
    pub ty: TensorType,
    /// Dimensions, outermost first (the order of safetensors).
    pub shape: Vec<u64>,
}

impl View {
    /// Number of rows, and weights per row. A vector counts as one row.
    pub fn rows(&self) -> (u64, u64) {
        match self.shape.split_last() {
            Some((&len, outer)) => (outer.iter().product(), len),
            None => (1, 1),
        }
    }
}
