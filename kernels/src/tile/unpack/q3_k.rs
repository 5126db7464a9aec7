//! q3_K: two bits as in q2_K and a third in `hmask`, of which bit `s` belongs to weight `32 * s + l`; four
//! means zero. Sixteen scales of six bits, of which 32 means zero.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Header, LOW, Levels, Rows, Simd, times, unrolled};
use crate::block;

pub(crate) struct Q3K;

impl<S: Simd> Format<S> for Q3K {
    const BYTES: usize = size_of::<block::Q3K>();
    const GROUP: usize = 4;
    const BITS: u32 = 3;
    const EXCESS: i32 = 4;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block; the sixteen bytes from four before the scales are, too.
        unsafe {
            let step = S::halves(&rows.at, offset_of!(block::Q3K, d));
            let [_, a, b, high] = S::transpose(&rows.at, offset_of!(block::Q3K, scales) - 4);
            let (low, bits) = (S::splat(LOW), S::splat(0x3030_3030));
            let words = [
                S::or(S::and(a, low), S::and(S::shl::<4>(high), bits)),
                S::or(S::and(b, low), S::and(S::shl::<2>(high), bits)),
                S::or(S::and(S::shr::<4>(a), low), S::and(high, bits)),
                S::or(S::and(S::shr::<4>(b), low), S::and(S::shr::<2>(high), bits)),
            ];
            let zero = S::splat(-32i32 as u32);
            for (at, word) in words.into_iter().enumerate() {
                let scales = S::bytes(word).map(|scale| S::add(scale, zero));
                times::<S>(step, scales, &mut header.scales[4 * at..4 * at + 4]);
            }
            let (two, third) = (S::splat(0x0303_0303), S::splat(0x0404_0404));
            let hmask = offset_of!(block::Q3K, hmask);
            let masks = [rows.levels::<S>(hmask), rows.levels::<S>(hmask + 16)];
            unrolled!(at in [0 1 2 3] {
                let (half, of_half) = (at / 2, at % 2);
                let mask = masks[of_half];
                let packed = rows.levels::<S>(offset_of!(block::Q3K, qs) + 32 * half + 16 * of_half);
                let mut parts = [packed; 4];
                for i in 0..4 {
                    // The bits of the second half are four places higher.
                    let mask = if half == 0 { mask[i] } else { S::shr::<4>(mask[i]) };
                    let with = |low, high| S::or(S::and(low, two), S::and(high, third));
                    let packed = packed[i];
                    parts[0][i] = with(packed, S::shl::<2>(mask));
                    parts[1][i] = with(S::shr::<2>(packed), S::shl::<1>(mask));
                    parts[2][i] = with(S::shr::<4>(packed), mask);
                    parts[3][i] = with(S::shr::<6>(packed), S::shr::<1>(mask));
                }
                let place = 32 * half + 4 * of_half;
                for (i, part) in parts.into_iter().enumerate() {
                    levels.put(header, place + 8 * i, part);
                }
            });
        }
    }
}
