//! GGUF: typed values that keep their order and type, a validating reader (versions 2 and 3), and a writer
//! (version 3).
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod cursor;
mod error;
mod model_file;
mod part_name;
mod reader;
mod strings;
mod value;
mod writer;

pub(crate) use error::shortened;
pub use error::{GgufError, HeaderError, NotGguf, Place, Problem, SplitProblem};
pub use model_file::ModelFile;
pub use part_name::{part_of, part_suffix};
pub use reader::Header;
pub use strings::Strings;
pub use value::{Array, Metadata, Value, ValueType};
pub use writer::{align_up, data_start, write_header};

/// The first bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// The format version that siskin writes.
pub const VERSION: u32 = 3;

/// Alignment of the tensor data and of each tensor if `general.alignment` is missing.
pub const DEFAULT_ALIGNMENT: u64 = 32;

/// A tensor as a GGUF file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// GGUF name, e.g. `blk.0.attn_q.weight`.
    pub name: String,
    /// Dimensions in ggml's order: the innermost (the row length) first.
    pub shape: Vec<u64>,
    /// Storage type.
    pub ty: crate::TensorType,
    /// Offset of the first byte from the start of the data section.
    pub offset: u64,
}
