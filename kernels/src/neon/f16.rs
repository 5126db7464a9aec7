//! f16 by f16, summed in f32.

use std::arch::aarch64::*;

use super::widen;
use crate::rows::{Ahead, kernel};

/// Numbers to prefetch at a time.
const STEP: usize = 32;

kernel!(pub(super) run, "neon,dotprod,fp16", tile);

/// Loads eight numbers.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn wide(from: *const u16) -> [float32x4_t; 2] {
    // SAFETY: the caller promises eight numbers.
    let eight = vreinterpretq_f16_u16(unsafe { vld1q_u16(from) });
    [vcvt_f32_f16(vget_low_f16(eight)), vcvt_high_f32_f16(eight)]
}

#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn tile(rows: [*const u16; 4], column: *const u16, len: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [[vdupq_n_f32(0.0); 2]; 4];
    let whole = len - len % 8;
    // SAFETY: every row and the column have `len` numbers.
    unsafe {
        for at in (0..whole).step_by(8) {
            if at % STEP == 0 {
                ahead.fetch::<4, { STEP * 2 }>();
            }
            let [x0, x1] = wide(column.add(at));
            for (row, sum) in rows.iter().zip(&mut sums) {
                let [w0, w1] = wide(row.add(at));
                *sum = [vfmaq_f32(sum[0], w0, x0), vfmaq_f32(sum[1], w1, x1)];
            }
        }
        // The remaining numbers one by one, in lane 0.
        for at in whole..len {
            let x = vsetq_lane_f32::<0>(vgetq_lane_f32::<0>(widen(*column.add(at))), vdupq_n_f32(0.0));
            for (row, sum) in rows.iter().zip(&mut sums) {
                sum[0] = vfmaq_f32(sum[0], widen(*row.add(at)), x);
            }
        }
    }
    let total = |sum: [float32x4_t; 2]| vaddvq_f32(vaddq_f32(sum[0], sum[1]));
    [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
}
