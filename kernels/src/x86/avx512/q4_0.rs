//! q4_0 by q8_0.

use std::arch::x86_64::*;

use super::simple::{Pair, STEP};
use super::total;
use crate::Product;
use crate::block::{Q4_0, Q8_0};
use crate::rows::{Ahead, groups};

/// # Safety
/// As [`crate::Kernel::run`], on a CPU with the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
pub(super) unsafe fn run(product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        groups(product, STEP * size_of::<Q4_0>(), |rows, ahead| {
            tile(rows, product.column.cast(), product.blocks, ahead)
        });
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const Q4_0; 4], column: *const Q8_0, blocks: usize, ahead: Ahead) -> [f32; 4] {
    let nibble = _mm512_set1_epi8(15);
    let counts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    let mut sums = [_mm256_setzero_ps(); 4];
    for b in (0..blocks).step_by(2) {
        if b % STEP == 0 {
            ahead.fetch::<4, { STEP * size_of::<Q4_0>() }, _>(&rows, b / STEP, blocks.div_ceil(STEP));
        }
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            // Levels are 8 too high.
            let y = Pair::load(column.add(b), blocks - b, 8);
            for (row, sum) in rows.iter().zip(&mut sums) {
                let (first, second) = (row.add(b), row.add(b + y.second));
                let low = _mm_loadu_si128((&raw const (*first).qs).cast());
                let high = _mm_loadu_si128((&raw const (*second).qs).cast());
                let bytes = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(low), 0xff00, high);
                let q = _mm512_and_si512(_mm512_srlv_epi64(bytes, counts), nibble);
                *sum = y.add(q, [(*first).d, (*second).d], *sum);
            }
        }
    }
    [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
}
