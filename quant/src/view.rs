//! Where a stored tensor's bytes lie: what checkpoints and GGUF files have in common.

use siskin_model::TensorType;

/// A tensor's bytes in one of a set of open files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Index of the file in its [`siskin_model::files::Files`].
    pub file: usize,
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// Storage type.
    pub ty: TensorType,
    /// Dimensions, the outermost first (as safetensors writes them).
    pub shape: Vec<u64>,
}

impl View {
    /// Rows and weights a row, a vector counting as one row.
    pub fn rows(&self) -> (u64, u64) {
        match self.shape.split_last() {
            Some((&len, outer)) => (outer.iter().product(), len),
            None => (1, 1),
        }
    }
}
