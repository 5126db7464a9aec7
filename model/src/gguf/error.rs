//! Errors in a GGUF header: where, what, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::files::{FileError, Found};
use crate::{ErrorKind, TensorType};

/// A GGUF file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file itself could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The header is damaged, or of a kind that siskin does not read.
    #[error("{}: {source}", path.display())]
    Header {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The file is of another format.
    #[error("{}: {source}", path.display())]
    NotGguf {
        /// Path of the file.
        path: PathBuf,
        /// What it is.
        source: NotGguf,
    },
    /// The file is a part of a model, and the parts are not all there.
    #[error("{}: {}", path.display(), problem.text(*number, *count))]
    Split {
        /// Path of the part.
        path: PathBuf,
        /// The part's number, from 1.
        number: u64,
        /// Number of parts.
        count: u64,
        /// What is wrong.
        problem: SplitProblem,
    },
}

/// What a file is, by its first bytes, if it is not a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GGUF file but {0}")]
pub struct NotGguf(pub Found);

/// What is wrong with a part of a split model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitProblem {
    /// The file does not exist.
    Missing,
    /// Its name does not contain its number, so that the other parts cannot be found.
    Name,
    /// It is not that part, or it is of another model.
    Foreign,
    /// Its number is not possible.
    Number,
    /// The parts together have too many, too few or repeated tensors.
    Tensors,
}

impl SplitProblem {
    fn text(self, number: u64, count: u64) -> String {
        match self {
            SplitProblem::Missing => {
                format!("part {number} of {count} of the model is missing; put it into this folder")
            }
            SplitProblem::Name => format!(
                "part {number} of {count} of a model, but its name does not end in -{number:05}-of-{count:05}.gguf, by which the others are found; give all parts their names back"
            ),
            SplitProblem::Foreign => format!("is not part {number} of {count} of this model; get it again"),
            SplitProblem::Number => format!("part {number} of {count}: impossible; the file is damaged"),
            SplitProblem::Tensors => {
                format!(
                    "the parts do not have the tensors that part {number} of {count} announces; get them again"
                )
            }
        }
    }
}

impl GgufError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            GgufError::File(source) => source.kind(),
            GgufError::Header { source, .. } => source.kind(),
            GgufError::NotGguf { .. } => ErrorKind::Format,
            GgufError::Split { problem, .. } => match problem {
                SplitProblem::Missing | SplitProblem::Name => ErrorKind::Missing,
                SplitProblem::Foreign | SplitProblem::Number | SplitProblem::Tensors => ErrorKind::Damaged,
            },
        }
    }
}

impl HeaderError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self.problem {
            Problem::Io(_) => ErrorKind::Io,
            Problem::Magic(_) => ErrorKind::Format,
            Problem::BigEndian | Problem::Version(_) | Problem::NestedArray => ErrorKind::Unsupported,
            Problem::TooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Damaged,
        }
    }
}

/// What is wrong with a header, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place} (byte {position}): {problem}")]
pub struct HeaderError {
    /// The part of the header that is wrong.
    pub place: Place,
    /// File position of the faulty field, in bytes.
    pub position: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// A part of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Magic, version and the counts of tensors and keys.
    Start,
    /// The name of the key with this index, counted from 0.
    KeyName(u64),
    /// The value of the key with this name.
    Key(String),
    /// The name of the tensor with this index, counted from 0.
    TensorName(u64),
    /// The entry of the tensor with this name.
    Tensor(String),
}

impl Place {
    pub(super) fn key(name: &str) -> Self {
        Place::Key(shortened(name))
    }

    pub(super) fn tensor(name: &str) -> Self {
        Place::Tensor(shortened(name))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Start => f.write_str("start of the header"),
            Place::KeyName(index) => write!(f, "name of key {index}"),
            Place::Key(name) => write!(f, "key {name:?}"),
            Place::TensorName(index) => write!(f, "name of tensor {index}"),
            Place::Tensor(name) => write!(f, "tensor {name:?}"),
        }
    }
}

