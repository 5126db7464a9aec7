//! A product of rows with a column.

/// Rows of weights, a column of activations and where the results go.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// The first row.
    pub rows: *const u8,
    /// Bytes from a row to the next.
    pub stride: usize,
    /// Rows.
    pub count: usize,
    /// The column: as many blocks as a row has, in the form that the format is multiplied by.
    pub column: *const u8,
    /// Blocks a row.
    pub blocks: usize,
    /// `[count]` results.
    pub out: *mut f32,
    /// Bytes of weights asked of the memory before they are needed; 0 for none.
    pub ahead: usize,
    /// Rows after these that will be needed next, and may be asked of the memory as well.
    pub following: usize,
}

pub(crate) type Run = unsafe fn(&Product);
