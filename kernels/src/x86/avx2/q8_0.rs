//! q8_0 by q8_0.

use std::arch::x86_64::*;

use super::{Mac, load, total, widen};
use crate::block::Q8_0;
use crate::rows::Ahead;

/// Blocks to prefetch at a time.
const STEP: usize = 2;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile<M: Mac>(
    rows: [*const Q8_0; 4],
    column: *const Q8_0,
    blocks: usize,
    mut ahead: Ahead,
) -> [f32; 4] {
    // SAFETY: every row and the column have `blocks` blocks.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); 4];
        for b in 0..blocks {
            if b % STEP == 0 {
                ahead.fetch::<4, { STEP * size_of::<Q8_0>() }>();
            }
            let y = column.add(b);
            let (x, d) = (load(&raw const (*y).qs), widen((*y).d));
            let none = _mm256_setzero_si256();
            let start = _mm256_sub_epi32(none, M::unsigned(none, _mm256_set1_epi8(i8::MIN), x));
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let products = M::signed(start, load(&raw const (*block).qs), x);
                let step = _mm256_mul_ps(widen((*block).d), d);
                *sum = _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(products), *sum);
            }
        }
        [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
    }
}
