//! Rows of keys or values, where they are or unpacked.

use super::block::{CHUNK, MAX_DIM};
use super::lanes::Lanes;
use super::{Cache, CacheFormat};
use crate::block::{Q4_0, Q8_0, SIMPLE};

/// Rows of keys or values of some cells.
pub(super) trait Rows: Copy {
    /// The row of cell `at` of them.
    fn row(self, at: usize) -> *const u8;

    /// Numbers of a row, from number `d` on.
    ///
    /// # Safety
    /// The row has as many numbers as a register after `d`; otherwise as [`Lanes`].
    unsafe fn load<L: Lanes>(row: *const u8, d: usize) -> L::V;
}

/// f16 rows in the cache.
#[derive(Clone, Copy)]
pub(super) struct Cached<'a> {
    pub(super) data: *const u8,
    pub(super) stride: usize,
    pub(super) cells: &'a [u32],
}

impl Rows for Cached<'_> {
    #[inline(always)]
    fn row(self, at: usize) -> *const u8 {
        self.data.wrapping_add(self.cells[at] as usize * self.stride)
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(row: *const u8, d: usize) -> L::V {
        // SAFETY: the caller's promise.
        unsafe { L::load_half(row.cast::<u16>().add(d)) }
    }
}

/// f32 rows one after another.
#[derive(Clone, Copy)]
pub(super) struct Unpacked {
    data: *const f32,
    dim: usize,
}

impl Rows for Unpacked {
    #[inline(always)]
    fn row(self, at: usize) -> *const u8 {
        self.data.wrapping_add(at * self.dim).cast()
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(row: *const u8, d: usize) -> L::V {
        // SAFETY: the caller's promise.
        unsafe { L::load(row.cast::<f32>().add(d)) }
    }
}

/// Columns for which it is faster to widen f16 numbers again for each tile than to store them widened.
const FEW: usize = 8;

/// Room for unpacked rows.
pub(super) type Room = std::mem::MaybeUninit<[f32; CHUNK * MAX_DIM]>;

/// The rows of some cells, ready for arithmetic.
#[derive(Clone, Copy)]
pub(super) enum Ready<'a> {
    Cached(Cached<'a>),
    Unpacked(Unpacked),
}

/// Makes the rows of `cells` ready, whose numbers begin at `data` and are `cache.cell` bytes apart, for so many
/// columns. Unpacked numbers are exact: a level has eight bits, a step eleven.
///
/// # Safety
/// Every cell has a row of `dim` numbers; `dim` is a multiple of the format's and at most [`MAX_DIM`]; there are
/// at most [`CHUNK`] cells; otherwise as [`Lanes`].
#[inline(always)]
pub(super) unsafe fn ready<'a, L: Lanes>(
    cache: Cache,
    data: *const u8,
    dim: usize,
    cells: &'a [u32],
    columns: usize,
    room: &'a mut Room,
) -> Ready<'a> {
    let cached = Cached {
        data,
        stride: cache.cell,
        cells,
    };
    let to = room.as_mut_ptr().cast::<f32>();
    // SAFETY: the room has `CHUNK` rows; the rest is the caller's promise.
    unsafe {
        match cache.format {
            CacheFormat::F16 if columns <= FEW => return Ready::Cached(cached),
            CacheFormat::F16 => {
                for at in 0..cells.len() {
                    let row = cached.row(at);
                    for d in (0..dim).step_by(L::COUNT) {
                        L::store(to.add(at * dim + d), Cached::load::<L>(row, d));
                    }
                }
            }
            CacheFormat::Q8_0 => {
                for at in 0..cells.len() {
                    let row = cached.row(at).cast::<Q8_0>();
                    for i in 0..dim / SIMPLE {
                        let from = &*row.add(i);
                        let to = to.add(at * dim + i * SIMPLE);
                        L::store_levels(from.qs.as_ptr(), L::half(from.d), to);
                        L::store_levels(from.qs.as_ptr().add(16), L::half(from.d), to.add(16));
                    }
                }
            }
            CacheFormat::Q4_0 => {
                for at in 0..cells.len() {
                    let row = cached.row(at).cast::<Q4_0>();
                    for i in 0..dim / SIMPLE {
                        let from = &*row.add(i);
                        let to = to.add(at * dim + i * SIMPLE);
                        L::store_nibbles(from.qs.as_ptr(), L::half(from.d), to);
                    }
                }
            }
        }
    }
    Ready::Unpacked(Unpacked { data: to, dim })
}
