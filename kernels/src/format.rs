//! The formats that have kernels.

use crate::block::{Q4_0, Q4K, Q5K, Q6K, Q8_0, Q8K, SIMPLE, SUPER};

/// How rows of weights are stored, and what kind of column they are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// [`Q4K`] by [`Q8K`].
    Q4K,
    /// [`Q5K`] by [`Q8K`].
    Q5K,
    /// [`Q6K`] by [`Q8K`].
    Q6K,
    /// [`Q8_0`] by [`Q8_0`].
    Q8_0,
    /// [`Q4_0`] by [`Q8_0`].
    Q4_0,
    /// Half precision by half precision; a block is one number.
    F16,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] = [
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Q8_0,
        Format::Q4_0,
        Format::F16,
    ];

    /// The name that GGUF files and llama.cpp use.
    pub fn name(self) -> &'static str {
        match self {
            Format::Q4K => "Q4_K",
            Format::Q5K => "Q5_K",
            Format::Q6K => "Q6_K",
            Format::Q8_0 => "Q8_0",
            Format::Q4_0 => "Q4_0",
            Format::F16 => "F16",
        }
    }

    /// Weights per block.
    pub fn block_len(self) -> usize {
        match self {
            Format::Q4K | Format::Q5K | Format::Q6K => SUPER,
            Format::Q8_0 | Format::Q4_0 => SIMPLE,
            Format::F16 => 1,
        }
    }

    /// Bytes per block of weights.
    pub fn block_bytes(self) -> usize {
        match self {
            Format::Q4K => size_of::<Q4K>(),
            Format::Q5K => size_of::<Q5K>(),
            Format::Q6K => size_of::<Q6K>(),
            Format::Q8_0 => size_of::<Q8_0>(),
            Format::Q4_0 => size_of::<Q4_0>(),
            Format::F16 => 2,
        }
    }

    /// Bytes per block of the column.
    pub fn column_block_bytes(self) -> usize {
        match self {
            Format::Q4K | Format::Q5K | Format::Q6K => size_of::<Q8K>(),
            Format::Q8_0 | Format::Q4_0 => size_of::<Q8_0>(),
            Format::F16 => 2,
        }
    }
}
