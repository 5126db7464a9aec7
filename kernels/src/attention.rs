//! Attention of one token: its heads' queries against every key, and the weighted sum of the values.
//!
//! Keys and values are f16, sums are f32. Heads that share keys are computed together, so that each key is
//! read once for all of them.

use crate::Isa;

mod block;
mod dispatch;
pub(crate) mod lanes;

pub use block::MAX_DIM;

/// The attention of one token, for heads `heads.start..heads.end`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `[heads][dim]` queries.
    pub q: Strided<f32>,
    /// `[kv heads][positions][dim]` keys.
    pub k: Cache,
    /// `[kv heads][positions][dim]` values.
    pub v: Cache,
    /// `[positions]` numbers to add to the scores, f16; null for none.
    pub mask: *const u16,
    /// `[heads][dim]` results.
    pub out: Strided<f32>,
    /// Number of positions.
    pub positions: usize,
    /// Numbers per head.
    pub dim: usize,
    /// Number of heads that share keys.
    pub group: usize,
    /// The heads to compute: whole tiles of [`Attention::tile`] heads.
    pub heads: std::ops::Range<usize>,
    /// Factor for the products of queries and keys.
    pub scale: f32,
}

/// Rows of numbers, `stride` bytes apart.
#[derive(Debug, Clone, Copy)]
pub struct Strided<T> {
    /// The first row.
    pub data: *mut T,
    /// Bytes from a row to the next.
    pub stride: usize,
}

impl<T> Strided<T> {
    fn row(self, row: usize) -> *mut T {
        self.data.wrapping_byte_add(row * self.stride)
    }
}

/// Keys or values, f16.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// The first head's first position.
    pub data: *const u16,
    /// Bytes from a position to the next.
    pub position_stride: usize,
    /// Bytes from a head to the next.
    pub head_stride: usize,
}

impl Cache {
    fn row(self, head: usize, position: usize) -> *const u16 {
        self.data
            .wrapping_byte_add(head * self.head_stride + position * self.position_stride)
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

    /// Computes the heads `attention.heads`.
    ///
    /// # Safety
    /// Every row that the shapes name must exist and be aligned for its numbers; `dim` must be a multiple of
    /// 16, at most [`MAX_DIM`]; no other thread may touch the results of `heads` meanwhile.
    pub unsafe fn run(&self, attention: &Attention) {
        // SAFETY: `new` has checked that the CPU has the instructions; the rest is the caller's promise.
        unsafe { (self.0)(attention) }
    }
}

impl Attention {
    /// Heads that are computed together if `group` heads share keys: 1, 2 or 4.
    pub fn tile(group: usize) -> usize {
        match group % 4 {
            0 => 4,
            2 => 2,
            _ => 1,
        }
    }
}
