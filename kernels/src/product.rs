//! The product of some rows with some columns.

use std::ops::Range;

/// Rows of weights, columns of activations, and the place for the results.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// The first row.
    pub rows: *const u8,
    /// Bytes from a row to the next.
    pub stride: usize,
    /// Number of rows.
    pub count: usize,
    /// The first column: as many blocks as a row has, in the format that the rows are multiplied by.
    pub column: *const u8,
    /// Bytes from a column to the next.
    pub column_stride: usize,
    /// Number of columns.
    pub columns: usize,
    /// Blocks per row.
    pub blocks: usize,
    /// `[columns][count]` results.
    pub out: *mut f32,
    /// Numbers from a column of results to the next.
    pub out_stride: usize,
    /// Bytes of weights to prefetch; 0 for none.
    pub ahead: usize,
}

/// The rows to compute next; `None` when there are no more.
pub type Next<'a> = &'a mut dyn FnMut() -> Option<Range<usize>>;

pub(crate) type Run = unsafe fn(&Product, Next<'_>);
