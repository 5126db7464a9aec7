//! q4_K: of each 64 weights the first 32 are low nibbles.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Header, Levels, Rows, Simd, all_nibbles, unrolled, write_scales_and_minimums};
use crate::block;

pub(crate) struct Q4K;

impl<S: Simd> Format<S> for Q4K {
    const BYTES: usize = size_of::<block::Q4K>();
    const GROUP: usize = 8;
    const BITS: u32 = 4;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            write_scales_and_minimums(header, S::transpose(&rows.at, 0));
            unrolled!(at in [0 1 2 3 4 5 6 7] {
                let packed = rows.levels::<S>(offset_of!(block::Q4K, qs) + 16 * at);
                let [low, upper] = all_nibbles::<S>(packed);
                let place = at / 2 * 16 + at % 2 * 4;
                levels.put(header, place, low);
                levels.put(header, place + 8, upper);
            });
        }
    }
}
