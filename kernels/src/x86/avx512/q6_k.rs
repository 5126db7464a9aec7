//! q6_K by q8_K.

use std::arch::x86_64::*;

use super::{add_block, nibbles, rotations, total, widen, with_bits};
use crate::block::{Q6K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c", tile);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const Q6K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    // Bits 0-1 and 2-3 of a byte of `qh` belong to the low nibbles, 4-5 and 6-7 to the high ones; the
    // rotations move each pair to bits 4-5.
    let (low, high) = (rotations(4, 2), rotations(0, 30));
    let bits = _mm512_set1_epi8(48);
    // Scale `s` for the eight 16-bit lanes that hold the products of its sixteen weights.
    let lanes = _mm512_setr_epi64(
        0,
        0,
        0x0001_0001_0001_0001,
        0x0001_0001_0001_0001,
        0x0002_0002_0002_0002,
        0x0002_0002_0002_0002,
        0x0003_0003_0003_0003,
        0x0003_0003_0003_0003,
    );
    let order: [__m512i; 4] =
        std::array::from_fn(|i| _mm512_add_epi16(lanes, _mm512_set1_epi16(4 * i as i16)));
    let mut sums = [_mm256_setzero_ps(); 4];
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q6K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = column.add(b);
            let x = (&raw const (*y).qs).cast::<__m512i>();
            let x: [__m512i; 4] = std::array::from_fn(|i| _mm512_loadu_si512(x.add(i)));
            let d = _mm256_set1_ps((*y).d);
            let bsums = _mm256_loadu_si256((&raw const (*y).bsums).cast());
            let negative = _mm256_sub_epi16(_mm256_setzero_si256(), bsums);
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let scales = _mm_loadu_si128((&raw const (*block).scales).cast());
                let scales = _mm256_cvtepi8_epi16(scales);
                // The stored levels are 32 too high.
                let excess = _mm256_slli_epi32::<5>(_mm256_madd_epi16(scales, negative));
                let mut acc = _mm512_zextsi256_si512(excess);
                let scales = _mm512_castsi256_si512(scales);
                for half in 0..2 {
                    let ql = (&raw const (*block).ql).cast::<__m512i>().add(half);
                    let qh = (&raw const (*block).qh).cast::<__m256i>().add(half);
                    let qh = _mm512_broadcast_i64x4(_mm256_loadu_si256(qh));
                    let [q0, q1] = nibbles(_mm512_loadu_si512(ql));
                    let q0 = _mm512_maddubs_epi16(with_bits(q0, qh, low, bits), x[2 * half]);
                    let q1 = _mm512_maddubs_epi16(with_bits(q1, qh, high, bits), x[2 * half + 1]);
                    acc = _mm512_dpwssd_epi32(acc, q0, _mm512_permutexvar_epi16(order[2 * half], scales));
                    acc = _mm512_dpwssd_epi32(acc, q1, _mm512_permutexvar_epi16(order[2 * half + 1], scales));
                }
                *sum = add_block(acc, _mm256_mul_ps(widen((*block).d), d), *sum);
            }
        }
    }
    [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
}
