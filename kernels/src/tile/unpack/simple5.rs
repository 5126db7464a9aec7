//! q5_0 and q5_1: as q4_0 and q4_1, with a word whose bit `l` is the fifth of weight `l`.

use std::mem::offset_of;

use super::simple::Format;
use super::{Rows, Simd, Tile, nibbles};
use crate::block;

pub(crate) struct Q5_0;

impl<S: Simd> Format<S> for Q5_0 {
    const BYTES: usize = size_of::<block::Q5_0>();
    const BITS: u32 = 5;
    const EXCESS: i32 = 16;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            tile.scales[block] = S::half(rows.sixteen::<S>(at));
            // The word, and the first of the levels.
            let [high, ..] = rows.transpose::<S>(at + offset_of!(block::Q5_0, qh));
            write_levels(rows, at + offset_of!(block::Q5_0, qs), high, block, tile);
        }
    }
}

pub(crate) struct Q5_1;

impl<S: Simd> Format<S> for Q5_1 {
    const BYTES: usize = size_of::<block::Q5_1>();
    const BITS: u32 = 5;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let [steps, high, ..] = rows.transpose::<S>(at);
            tile.scales[block] = S::half(steps);
            tile.minimums[block] = S::half(S::shr::<16>(steps));
            write_levels(rows, at + offset_of!(block::Q5_1, qs), high, block, tile);
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn write_levels<S: Simd>(rows: &mut Rows, at: usize, high: S::V, block: usize, tile: &mut Tile<S>) {
    // SAFETY: the caller's promise.
    unsafe {
        let packed = rows.transpose::<S>(at);
        macro_rules! four {
            ($i:literal) => {
                let [low, upper] = nibbles::<S>(packed[$i]);
                let place = 8 * block + $i;
                tile.levels[place] = S::or(low, spread::<S>(S::shr::<{ 4 * $i }>(high)));
                tile.levels[place + 4] = S::or(upper, spread::<S>(S::shr::<{ 16 + 4 * $i }>(high)));
            };
        }
        four!(0);
        four!(1);
        four!(2);
        four!(3);
    }
}

/// Moves the four lowest bits of each lane to bit 4 of its four bytes.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn spread<S: Simd>(bits: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        // Copies of the four bits, 7 places apart, do not overlap.
        let copies = S::mul(S::and(bits, S::splat(15)), S::splat(0x0020_4081));
        S::shl::<4>(S::and(copies, S::splat(0x0101_0101)))
    }
}
