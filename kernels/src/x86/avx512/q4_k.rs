//! q4_K by q8_K.

use std::arch::x86_64::*;

use super::scale_min::{Column, Headers, finish, stored};
use super::{add_block, nibbles};
use crate::block::{Q4K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c", tile);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const Q4K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut minimums = _mm512_setzero_ps();
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q4K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = Column::load(column.add(b));
            let blocks = rows.map(|row| row.add(b));
            let headers = Headers::load(blocks.map(|block| block.cast()));
            minimums = headers.add_minimums(headers.minimums(&y), &y, minimums);
            let mut row = |r: usize, scales: [__m512i; 4]| {
                let qs = (&raw const (*blocks[r]).qs).cast::<__m512i>();
                let [q0, q1] = nibbles(_mm512_loadu_si512(qs));
                let [q2, q3] = nibbles(_mm512_loadu_si512(qs.add(1)));
                let sum = _mm512_madd_epi16(_mm512_maddubs_epi16(q0, y.x[0]), scales[0]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q1, y.x[1]), scales[1]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q2, y.x[2]), scales[2]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q3, y.x[3]), scales[3]);
                sums[r] = add_block(sum, headers.step(r, &y), sums[r]);
            };
            row(0, headers.scales::<0>());
            row(1, headers.scales::<1>());
            row(2, headers.scales::<2>());
            row(3, headers.scales::<3>());
        }
    }
    let lanes = stored(minimums);
    let four = |r: usize| (lanes[4 * r] + lanes[4 * r + 2]) + (lanes[4 * r + 1] + lanes[4 * r + 3]);
    finish(sums, [four(0), four(1), four(2), four(3)])
}
