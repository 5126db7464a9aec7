//! q5_0 and q5_1: as q4_0 and q4_1, with a word whose bit `l` is the fifth of weight `l`.

use std::mem::offset_of;

use super::simple::Format;
use super::{Header, Levels, Rows, Simd, all_nibbles};
use crate::block;

pub(crate) struct Q5_0;

impl<S: Simd> Format<S> for Q5_0 {
    const BYTES: usize = size_of::<block::Q5_0>();
    const BITS: u32 = 5;
    const EXCESS: i32 = 16;
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
            // The word, and the first of the levels.
            let [high, ..] = S::transpose(&rows.at, at + offset_of!(block::Q5_0, qh));
            put_levels(
                rows,
                at + offset_of!(block::Q5_0, qs),
                high,
                block,
                header,
                levels,
            );
        }
    }
}

pub(crate) struct Q5_1;

impl<S: Simd> Format<S> for Q5_1 {
    const BYTES: usize = size_of::<block::Q5_1>();
    const BITS: u32 = 5;
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
            let [steps, high, ..] = S::transpose(&rows.at, at);
            header.scales[block] = S::half(steps);
            header.minimums[block] = S::half(S::shr::<16>(steps));
            put_levels(
                rows,
                at + offset_of!(block::Q5_1, qs),
                high,
                block,
                header,
                levels,
            );
        }
    }
}

/// # Safety
/// As [`Simd`]; every row has sixteen bytes at `at`.
#[inline(always)]
unsafe fn put_levels<S: Simd>(
    rows: &mut Rows,
    at: usize,
    high: S::V,
    block: usize,
    header: &Header<S>,
    levels: &mut impl Levels<S>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let [low, upper] = all_nibbles::<S>(rows.levels::<S>(at));
        levels.put(header, 8 * block, S::add_fifth(low, high, 0));
        levels.put(header, 8 * block + 4, S::add_fifth(upper, high, 1));
    }
}
