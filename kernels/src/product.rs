//! The product of some rows with one column.

/// Rows of weights, a column of activations, and the place for the results.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// The first row.
    pub rows: *const u8,
    /// Bytes from a row to the next.
    pub stride: usize,
    /// Number of rows.
    pub count: usize,
    /// The column: as many blocks as a row has, in the format that the rows are multiplied by.
    pub column: *const u8,
    /// Blocks per row.
    pub blocks: usize,
    /// `[count]` results.
    pub out: *mut f32,
    /// Bytes of weights to prefetch; 0 for none.
    pub ahead: usize,
    /// Rows after these that are needed next, and may be prefetched as well.
    pub following: usize,
}

pub(crate) type Run = unsafe fn(&Product);
