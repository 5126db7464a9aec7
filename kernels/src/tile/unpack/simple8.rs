//! q8_0: a byte for each weight.

use std::mem::offset_of;

use super::simple::Format;
use super::{Header, Levels, Rows, Simd};
use crate::block;

pub(crate) struct Q8_0;

impl<S: Simd> Format<S> for Q8_0 {
    const BYTES: usize = size_of::<block::Q8_0>();
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
            for half in 0..2 {
                let [a, b, c, d] = rows.levels::<S>(at + offset_of!(block::Q8_0, qs) + 16 * half);
                let all = [S::eight(a), S::eight(b), S::eight(c), S::eight(d)];
                levels.put(header, 8 * block + 4 * half, all);
            }
        }
    }
}
