//! What can be wrong with a GGUF header: where, what, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::TensorType;
use crate::files::FileError;

/// A GGUF file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file itself could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its header is damaged, or of a kind siskin does not read.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
}

/// What is wrong with a header, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place} (byte {position}): {problem}")]
pub struct HeaderError {
    /// The part of the header.
    pub place: Place,
    /// The file position of the field at fault.
    pub position: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// A part of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Magic, version and counts.
    Start,
    /// The name of the key with this index.
    KeyName(u64),
    /// The value of a key.
    Key(String),
    /// The name of the tensor with this index.
    TensorName(u64),
    /// A tensor's entry.
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

/// Names in messages stay short, whatever a file calls its keys.
pub(crate) fn shortened(name: &str) -> String {
    const MAX_CHARS: usize = 80;
    match name.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What is wrong with a part of the header.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The system refused to read on.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The first four bytes are others.
    #[error(
        "the file begins with \"{}\" instead of \"GGUF\"; it is no GGUF file: convert the checkpoint first",
        .0.escape_ascii()
    )]
    Magic([u8; 4]),
    /// The file was made for big-endian machines.
    #[error("the file is big-endian; get or make the little-endian one")]
    BigEndian,
    /// Neither version 2 nor 3.
    #[error("version {0}; versions 2 and 3 can be read: convert the model again")]
    Version(u32),
    /// The file ends before the field does.
    #[error("needs {need} bytes where the file has {left} left; it is truncated or damaged, get it again")]
    Truncated {
        /// Bytes the field takes.
        need: u64,
        /// Bytes the file still has.
        left: u64,
    },
    /// More entries than the rest of the file could hold.
    #[error("{count} {what} cannot fit in the {left} bytes left; the file is damaged, get it again")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many the file claims.
        count: u64,
        /// Bytes the file still has.
        left: u64,
    },
    /// The header would take more memory than siskin gives it.
    #[error("the header takes more than {} MiB of memory; no model needs that", .limit >> 20)]
    TooLarge {
        /// Most bytes a header may take in memory.
        limit: u64,
    },
    /// A string is not UTF-8.
    #[error("not UTF-8 text; the file is damaged or was written by a faulty program")]
    Utf8,
    /// A name without a character.
    #[error("the name is empty")]
    EmptyName,
    /// A tensor name longer than llama.cpp can hold.
    #[error("{0} bytes long; llama.cpp holds names of 63 bytes")]
    LongName(usize),
    /// The name stands already.
    #[error("it stands twice; the file is damaged")]
    Duplicate,
    /// A value type that GGUF does not have.
    #[error("unknown value type {0}; the file is damaged, or newer than siskin")]
    ValueType(u32),
    /// An array of arrays.
    #[error("an array of arrays, which neither llama.cpp nor siskin reads")]
    NestedArray,
    /// A truth value other than 0 and 1.
    #[error("{0} where 0 or 1 is meant")]
    Bool(u8),
    /// `general.alignment` of another type than u32.
    #[error("must be a u32")]
    AlignmentType,
    /// `general.alignment` that no file can have.
    #[error("alignment {0} is not a power of two")]
    Alignment(u32),
    /// Not 1 to 4 dimensions.
    #[error("{0} dimensions; 1 to 4 are possible")]
    Dimensions(u32),
    /// A dimension of zero.
    #[error("shape {0:?} has no weights")]
    Empty(Vec<u64>),
    /// A type that ggml does not have.
    #[error("unknown tensor type {0}; the file is damaged, or newer than siskin")]
    TensorType(u32),
    /// Rows that are not a whole number of blocks, or a size past 2^64.
    #[error("shape {shape:?} is impossible for type {ty}")]
    Shape {
        /// In ggml's order, the row's length first.
        shape: Vec<u64>,
        /// Storage type.
        ty: TensorType,
    },
    /// An offset that the alignment forbids.
    #[error("offset {offset} is not a multiple of the alignment, {alignment}")]
    Misaligned {
        /// Counted from the start of the data section.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// The tensor reaches past the end of the file.
    #[error(
        "{size} bytes at offset {offset} of the data reach past the end of the file; it is truncated, get it again"
    )]
    PastEnd {
        /// Counted from the start of the data section.
        offset: u64,
        /// Bytes of the tensor.
        size: u64,
    },
    /// Two tensors share bytes.
    #[error("its data overlaps that of {0:?}; the file is damaged, get it again")]
    Overlap(String),
}
