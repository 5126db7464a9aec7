//! q2_K: sixteen scales and minimums of four bits; bits `2 * s` of `qs[l]` are weight `32 * s + l` of 128.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Rows, Simd, Tile, bytes, nibbles, times};
use crate::block;

pub(crate) struct Q2K;

impl<S: Simd> Format<S> for Q2K {
    const BYTES: usize = size_of::<block::Q2K>();
    const GROUP: usize = 4;
    const BITS: u32 = 2;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let step = S::half(rows.sixteen::<S>(offset_of!(block::Q2K, d)));
            let minimum_step = S::half(rows.sixteen::<S>(offset_of!(block::Q2K, dmin)));
            // Minimums are subtracted.
            let minimum_step = S::mul_sub(S::splat_float(0.0), minimum_step, S::splat_float(1.0));
            let words = rows.transpose::<S>(offset_of!(block::Q2K, scales));
            for (at, word) in words.into_iter().enumerate() {
                let [scales, minimums] = nibbles::<S>(word);
                let four = 4 * at..4 * at + 4;
                times::<S>(step, bytes::<S>(scales), &mut tile.scales[four.clone()]);
                times::<S>(minimum_step, bytes::<S>(minimums), &mut tile.minimums[four]);
            }
            let two = S::splat(0x0303_0303);
            for part in 0..4 {
                let packed = rows.transpose::<S>(offset_of!(block::Q2K, qs) + 16 * part);
                for (i, packed) in packed.into_iter().enumerate() {
                    let place = part / 2 * 32 + part % 2 * 4 + i;
                    tile.levels[place] = S::and(packed, two);
                    tile.levels[place + 8] = S::and(S::shr::<2>(packed), two);
                    tile.levels[place + 16] = S::and(S::shr::<4>(packed), two);
                    tile.levels[place + 24] = S::and(S::shr::<6>(packed), two);
                }
            }
        }
    }
}
