//! q6_K by q8_K.

use std::arch::aarch64::*;

use super::{add_scaled, dot, totals, widen};
use crate::block::{Q6K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "neon,dotprod,fp16", tile);

#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn tile(rows: [*const Q6K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [vdupq_n_f32(0.0); 4];
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q6K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = column.add(b);
            let bsums = (&raw const (*y).bsums).cast::<i16>();
            let bsums = [vld1q_s16(bsums), vld1q_s16(bsums.add(8))];
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let (scales, mut acc) = scales(block, bsums);
                macro_rules! half {
                    ($half:literal) => {
                        half!($half, 0);
                        half!($half, 1);
                    };
                    // Sixteen bytes of `qh`: four times sixteen levels, 32 apart.
                    ($half:literal, $part:literal) => {
                        let x = (&raw const (*y).qs)
                            .cast::<i8>()
                            .add(128 * $half + 16 * $part);
                        let [q0, q1, q2, q3] = levels(block, $half, $part);
                        let none = vdupq_n_s32(0);
                        acc = add_scaled!(acc, dot(none, q0, vld1q_s8(x)), scales, 8 * $half + $part);
                        acc = add_scaled!(
                            acc,
                            dot(none, q1, vld1q_s8(x.add(32))),
                            scales,
                            8 * $half + $part + 2
                        );
                        acc = add_scaled!(
                            acc,
                            dot(none, q2, vld1q_s8(x.add(64))),
                            scales,
                            8 * $half + $part + 4
                        );
                        acc = add_scaled!(
                            acc,
                            dot(none, q3, vld1q_s8(x.add(96))),
                            scales,
                            8 * $half + $part + 6
                        );
                    };
                }
                half!(0);
                half!(1);
                let step = vmulq_n_f32(widen((*block).d), (*y).d);
                *sum = vfmaq_f32(*sum, step, vcvtq_f32_s32(acc));
            }
        }
    }
    totals(sums)
}

/// A block's scales, and what to subtract from its products, because the stored levels are 32 too high.
///
/// # Safety
/// `block` must point at a block.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn scales(block: *const Q6K, bsums: [int16x8_t; 2]) -> ([int32x4_t; 4], int32x4_t) {
    // SAFETY: the caller's promise.
    let bytes = unsafe { vld1q_s8((&raw const (*block).scales).cast()) };
    let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
    let excess = vmull_s16(vget_low_s16(low), vget_low_s16(bsums[0]));
    let excess = vmlal_high_s16(excess, low, bsums[0]);
    let excess = vmlal_s16(excess, vget_low_s16(high), vget_low_s16(bsums[1]));
    let excess = vmlal_high_s16(excess, high, bsums[1]);
    let scales = [
        vmovl_s16(vget_low_s16(low)),
        vmovl_high_s16(low),
        vmovl_s16(vget_low_s16(high)),
        vmovl_high_s16(high),
    ];
    (scales, vnegq_s32(vshlq_n_s32::<5>(excess)))
}

/// Four times sixteen levels, 32 apart, of one half of a block, from byte `16 * part` of that half on.
///
/// # Safety
/// `block` must point at a block.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn levels(block: *const Q6K, half: usize, part: usize) -> [int8x16_t; 4] {
    // SAFETY: the caller's promise.
    let (even, odd, high) = unsafe {
        let ql = (&raw const (*block).ql).cast::<u8>().add(64 * half + 16 * part);
        let qh = (&raw const (*block).qh).cast::<u8>().add(32 * half + 16 * part);
        (vld1q_u8(ql), vld1q_u8(ql.add(32)), vld1q_u8(qh))
    };
    // Shift and insert: low nibbles stay below bits shifted in from the left; high nibbles are shifted in
    // from the right, below bits that stay.
    let six = |bits| vreinterpretq_s8_u8(vandq_u8(bits, vdupq_n_u8(63)));
    [
        six(vsliq_n_u8::<4>(even, high)),
        six(vsliq_n_u8::<4>(odd, vshrq_n_u8::<2>(high))),
        six(vsriq_n_u8::<4>(high, even)),
        six(vsriq_n_u8::<4>(vshrq_n_u8::<2>(high), odd)),
    ]
}
