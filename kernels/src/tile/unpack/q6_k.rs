//! q6_K: of each 128 weights the first 64 are low nibbles; two more bits are stored apart. 32 means zero.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Header, Levels, Rows, Simd, unrolled};
use crate::block;

pub(crate) struct Q6K;

impl<S: Simd> Format<S> for Q6K {
    const BYTES: usize = size_of::<block::Q6K>();
    const GROUP: usize = 4;
    const BITS: u32 = 6;
    const EXCESS: i32 = 32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let step = S::halves(&rows.at, offset_of!(block::Q6K, d));
            let words = S::transpose(&rows.at, offset_of!(block::Q6K, scales));
            for (at, word) in words.into_iter().enumerate() {
                for (i, scale) in S::signed_floats(word).into_iter().enumerate() {
                    header.scales[4 * at + i] = S::scale(step, scale);
                }
            }
            unrolled!(part in [0 1 2 3] {
                let (half, of_half) = (part / 2, part % 2);
                let ql = offset_of!(block::Q6K, ql) + 64 * half + 16 * of_half;
                let first = rows.levels::<S>(ql);
                let second = rows.levels::<S>(ql + 32);
                let high = rows.levels::<S>(offset_of!(block::Q6K, qh) + 32 * half + 16 * of_half);
                let mut parts = [first, second, first, second];
                for i in 0..4 {
                    let (high, next) = (high[i], S::shr::<2>(high[i]));
                    parts[2][i] = S::join_high(first[i], high, SIX);
                    parts[3][i] = S::join_high(second[i], next, SIX);
                    parts[0][i] = S::join_low(first[i], high, SIX);
                    parts[1][i] = S::join_low(second[i], next, SIX);
                }
                let place = 32 * half + 4 * of_half;
                for (i, part) in parts.into_iter().enumerate() {
                    levels.put(header, place + 8 * i, part);
                }
            });
        }
    }
}

const SIX: u32 = 0x3f3f_3f3f;
