//! q6_K: of each 128 weights the first 64 are low nibbles; two more bits are stored apart. 32 means zero.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Rows, Simd, Tile, nibbles, signed_bytes, times};
use crate::block;

pub(crate) struct Q6K;

impl<S: Simd> Format<S> for Q6K {
    const BYTES: usize = size_of::<block::Q6K>();
    const GROUP: usize = 4;
    const BITS: u32 = 6;
    const EXCESS: i32 = 32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let step = S::half(rows.sixteen::<S>(offset_of!(block::Q6K, d)));
            let words = rows.transpose::<S>(offset_of!(block::Q6K, scales));
            for (at, word) in words.into_iter().enumerate() {
                times::<S>(
                    step,
                    signed_bytes::<S>(word),
                    &mut tile.scales[4 * at..4 * at + 4],
                );
            }
            let bits = S::splat(0x3030_3030);
            for part in 0..4 {
                let (half, of_half) = (part / 2, part % 2);
                let ql = offset_of!(block::Q6K, ql) + 64 * half + 16 * of_half;
                let first = rows.transpose::<S>(ql);
                let second = rows.transpose::<S>(ql + 32);
                let high = rows.transpose::<S>(offset_of!(block::Q6K, qh) + 32 * half + 16 * of_half);
                for i in 0..4 {
                    let place = 32 * half + 4 * of_half + i;
                    let [a, c] = nibbles::<S>(first[i]);
                    let [b, d] = nibbles::<S>(second[i]);
                    let with = |low, moved| S::or(low, S::and(moved, bits));
                    tile.levels[place] = with(a, S::shl::<4>(high[i]));
                    tile.levels[place + 8] = with(b, S::shl::<2>(high[i]));
                    tile.levels[place + 16] = with(c, high[i]);
                    tile.levels[place + 24] = with(d, S::shr::<2>(high[i]));
                }
            }
        }
    }
}
