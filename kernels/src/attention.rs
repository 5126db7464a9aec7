//! Attention of a few tokens: their heads' queries against every key that they see, and the weighted sum of the
//! values.
//!
//! Keys and values are read once for all tokens that see them and for all heads that share them; sums are f32.
//!
//! A token's bits depend on its query and on the ordered list of the cells that its mask lets it see, and on
//! nothing else: the list is cut into blocks of a fixed number of seen cells, and each column (a token's head)
//! goes through the same operations in the same order, alone or beside others. Where the cells lie, how many
//! hidden ones are between them, which columns share a register tile and which thread computes them changes
//! nothing.

use std::ops::Range;

use crate::Isa;
use crate::block::{Q4_0, Q8_0, SIMPLE};

mod block;
mod cells;
mod dispatch;
pub(crate) mod lanes;
mod rows;
mod share;
mod tile;

pub use block::{MAX_DIM, MAX_GROUP};

/// The attention of some tokens of one or several streams, for heads `heads.start..heads.end`.
///
/// A stream has keys and values of its own; all streams have the same number of tokens and of cells.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Queries.
    pub q: Strided<f32>,
    /// Keys.
    pub k: Cache,
    /// Values.
    pub v: Cache,
    /// Which cells each token sees.
    pub mask: Mask,
    /// Results.
    pub out: Strided<f32>,
    /// Number of streams.
    pub streams: usize,
    /// Number of tokens in each stream.
    pub tokens: usize,
    /// Number of cells in each stream.
    pub cells: usize,
    /// Numbers per head.
    pub dim: usize,
    /// Number of heads that share keys, at most [`MAX_GROUP`].
    pub group: usize,
    /// The heads to compute, such as [`Attention::share`] gives.
    pub heads: Range<usize>,
    /// Factor for the products of queries and keys.
    pub scale: f32,
}

/// Rows of numbers, one for each head of each token of each stream; strides are in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Strided<T> {
    /// The first row.
    pub data: *mut T,
    /// From a head to the next.
    pub head: usize,
    /// From a token to the next.
    pub token: usize,
    /// From a stream to the next.
    pub stream: usize,
}

impl<T> Strided<T> {
    fn row(self, stream: usize, token: usize, head: usize) -> *mut T {
        let offset = stream * self.stream + token * self.token + head * self.head;
        self.data.wrapping_byte_add(offset)
    }
}

/// Keys or values: a row for each head of each cell of each stream; strides are in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// How numbers are stored.
    pub format: CacheFormat,
    /// The first row.
    pub data: *const u8,
    /// From a head to the next.
    pub head: usize,
    /// From a cell to the next.
    pub cell: usize,
    /// From a stream to the next.
    pub stream: usize,
}

/// How keys or values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFormat {
    /// Half-precision numbers.
    F16,
    /// Blocks as [`crate::block::Q8_0`].
    Q8_0,
    /// Blocks as [`crate::block::Q4_0`].
    Q4_0,
}

impl CacheFormat {
    /// Every format.
    pub const ALL: [CacheFormat; 3] = [CacheFormat::F16, CacheFormat::Q8_0, CacheFormat::Q4_0];

    /// A head's numbers must be a multiple of this.
    pub fn multiple(self) -> usize {
        self.unit().max(16)
    }

    /// Numbers in a block.
    pub fn unit(self) -> usize {
        match self {
            CacheFormat::F16 => 1,
            CacheFormat::Q8_0 | CacheFormat::Q4_0 => SIMPLE,
        }
    }

    /// Bytes of a head's `dim` numbers.
    pub fn row_bytes(self, dim: usize) -> usize {
        let block = match self {
            CacheFormat::F16 => size_of::<u16>(),
            CacheFormat::Q8_0 => size_of::<Q8_0>(),
            CacheFormat::Q4_0 => size_of::<Q4_0>(),
        };
        dim / self.unit() * block
    }
}

/// Numbers to add to the scores, f16: a row with one for each cell, for each token of each stream; strides are
/// in bytes. A token does not see a cell whose number is minus infinity.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// The first row; null if every token sees every cell.
    pub data: *const u16,
    /// From a token to the next.
    pub token: usize,
    /// From a stream to the next.
    pub stream: usize,
}

impl Cache {
    fn row(self, stream: usize, cell: usize, head: usize) -> *const u8 {
        let offset = stream * self.stream + cell * self.cell + head * self.head;
        self.data.wrapping_add(offset)
    }
}

impl Mask {
    fn row(self, stream: usize, token: usize) -> *const u16 {
        if self.data.is_null() {
            return self.data;
        }
        self.data
            .wrapping_byte_add(stream * self.stream + token * self.token)
    }
}

type Run = unsafe fn(&Attention);

/// The attention kernel for one instruction set, which this CPU has.
#[derive(Debug, Clone, Copy)]
pub struct AttentionKernel(Run);

impl AttentionKernel {
    /// The kernel on `isa`; `None` if this CPU lacks the instructions.
    pub fn new(isa: Isa) -> Option<Self> {
        isa.is_available().then(|| AttentionKernel(dispatch::run(isa)))
    }

    /// Computes the heads `attention.heads` of every token.
    ///
    /// # Safety
    /// Every row that the shapes name must exist and be aligned for its numbers; `dim` must be a multiple of
    /// both caches' [`CacheFormat::multiple`], at most [`MAX_DIM`]; no other thread may touch the results of
    /// `heads` meanwhile.
    pub unsafe fn run(&self, attention: &Attention) {
        // SAFETY: `new` has checked that the CPU has the instructions; the rest is the caller's promise.
        unsafe { (self.0)(attention) }
    }
}

impl Attention {
    /// The heads of thread `thread` of `threads`, if `group` of `heads` heads share keys; `None` if there is no
    /// such thread. Whole groups if they divide evenly, else parts of groups.
    pub fn share(heads: usize, group: usize, thread: usize, threads: usize) -> Option<Range<usize>> {
        (thread < threads).then(|| share::share(heads, group, thread, threads))
    }
}
