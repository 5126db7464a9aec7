//! q2_K: sixteen scales and minimums of four bits; bits `2 * s` of `qs[l]` are weight `32 * s + l` of 128.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Header, Levels, Rows, Simd, negative, nibbles, times, unrolled};
use crate::block;

pub(crate) struct Q2K;

impl<S: Simd> Format<S> for Q2K {
    const BYTES: usize = size_of::<block::Q2K>();
    const GROUP: usize = 4;
    const BITS: u32 = 2;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let step = S::halves(&rows.at, offset_of!(block::Q2K, d));
            let minimum_step = negative::<S>(S::halves(&rows.at, offset_of!(block::Q2K, dmin)));
            let words = S::transpose(&rows.at, offset_of!(block::Q2K, scales));
            for (at, word) in words.into_iter().enumerate() {
                let [scales, minimums] = nibbles::<S>(word);
                let four = 4 * at..4 * at + 4;
                times::<S>(step, S::bytes(scales), &mut header.scales[four.clone()]);
                times::<S>(minimum_step, S::bytes(minimums), &mut header.minimums[four]);
            }
            let two = S::splat(0x0303_0303);
            unrolled!(part in [0 1 2 3] {
                let packed = rows.levels::<S>(offset_of!(block::Q2K, qs) + 16 * part);
                let mut parts = [packed; 4];
                for i in 0..4 {
                    parts[0][i] = S::and(packed[i], two);
                    parts[1][i] = S::and(S::shr::<2>(packed[i]), two);
                    parts[2][i] = S::and(S::shr::<4>(packed[i]), two);
                    parts[3][i] = S::shr_bytes::<6>(packed[i]);
                }
                let place = part / 2 * 32 + part % 2 * 4;
                for (i, part) in parts.into_iter().enumerate() {
                    levels.put(header, place + 8 * i, part);
                }
            });
        }
    }
}