/// Shortens a name for messages: a file can use keys of any length.
pub(crate) fn shortened(name: &str) -> String {
    const MAX_CHARS: usize = 80;
    match name.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What is wrong with a part of the header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The system could not read on.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file does not start with `GGUF`; these are its first four bytes.
    #[error(
        "the file begins with \"{}\" instead of \"GGUF\"; it is not a GGUF file",
        .0.escape_ascii()
    )]
    Magic([u8; 4]),
    /// The file is for big-endian machines.
    #[error("the file is big-endian; get a little-endian one")]
    BigEndian,
    /// The version is neither 2 nor 3.
    #[error("version {0} is not supported; siskin reads versions 2 and 3")]
    Version(u32),
    /// The file ends before the field does.
    #[error("needs {need} bytes, but the file has {left} left; it is truncated or damaged; get it again")]
    Truncated {
        /// Size of the field in bytes.
        need: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// There are more entries than fit in the rest of the file.
    #[error("{count} {what} cannot fit in the {left} bytes left; the file is damaged; get it again")]
    Count {
        /// Kind of the entries, e.g. `tensors`.
        what: &'static str,
        /// Number of entries that the file claims.
        count: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// The header needs more memory than siskin allows.
    #[error("the header takes more than {} MiB of memory; no model needs that", .limit >> 20)]
    TooLarge {
        /// Most memory that a header may take, in bytes.
        limit: u64,
    },
    /// A string is not UTF-8.
    #[error("not UTF-8 text; the file is damaged or was written by a faulty program")]
    Utf8,
    /// The name of a key or a tensor is empty.
    #[error("the name is empty")]
    EmptyName,
    /// A tensor name is longer than llama.cpp can hold; this is its length in bytes.
    #[error("{0} bytes long; llama.cpp reads names of up to 63 bytes")]
    LongName(usize),
    /// The name occurs twice.
    #[error("it appears twice; the file is damaged")]
    Duplicate,
    /// GGUF has no value type with this number.
    #[error("unknown value type {0}; the file is damaged, or newer than siskin")]
    ValueType(u32),
    /// A value is an array of arrays.
    #[error("an array of arrays, which neither llama.cpp nor siskin reads")]
    NestedArray,
    /// A boolean is neither 0 nor 1.
    #[error("{0} instead of 0 or 1")]
    Bool(u8),
    /// `general.alignment` is not a u32.
    #[error("must be a u32")]
    AlignmentType,
    /// `general.alignment` is not a power of two.
    #[error("alignment {0} is not a power of two")]
    Alignment(u32),
    /// The number of dimensions is not 1 to 4.
    #[error("{0} dimensions instead of 1 to 4")]
    Dimensions(u32),
    /// A dimension is zero.
    #[error("shape {0:?} has no weights")]
    Empty(Vec<u64>),
    /// ggml has no tensor type with this number.
    #[error("unknown tensor type {0}; the file is damaged, or newer than siskin")]
    TensorType(u32),
    /// The rows are not a whole number of blocks, or the size exceeds 2^64.
    #[error("shape {shape:?} is impossible for type {ty}")]
    Shape {
        /// Dimensions in ggml's order, the row length first.
        shape: Vec<u64>,
        /// Storage type.
        ty: TensorType,
    },
    /// An offset is not a multiple of the alignment.
    #[error("offset {offset} is not a multiple of the alignment, {alignment}")]
    Misaligned {
        /// Offset from the start of the data section.
        offset: u64,
        /// Alignment of the file.
        alignment: u64,
    },
    /// The tensor extends past the end of the file.
    #[error(
        "{size} bytes at offset {offset} of the data are past the end of the file; it is truncated; get it again"
    )]
    PastEnd {
        /// Offset from the start of the data section.
        offset: u64,
        /// Size of the tensor in bytes.
        size: u64,
    },
    /// Two tensors share bytes; this is the name of the other one.
    #[error("its data overlaps that of {0:?}; the file is damaged; get it again")]
    Overlap(String),
}
