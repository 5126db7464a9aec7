//! q4_K: of each 64 weights the first 32 are low nibbles.

use std::mem::offset_of;

use super::superblocks::Format;
use super::{Rows, Simd, Tile, nibbles, write_scales_and_minimums};
use crate::block;

pub(crate) struct Q4K;

impl<S: Simd> Format<S> for Q4K {
    const BYTES: usize = size_of::<block::Q4K>();
    const GROUP: usize = 8;
    const BITS: u32 = 4;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            let header = rows.transpose::<S>(0);
            write_scales_and_minimums(tile, header);
            for at in 0..8 {
                let packed = rows.transpose::<S>(offset_of!(block::Q4K, qs) + 16 * at);
                for (i, packed) in packed.into_iter().enumerate() {
                    let place = at / 2 * 16 + at % 2 * 4 + i;
                    [tile.levels[place], tile.levels[place + 8]] = nibbles::<S>(packed);
                }
            }
        }
    }
}
