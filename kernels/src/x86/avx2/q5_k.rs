//! q5_K by q8_K: q4_K with a fifth bit.

use std::arch::x86_64::*;

use super::scale_min::{Column, Headers, activations, scale, stored};
use super::{Mac, load, nibbles, total};
use crate::block::{Q5K, Q8K};
use crate::rows::Ahead;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile<M: Mac>(
    rows: [*const Q5K; 2],
    column: *const Q8K,
    blocks: usize,
    mut ahead: Ahead,
) -> [f32; 2] {
    // SAFETY: every row and the column have `blocks` blocks.
    unsafe {
        let bit = _mm256_set1_epi8(16);
        let mut sums = [_mm256_setzero_ps(); 2];
        let mut minimums = _mm256_setzero_ps();
        for b in 0..blocks {
            ahead.fetch::<2, { size_of::<Q5K>() }>();
            let y = column.add(b);
            let column = Column::load(y);
            let headers = Headers::load(rows.map(|row| row.add(b).cast()));
            // Added up before the multiplication by their step, as ggml does for q5_K, but not for q4_K.
            let taken = headers.minimums(column);
            let taken = _mm256_add_epi32(taken, _mm256_shuffle_epi32::<0xb1>(taken));
            let taken = _mm256_add_epi32(taken, _mm256_shuffle_epi32::<0x4e>(taken));
            minimums = headers.add_minimums(taken, column, minimums);
            let scales = headers.scales();
            let high = [
                load(&raw const (*rows[0].add(b)).qh),
                load(&raw const (*rows[1].add(b)).qh),
            ];
            let mut acc = [_mm256_setzero_si256(); 2];
            for pair in 0..4 {
                let x = [activations(y, 2 * pair), activations(y, 2 * pair + 1)];
                for r in 0..2 {
                    let qs = (&raw const (*rows[r].add(b)).qs).cast::<__m256i>().add(pair);
                    let q = nibbles(load(qs));
                    for i in 0..2 {
                        // Bit `sub` of a byte becomes bit 4; bits that come in from the neighbouring byte are
                        // masked out.
                        let sub = (2 * pair + i) as i64;
                        let up = _mm_set_epi64x(0, (4 - sub).max(0));
                        let down = _mm_set_epi64x(0, (sub - 4).max(0));
                        let moved = _mm256_srl_epi16(_mm256_sll_epi16(high[r], up), down);
                        let q = _mm256_or_si256(q[i], _mm256_and_si256(moved, bit));
                        let products = _mm256_maddubs_epi16(q, x[i]);
                        acc[r] = M::scaled(acc[r], products, scale(scales[r], 2 * pair + i));
                    }
                }
            }
            for r in 0..2 {
                sums[r] = _mm256_fmadd_ps(headers.step(r, column), _mm256_cvtepi32_ps(acc[r]), sums[r]);
            }
        }
        let lanes = stored(minimums);
        [total(sums[0]) - lanes[0], total(sums[1]) - lanes[4]]
    }
}
