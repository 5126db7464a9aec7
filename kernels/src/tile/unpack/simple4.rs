//! q4_0 and q4_1: the first 16 of 32 weights are low nibbles.

use std::mem::offset_of;

use super::simple::Format;
use super::{Rows, Simd, Tile, nibbles};
use crate::block;

pub(crate) struct Q4_0;

impl<S: Simd> Format<S> for Q4_0 {
    const BYTES: usize = size_of::<block::Q4_0>();
    const BITS: u32 = 4;
    const EXCESS: i32 = 8;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            tile.scales[block] = S::half(rows.sixteen::<S>(at));
            write_levels(rows, at + offset_of!(block::Q4_0, qs), block, tile);
        }
    }
}

pub(crate) struct Q4_1;

impl<S: Simd> Format<S> for Q4_1 {
    const BYTES: usize = size_of::<block::Q4_1>();
    const BITS: u32 = 4;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            tile.scales[block] = S::half(rows.sixteen::<S>(at));
            tile.minimums[block] = S::half(rows.sixteen::<S>(at + offset_of!(block::Q4_1, m)));
            write_levels(rows, at + offset_of!(block::Q4_1, qs), block, tile);
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn write_levels<S: Simd>(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
    // SAFETY: the caller's promise.
    unsafe {
        for (i, packed) in rows.transpose::<S>(at).into_iter().enumerate() {
            let place = 8 * block + i;
            [tile.levels[place], tile.levels[place + 4]] = nibbles::<S>(packed);
        }
    }
}
