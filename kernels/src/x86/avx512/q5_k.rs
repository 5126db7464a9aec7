//! q5_K by q8_K: q4_K with a fifth bit.

use std::arch::x86_64::*;

use super::scale_min::{Column, Headers, finish, stored};
use super::{add_block, nibbles, rotations, with_bits};
use crate::block::{Q5K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c", tile);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const Q5K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    // In the order of `Column`, bits 0 and 2, 1 and 3, 4 and 6, 5 and 7 of a byte belong to the levels; the
    // rotations move each to bit 4.
    let counts = [
        rotations(4, 2),
        rotations(3, 1),
        rotations(0, 30),
        rotations(31, 29),
    ];
    let bit = _mm512_set1_epi8(16);
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut minimums = _mm512_setzero_ps();
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q5K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = Column::load(column.add(b));
            let blocks = rows.map(|row| row.add(b));
            let headers = Headers::load(blocks.map(|block| block.cast()));
            // Added up before the multiplication by their step, as ggml does for q5_K, but not for q4_K.
            let taken = headers.minimums(&y);
            let taken = _mm512_add_epi32(taken, _mm512_shuffle_epi32::<0xb1>(taken));
            let taken = _mm512_add_epi32(taken, _mm512_shuffle_epi32::<0x4e>(taken));
            minimums = headers.add_minimums(taken, &y, minimums);
            let mut row = |r: usize, scales: [__m512i; 4]| {
                let qs = (&raw const (*blocks[r]).qs).cast::<__m512i>();
                let qh = (&raw const (*blocks[r]).qh).cast::<__m256i>();
                let qh = _mm512_broadcast_i64x4(_mm256_loadu_si256(qh));
                let [q0, q1] = nibbles(_mm512_loadu_si512(qs));
                let [q2, q3] = nibbles(_mm512_loadu_si512(qs.add(1)));
                let q: [__m512i; 4] = [
                    with_bits(q0, qh, counts[0], bit),
                    with_bits(q1, qh, counts[1], bit),
                    with_bits(q2, qh, counts[2], bit),
                    with_bits(q3, qh, counts[3], bit),
                ];
                let sum = _mm512_madd_epi16(_mm512_maddubs_epi16(q[0], y.x[0]), scales[0]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q[1], y.x[1]), scales[1]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q[2], y.x[2]), scales[2]);
                let sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(q[3], y.x[3]), scales[3]);
                sums[r] = add_block(sum, headers.step(r, &y), sums[r]);
            };
            row(0, headers.scales::<0>());
            row(1, headers.scales::<1>());
            row(2, headers.scales::<2>());
            row(3, headers.scales::<3>());
        }
    }
    let lanes = stored(minimums);
    finish(sums, [lanes[0], lanes[4], lanes[8], lanes[12]])
}
