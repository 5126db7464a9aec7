//! q4_K by q8_K.

use std::arch::x86_64::*;

use super::scale_min::{Column, Headers, activations, scale, stored};
use super::{Mac, load, nibbles, total};
use crate::block::{Q4K, Q8K};
use crate::rows::Ahead;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile<M: Mac>(
    rows: [*const Q4K; 2],
    column: *const Q8K,
    blocks: usize,
    mut ahead: Ahead,
) -> [f32; 2] {
    // SAFETY: every row and the column have `blocks` blocks.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); 2];
        let mut minimums = _mm256_setzero_ps();
        for b in 0..blocks {
            ahead.fetch::<2, { size_of::<Q4K>() }>();
            let y = column.add(b);
            let column = Column::load(y);
            let headers = Headers::load(rows.map(|row| row.add(b).cast()));
            minimums = headers.add_minimums(headers.minimums(column), column, minimums);
            let scales = headers.scales();
            let mut acc = [_mm256_setzero_si256(); 2];
            for pair in 0..4 {
                let x = [activations(y, 2 * pair), activations(y, 2 * pair + 1)];
                for r in 0..2 {
                    let qs = (&raw const (*rows[r].add(b)).qs).cast::<__m256i>().add(pair);
                    let q = nibbles(load(qs));
                    for i in 0..2 {
                        let products = _mm256_maddubs_epi16(q[i], x[i]);
                        acc[r] = M::scaled(acc[r], products, scale(scales[r], 2 * pair + i));
                    }
                }
            }
            for r in 0..2 {
                sums[r] = _mm256_fmadd_ps(headers.step(r, column), _mm256_cvtepi32_ps(acc[r]), sums[r]);
            }
        }
        let lanes = stored(minimums);
        let four = |r: usize| (lanes[4 * r] + lanes[4 * r + 2]) + (lanes[4 * r + 1] + lanes[4 * r + 3]);
        [total(sums[0]) - four(0), total(sums[1]) - four(1)]
    }
}
