//! q8_0: a byte for each weight.

use std::mem::offset_of;

use super::simple::Format;
use super::{Rows, Simd, Tile};
use crate::block;

pub(crate) struct Q8_0;

impl<S: Simd> Format<S> for Q8_0 {
    const BYTES: usize = size_of::<block::Q8_0>();
    const BITS: u32 = 8;
    const EXCESS: i32 = S::EXCESS as i32;
    const MINIMUM: bool = false;

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>) {
        // SAFETY: every place is in the block.
        unsafe {
            tile.scales[block] = S::half(rows.sixteen::<S>(at));
            for half in 0..2 {
                let levels = rows.transpose::<S>(at + offset_of!(block::Q8_0, qs) + 16 * half);
                for (i, levels) in levels.into_iter().enumerate() {
                    tile.levels[8 * block + 4 * half + i] = S::eight(levels);
                }
            }
        }
    }
}
