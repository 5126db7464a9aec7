//! What q4_K and q5_K share: sixteen bytes of steps, scales and minimums at the start of a block.

use std::arch::aarch64::*;

use crate::block::Q8K;

/// Sums of 32 activations each, and the step.
#[derive(Clone, Copy)]
pub(super) struct Column {
    sums: int16x8_t,
    d: f32,
}

impl Column {
    /// # Safety
    /// `y` must point at a block.
    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    pub(super) unsafe fn load(y: *const Q8K) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = (&raw const (*y).bsums).cast::<i16>();
            Self {
                sums: vpaddq_s16(vld1q_s16(sums), vld1q_s16(sums.add(8))),
                d: (*y).d,
            }
        }
    }
}

/// A block's header.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// Eight scales.
    pub(super) scales: [int32x4_t; 2],
    minimums: int16x8_t,
    /// `[d, dmin, d, dmin]`.
    steps: float32x4_t,
}

impl Header {
    /// # Safety
    /// `block` must have sixteen readable bytes.
    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    pub(super) unsafe fn load(block: *const u32) -> Self {
        // SAFETY: the caller's promise.
        let (steps, first, last) = unsafe {
            (
                block.read_unaligned(),
                block.add(1).cast::<u64>().read_unaligned(),
                u64::from(block.add(3).read_unaligned()),
            )
        };
        // Six bits each: the first four scales and minimums whole in the first eight bytes, whose two upper bits
        // belong to the last four, the rest of which are the nibbles of the last four bytes.
        let upper = first >> 2 & 0x3030_3030_3030_3030;
        let last = (last | last << 28) & 0x0f0f_0f0f_0f0f_0f0f | upper;
        let first = first & 0x3f3f_3f3f_3f3f_3f3f;
        let scales = vmovl_u8(vcreate_u8(first & 0xffff_ffff | last << 32));
        let minimums = vmovl_u8(vcreate_u8(first >> 32 | last & 0xffff_ffff_0000_0000));
        Self {
            scales: [
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(scales))),
                vreinterpretq_s32_u32(vmovl_high_u16(scales)),
            ],
            minimums: vreinterpretq_s16_u16(minimums),
            steps: vcvt_f32_f16(vreinterpret_f16_u32(vdup_n_u32(steps))),
        }
    }

    /// Adds a block's `products` less what the minimums take away.
    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    pub(super) fn add(&self, column: Column, products: int32x4_t, sum: float32x4_t) -> float32x4_t {
        let taken = vmull_s16(vget_low_s16(self.minimums), vget_low_s16(column.sums));
        let taken = vmlal_high_s16(taken, self.minimums, column.sums);
        let steps = vmulq_n_f32(self.steps, column.d);
        let sum = vfmaq_laneq_f32::<0>(sum, vcvtq_f32_s32(products), steps);
        vfmsq_laneq_f32::<1>(sum, vcvtq_f32_s32(taken), steps)
    }
}

/// Activations of sub-block `sub`.
///
/// # Safety
/// `y` must point at a block.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn activations(y: *const Q8K, sub: usize) -> [int8x16_t; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let x = (&raw const (*y).qs).cast::<i8>().add(32 * sub);
        [vld1q_s8(x), vld1q_s8(x.add(16))]
    }
}
