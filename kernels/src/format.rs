//! The formats that have kernels.

use crate::block::{
    Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8_1, Q8K, SIMPLE, SUPER,
};

/// What rows are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// [`Q8K`].
    Q8K,
    /// [`Q8_0`].
    Q8_0,
    /// [`Q8_1`].
    Q8_1,
    /// Half precision.
    F16,
}

/// How rows of weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// [`Q4K`].
    Q4K,
    /// [`Q5K`].
    Q5K,
    /// [`Q6K`].
    Q6K,
    /// [`Q8_0`].
    Q8_0,
    /// [`Q4_0`].
    Q4_0,
    /// Half precision; a block is one number.
    F16,
    /// [`Q4_1`].
    Q4_1,
    /// [`Q5_0`].
    Q5_0,
    /// [`Q5_1`].
    Q5_1,
    /// [`Q2K`].
    Q2K,
    /// [`Q3K`].
    Q3K,
    /// [`Iq4Nl`].
    Iq4Nl,
    /// [`Iq4Xs`].
    Iq4Xs,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 13] = [
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Q8_0,
        Format::Q4_0,
        Format::F16,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q2K,
        Format::Q3K,
        Format::Iq4Nl,
        Format::Iq4Xs,
    ];

    /// Name, bytes of a block of weights, and the kind of column.
    const fn row(self) -> (&'static str, usize, Column) {
        match self {
            Format::Q4K => ("Q4_K", size_of::<Q4K>(), Column::Q8K),
            Format::Q5K => ("Q5_K", size_of::<Q5K>(), Column::Q8K),
            Format::Q6K => ("Q6_K", size_of::<Q6K>(), Column::Q8K),
            Format::Q8_0 => ("Q8_0", size_of::<Q8_0>(), Column::Q8_0),
            Format::Q4_0 => ("Q4_0", size_of::<Q4_0>(), Column::Q8_0),
            Format::F16 => ("F16", 2, Column::F16),
            Format::Q4_1 => ("Q4_1", size_of::<Q4_1>(), Column::Q8_1),
            Format::Q5_0 => ("Q5_0", size_of::<Q5_0>(), Column::Q8_0),
            Format::Q5_1 => ("Q5_1", size_of::<Q5_1>(), Column::Q8_1),
            Format::Q2K => ("Q2_K", size_of::<Q2K>(), Column::Q8K),
            Format::Q3K => ("Q3_K", size_of::<Q3K>(), Column::Q8K),
            Format::Iq4Nl => ("IQ4_NL", size_of::<Iq4Nl>(), Column::Q8_0),
            Format::Iq4Xs => ("IQ4_XS", size_of::<Iq4Xs>(), Column::Q8K),
        }
    }

    /// The name that GGUF files and llama.cpp use.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What the rows are multiplied by.
    pub fn column(self) -> Column {
        self.row().2
    }

    /// Weights per block.
    pub fn block_len(self) -> usize {
        match self.column() {
            Column::Q8K => SUPER,
            Column::Q8_0 | Column::Q8_1 => SIMPLE,
            Column::F16 => 1,
        }
    }

    /// Bytes per block of weights.
    pub fn block_bytes(self) -> usize {
        self.row().1
    }

    /// Bytes per block of the column.
    pub fn column_block_bytes(self) -> usize {
        match self.column() {
            Column::Q8K => size_of::<Q8K>(),
            Column::Q8_0 => size_of::<Q8_0>(),
            Column::Q8_1 => size_of::<Q8_1>(),
            Column::F16 => 2,
        }
    }
}
