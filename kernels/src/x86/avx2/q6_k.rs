//! q6_K by q8_K.

use std::arch::x86_64::*;

use super::{Mac, load, nibbles, total, widen};
use crate::block::{Q6K, Q8K};
use crate::rows::Ahead;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile<M: Mac>(
    rows: [*const Q6K; 2],
    column: *const Q8K,
    blocks: usize,
    mut ahead: Ahead,
) -> [f32; 2] {
    // SAFETY: every row and the column have `blocks` blocks.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); 2];
        for b in 0..blocks {
            ahead.fetch::<2, { size_of::<Q6K>() }>();
            let y = column.add(b);
            let x = (&raw const (*y).qs).cast::<__m256i>();
            let bsums = load(&raw const (*y).bsums);
            let d = _mm256_set1_ps((*y).d);
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let scales = _mm_loadu_si128((&raw const (*block).scales).cast());
                // The stored levels are 32 too high.
                let excess = _mm256_madd_epi16(_mm256_cvtepi8_epi16(scales), bsums);
                let mut acc = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32::<5>(excess));
                for half in 0..2 {
                    let q = levels(block, half);
                    for (i, q) in q.into_iter().enumerate() {
                        let products = _mm256_maddubs_epi16(q, load(x.add(4 * half + i)));
                        acc = M::scaled(acc, products, scale(scales, 8 * half + 2 * i));
                    }
                }
                let step = _mm256_mul_ps(widen((*block).d), d);
                *sum = _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(acc), *sum);
            }
        }
        [total(sums[0]), total(sums[1])]
    }
}

/// Scale `first` for sixteen weights, and the next scale for sixteen more.
#[inline(always)]
unsafe fn scale(scales: __m128i, first: usize) -> __m256i {
    let (low, high) = (first as i8, first as i8 + 1);
    // SAFETY: AVX2.
    unsafe {
        let order = _mm_unpacklo_epi64(_mm_set1_epi8(low), _mm_set1_epi8(high));
        _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, order))
    }
}

/// The 128 levels of a half, in order.
#[inline(always)]
unsafe fn levels(block: *const Q6K, half: usize) -> [__m256i; 4] {
    // SAFETY: `block` points at a block; AVX2.
    unsafe {
        let ql = (&raw const (*block).ql).cast::<__m256i>().add(2 * half);
        let qh = load((&raw const (*block).qh).cast::<__m256i>().add(half));
        let (even, odd) = (nibbles(load(ql)), nibbles(load(ql.add(1))));
        let bits = _mm256_set1_epi8(48);
        let with = |low, high| _mm256_or_si256(low, _mm256_and_si256(high, bits));
        [
            with(even[0], _mm256_slli_epi16::<4>(qh)),
            with(odd[0], _mm256_slli_epi16::<2>(qh)),
            with(even[1], qh),
            with(odd[1], _mm256_srli_epi16::<2>(qh)),
        ]
    }
}
