//! iq4_nl and iq4_xs: four bits that choose one of sixteen levels; of 32 weights the first 16 are low nibbles.

use std::mem::offset_of;

use super::{Header, Levels, Rows, Simd, all_nibbles, nibbles, simple, superblocks, times, unrolled};
use crate::block::{self, IQ4_LEVELS};

pub(crate) struct Iq4Nl;

impl<S: Simd> simple::Format<S> for Iq4Nl {
    const BYTES: usize = size_of::<block::Iq4Nl>();
    const BITS: u32 = 8;
    const EXCESS: i32 = S::EXCESS as i32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(
        rows: &mut Rows,
        at: usize,
        block: usize,
        header: &mut Header<S>,
        levels: &mut impl Levels<S>,
    ) {
        // SAFETY: every place is in the block.
        unsafe {
            header.scales[block] = S::halves(&rows.at, at);
            put_levels(rows, at + offset_of!(block::Iq4Nl, qs), block, header, levels);
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
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            // `d` and the scales' upper bits, then their lower bits.
            let [first, low, ..] = S::transpose(&rows.at, 0);
            let step = S::half(first);
            let [even, odd] = nibbles::<S>(low);
            let (even, odd) = (S::bytes(even), S::bytes(odd));
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
            times::<S>(step, first_four, &mut header.scales[..4]);
            times::<S>(step, last_four, &mut header.scales[4..8]);
            unrolled!(sub in [0 1 2 3 4 5 6 7] {
                put_levels(rows, offset_of!(block::Iq4Xs, qs) + 16 * sub, sub, header, levels);
            });
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn put_levels<S: Simd>(
    rows: &mut Rows,
    at: usize,
    block: usize,
    header: &Header<S>,
    levels: &mut impl Levels<S>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for (half, nibbles) in all_nibbles::<S>(rows.levels::<S>(at)).into_iter().enumerate() {
            let level = |nibbles| S::eight(S::lookup(&IQ4_LEVELS, nibbles));
            let [a, b, c, d] = nibbles;
            levels.put(
                header,
                8 * block + 4 * half,
                [level(a), level(b), level(c), level(d)],
            );
        }
    }
}
