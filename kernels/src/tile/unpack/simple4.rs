//! q4_0 and q4_1: the first 16 of 32 weights are low nibbles.

use std::mem::offset_of;

use super::simple::Format;
use super::{Header, Levels, Rows, Simd, all_nibbles};
use crate::block;

pub(crate) struct Q4_0;

impl<S: Simd> Format<S> for Q4_0 {
    const BYTES: usize = size_of::<block::Q4_0>();
    const BITS: u32 = 4;
    const EXCESS: i32 = 8;
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
            put_levels(rows, at + offset_of!(block::Q4_0, qs), block, header, levels);
        }
    }
}

pub(crate) struct Q4_1;

impl<S: Simd> Format<S> for Q4_1 {
    const BYTES: usize = size_of::<block::Q4_1>();
    const BITS: u32 = 4;
    const EXCESS: i32 = 0;
    const MINIMUM: bool = true;

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
            header.minimums[block] = S::halves(&rows.at, at + offset_of!(block::Q4_1, m));
            put_levels(rows, at + offset_of!(block::Q4_1, qs), block, header, levels);
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn put_levels<S: Simd>(
    rows: &mut Rows,
    at: usize,
    block: usize,
    header: &Header<S>,
    levels: &mut impl Levels<S>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let [low, upper] = all_nibbles::<S>(rows.levels::<S>(at));
        levels.put(header, 8 * block, low);
        levels.put(header, 8 * block + 4, upper);
    }
}
