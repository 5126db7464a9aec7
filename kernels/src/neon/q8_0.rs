//! q8_0 by q8_0.

use std::arch::aarch64::*;

use super::{dot, totals, widen};
use crate::block::Q8_0;
use crate::rows::{Ahead, kernel};

/// Blocks to prefetch at a time.
const STEP: usize = 2;

kernel!(pub(super) run, "neon,dotprod,fp16", tile);

#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn tile(rows: [*const Q8_0; 4], column: *const Q8_0, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [vdupq_n_f32(0.0); 4];
    for b in 0..blocks {
        if b % STEP == 0 {
            ahead.fetch::<4, { STEP * size_of::<Q8_0>() }>();
        }
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = column.add(b);
            let x = (&raw const (*y).qs).cast::<i8>();
            let (x0, x1, d) = (vld1q_s8(x), vld1q_s8(x.add(16)), widen((*y).d));
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let q = (&raw const (*block).qs).cast::<i8>();
                let products = dot(dot(vdupq_n_s32(0), vld1q_s8(q), x0), vld1q_s8(q.add(16)), x1);
                let step = vmulq_f32(widen((*block).d), d);
                *sum = vfmaq_f32(*sum, vcvtq_f32_s32(products), step);
            }
        }
    }
    totals(sums)
}
