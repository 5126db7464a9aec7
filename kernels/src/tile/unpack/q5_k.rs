//! q5_K: q4_K with a fifth bit.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Rows, Simd, Tile, nibbles, write_scales_and_minimums};
use crate::block;

pub(crate) struct Q5K;

impl<S: Simd> Format<S> for Q5K {
    const BYTES: usize = size_of::<block::Q5K>();
    const GROUP: usize = 8;
    const BITS: u32 = 5;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let header = rows.transpose::<S>(0);
            write_scales_and_minimums(tile, header);
            for part in 0..2 {
                let high = rows.transpose::<S>(offset_of!(block::Q5K, qh) + 16 * part);
                // Bit `sub` of a byte belongs to sub-block `sub`.
                macro_rules! pair {
                    ($pair:literal) => {
                        let at = offset_of!(block::Q5K, qs) + 32 * $pair + 16 * part;
                        let packed = rows.transpose::<S>(at);
                        for i in 0..4 {
                            let place = 16 * $pair + 4 * part + i;
                            let [low, upper] = nibbles::<S>(packed[i]);
                            tile.levels[place] = with_bit::<S, { 2 * $pair }>(low, high[i]);
                            tile.levels[place + 8] = with_bit::<S, { 2 * $pair + 1 }>(upper, high[i]);
                        }
                    };
                }
                pair!(0);
                pair!(1);
                pair!(2);
                pair!(3);
            }
        }
    }
}

/// Moves bit `SUB` of every byte of `high` to bit 4, above `low`.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn with_bit<S: Simd, const SUB: u32>(low: S::V, high: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        let moved = match SUB {
            0 => S::shl::<4>(high),
            1 => S::shl::<3>(high),
            2 => S::shl::<2>(high),
            3 => S::shl::<1>(high),
            4 => high,
            5 => S::shr::<1>(high),
            6 => S::shr::<2>(high),
            _ => S::shr::<3>(high),
        };
        S::or(low, S::and(moved, S::splat(0x1010_1010)))
    }
}
