//! q5_K: q4_K with a fifth bit.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Header, Levels, Rows, Simd, unrolled, write_scales_and_minimums};
use crate::block;

pub(crate) struct Q5K;

impl<S: Simd> Format<S> for Q5K {
    const BYTES: usize = size_of::<block::Q5K>();
    const GROUP: usize = 8;
    const BITS: u32 = 5;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            write_scales_and_minimums(header, S::transpose(&rows.at, 0));
            let qh = offset_of!(block::Q5K, qh);
            let high = [rows.levels::<S>(qh), rows.levels::<S>(qh + 16)];
            // Bit `sub` of a byte belongs to sub-block `sub`.
            unrolled!(at in [0 1 2 3 4 5 6 7] {
                let (pair, part) = (at / 2, at % 2);
                let packed = rows.levels::<S>(offset_of!(block::Q5K, qs) + 16 * at);
                let (mut low, mut upper) = (packed, packed);
                for i in 0..4 {
                    let high = high[part][i];
                    upper[i] = S::join_high(upper[i], second::<S>(pair, high), FIVE);
                    low[i] = S::join_low(low[i], first::<S>(pair, high), FIVE);
                }
                let place = 16 * pair + 4 * part;
                levels.put(header, place, low);
                levels.put(header, place + 8, upper);
            });
        }
    }
}

const FIVE: u32 = 0x1f1f_1f1f;

/// Moves bit `2 * pair` of every byte to bit 0.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn first<S: Simd>(pair: usize, bits: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match pair {
            0 => bits,
            1 => S::shr::<2>(bits),
            2 => S::shr::<4>(bits),
            _ => S::shr::<6>(bits),
        }
    }
}

/// Moves bit `2 * pair + 1` of every byte to bit 4.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn second<S: Simd>(pair: usize, bits: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match pair {
            0 => S::shl::<3>(bits),
            1 => S::shl::<1>(bits),
            2 => S::shr::<1>(bits),
            _ => S::shr::<3>(bits),
        }
    }
}
