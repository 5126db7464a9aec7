//! q4_0 by q8_0.

use std::arch::x86_64::*;

use super::{Mac, load, total, widen};
use crate::block::{Q4_0, Q8_0};
use crate::rows::Ahead;

/// Blocks to prefetch at a time.
const STEP: usize = 4;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile<M: Mac>(
    rows: [*const Q4_0; 4],
    column: *const Q8_0,
    blocks: usize,
    mut ahead: Ahead,
) -> [f32; 4] {
    // SAFETY: every row and the column have `blocks` blocks.
    unsafe {
        let nibble = _mm256_set1_epi8(15);
        let mut sums = [_mm256_setzero_ps(); 4];
        for b in 0..blocks {
            if b % STEP == 0 {
                ahead.fetch::<4, { STEP * size_of::<Q4_0>() }>();
            }
            let y = column.add(b);
            let (x, d) = (load(&raw const (*y).qs), widen((*y).d));
            let none = _mm256_setzero_si256();
            // The stored levels are 8 too high.
            let start = _mm256_sub_epi32(none, M::unsigned(none, _mm256_set1_epi8(8), x));
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((&raw const (*block).qs).cast()));
                let q = _mm256_and_si256(_mm256_srlv_epi64(bytes, _mm256_setr_epi64x(0, 0, 4, 4)), nibble);
                let step = _mm256_mul_ps(widen((*block).d), d);
                *sum = _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(M::unsigned(start, q, x)), *sum);
            }
        }
        [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
    }
}
