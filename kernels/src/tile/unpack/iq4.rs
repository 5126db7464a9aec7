//! iq4_nl and iq4_xs: four bits that choose one of sixteen levels; of 32 weights the first 16 are low nibbles.

use std::mem::offset_of;

use super::{LOW, Rows, Simd, Tile, bytes, nibbles, simple, superblocks, times};
use crate::block::{self, IQ4_LEVELS};

pub(crate) struct Iq4Nl;

impl<S: Simd> simple::Format<S> for Iq4Nl {
    const BYTES: usize = size_of::<block::Iq4Nl>();
    const BITS: u32 = 8;
    const EXCESS: i32 = S::EXCESS as i32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            tile.scales[block] = S::half(rows.sixteen::<S>(at));
            write_levels(rows, at + offset_of!(block::Iq4Nl, qs), block, tile);
        }
    }
}

pub(crate) struct Iq4Xs;

impl<S: Simd> superblocks::Format<S> for Iq4Xs {
    const BYTES: usize = size_of::<block::Iq4Xs>();
    const GROUP: usize = 8;
    const BITS: u32 = 8;
    const EXCESS: i32 = S::EXCESS as i32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            // `d` and the scales' upper bits, then their lower bits.
            let [first, low, ..] = rows.transpose::<S>(0);
            let step = S::half(first);
            let [even, odd] = nibbles::<S>(low);
            let (even, odd) = (bytes::<S>(even), bytes::<S>(odd));
            let (bits, zero) = (S::splat(0x30), S::splat(-32i32 as u32));
            // Bits `2 * sub` of the upper half belong to sub-block `sub`.
            let scale = |low, high| S::add(S::or(low, S::and(high, bits)), zero);
            let first_four = [
                scale(even[0], S::shr::<12>(first)),
                scale(odd[0], S::shr::<14>(first)),
                scale(even[1], S::shr::<16>(first)),
                scale(odd[1], S::shr::<18>(first)),
            ];
            let last_four = [
                scale(even[2], S::shr::<20>(first)),
                scale(odd[2], S::shr::<22>(first)),
                scale(even[3], S::shr::<24>(first)),
                scale(odd[3], S::shr::<26>(first)),
            ];
            times::<S>(step, first_four, &mut tile.scales[..4]);
            times::<S>(step, last_four, &mut tile.scales[4..8]);
            for sub in 0..8 {
                write_levels(rows, offset_of!(block::Iq4Xs, qs) + 16 * sub, sub, tile);
            }
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn write_levels<S: Simd>(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
    // SAFETY: the caller's promise.
    unsafe {
        let low = S::splat(LOW);
        for (i, packed) in rows.transpose::<S>(at).into_iter().enumerate() {
            let level = |nibbles| S::eight(S::lookup(&IQ4_LEVELS, nibbles));
            tile.levels[8 * block + i] = level(S::and(packed, low));
            tile.levels[8 * block + 4 + i] = level(S::and(S::shr::<4>(packed), low));
        }
    }
}
