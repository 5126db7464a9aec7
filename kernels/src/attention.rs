//! Attention of one token: its heads' queries against every key, and the values they choose.
//!
//! Keys and values are f16, sums f32. Heads that share keys are computed together, so that a key is read once
//! for all of them.

use crate::Isa;

mod block;
mod dispatch;
mod lanes;

pub use block::MAX_DIM;

/// One token's attention, of heads `heads.start..heads.end`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `[heads][dim]` queries.
    pub q: Strided<f32>,
    /// `[kv heads][positions][dim]` keys.
    pub k: Cache,
    /// `[kv heads][positions][dim]` values.
    pub v: Cache,
    /// `[positions]` what is added to scores, f16; null for nothing.
    pub mask: *const u16,
    /// `[heads][dim]` results.
    pub out: Strided<f32>,
    /// Positions.
    pub positions: usize,
    /// Numbers in a head.
    pub dim: usize,
    /// Heads that share keys.
    pub group: usize,
    /// The heads to compute: whole tiles of [`Attention::tile`] heads.
    pub heads: std::ops::Range<usize>,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
}

/// Rows of numbers, `stride` bytes apart.
#[derive(Debug, Clone, Copy)]
pub struct Strided<T> {
    /// The first.
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
    /// Those of the first head's first position.
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

/// Attention on one instruction set, which this CPU has.
#[derive(Debug, Clone, Copy)]
pub struct AttentionKernel(Run);

impl AttentionKernel {
    /// The kernel on `isa`; `None` where this CPU lacks the instructions.
    pub fn new(isa: Isa) -> Option<Self> {
        isa.is_available().then(|| AttentionKernel(dispatch::run(isa)))
    }

    /// Computes the heads asked for.
    ///
    /// # Safety
    /// Every row named by the shapes must exist and be aligned for its numbers; `dim` must be a multiple of 16, at
    /// most [`MAX_DIM`]; the results of `heads` are nobody else's meanwhile.
    pub unsafe fn run(&self, attention: &Attention) {
        // SAFETY: `new` has seen that the CPU has the instructions; the rest is the caller's promise.
        unsafe { (self.0)(attention) }
    }
}

impl Attention {
    /// Heads computed together where `group` share keys.
    pub fn tile(group: usize) -> usize {
        match group % 4 {
            0 => 4,
            2 => 2,
            _ => 1,
        }
    }
}
