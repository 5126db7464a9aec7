//! q8_0 by q8_0.

use std::arch::x86_64::*;

use super::simple::{Pair, STEP};
use super::{halves, total};
use crate::Product;
use crate::block::Q8_0;
use crate::rows::{Ahead, groups};

/// # Safety
/// As [`crate::Kernel::run`], on a CPU with the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
pub(super) unsafe fn run(product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        groups(product, STEP * size_of::<Q8_0>(), |rows, ahead| {
            tile(rows, product.column.cast(), product.blocks, ahead)
        });
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const Q8_0; 4], column: *const Q8_0, blocks: usize, ahead: Ahead) -> [f32; 4] {
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut sums = [_mm256_setzero_ps(); 4];
    for b in (0..blocks).step_by(2) {
        if b % STEP == 0 {
            ahead.fetch::<4, { STEP * size_of::<Q8_0>() }, _>(&rows, b / STEP, blocks.div_ceil(STEP));
        }
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            // With the sign bit flipped, levels are unsigned and 128 too high.
            let y = Pair::load(column.add(b), blocks - b, i8::MIN);
            for (row, sum) in rows.iter().zip(&mut sums) {
                let (first, second) = (row.add(b), row.add(b + y.second));
                let q = halves(
                    (&raw const (*first).qs).cast::<u8>(),
                    (&raw const (*second).qs).cast::<u8>(),
                );
                *sum = y.add(_mm512_xor_si512(q, flip), [(*first).d, (*second).d], *sum);
            }
        }
    }
    [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
}
