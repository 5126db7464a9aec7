//! Shared by q4_K and q5_K: the sixteen bytes of steps, scales and minimums at the start of a block.

use std::arch::aarch64::*;

use crate::block::Q8K;

/// The sums of 32 activations each, and the step.
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

/// A block's header, unpacked.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// Eight scales.
    pub(super) scales: [int32x4_t; 2],
    minimums: int16x8_t,
    /// `[d, dmin, d, dmin]`.
    steps: float32x4_t,
}

impl Header {
    /// Loads the headers of four blocks.
    ///
    /// # Safety
    /// Each block must have sixteen readable bytes.
    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    pub(super) unsafe fn load(blocks: [*const u32; 4]) -> [Self; 4] {
        // SAFETY: the caller's promise.
        let ([a, b], [c, d]) =
            unsafe { (Self::pair(blocks[0], blocks[1]), Self::pair(blocks[2], blocks[3])) };
        [a, b, c, d]
    }

    /// Loads the headers of two blocks, which share registers.
    ///
    /// # Safety
    /// Each block must have sixteen readable bytes.
    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    unsafe fn pair(a: *const u32, b: *const u32) -> [Self; 2] {
        // SAFETY: the caller's promise.
        let (steps, first, last) = unsafe {
            let words = |block: *const u32| vcreate_u64(block.add(1).cast::<u64>().read_unaligned());
            let last = vcreate_u64(u64::from(a.add(3).read_unaligned()));
            let last = vld1_lane_u32::<1>(b.add(3), vreinterpret_u32_u64(last));
            (
                [a.read_unaligned(), b.read_unaligned()],
                vcombine_u64(words(a), words(b)),
                vmovl_u32(last),
            )
        };
        // Six bits each. The first eight bytes hold the first four scales and minimums whole. Their two upper
        // bits belong to the last four, whose other bits are the nibbles of the last four bytes.
        let six = vdupq_n_u8(0x3f);
        let upper = vreinterpretq_u8_u64(vshrq_n_u64::<2>(first));
        let nibbles = vreinterpretq_u8_u64(vsliq_n_u64::<28>(last, last));
        let last = vandq_u8(vbslq_u8(vdupq_n_u8(0x0f), nibbles, upper), six);
        let first = vandq_u8(vreinterpretq_u8_u64(first), six);
        let (first, last) = (vreinterpretq_u32_u8(first), vreinterpretq_u32_u8(last));
        let scales = vreinterpretq_u8_u32(vtrn1q_u32(first, last));
        let minimums = vreinterpretq_u8_u32(vtrn2q_u32(first, last));
        [
            Self::new(vget_low_u8(scales), vget_low_u8(minimums), steps[0]),
            Self::new(vget_high_u8(scales), vget_high_u8(minimums), steps[1]),
        ]
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod,fp16")]
    fn new(scales: uint8x8_t, minimums: uint8x8_t, steps: u32) -> Self {
        let scales = vmovl_u8(scales);
        Self {
            scales: [
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(scales))),
                vreinterpretq_s32_u32(vmovl_high_u16(scales)),
            ],
            minimums: vreinterpretq_s16_u16(vmovl_u8(minimums)),
            steps: vcvt_f32_f16(vreinterpret_f16_u32(vdup_n_u32(steps))),
        }
    }

    /// Adds a block's `products`, minus its minimums times the activations.
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

/// The address of a block's activations, in its own register. From there the compiler loads two registers at
/// once; it cannot from the block's address, from which the offset is not a multiple of 16.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) fn activations_of(y: *const Q8K) -> *const i8 {
    let mut at = y.wrapping_byte_add(std::mem::offset_of!(Q8K, qs)).cast::<i8>();
    // SAFETY: contains no instruction; it only makes the compiler use this address as it is.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) at, options(pure, readonly, nostack, preserves_flags)) };
    at
}

/// The activations of sub-block `sub`.
///
/// # Safety
/// `x` must point at a block's activations.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn activations(x: *const i8, sub: usize) -> [int8x16_t; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let x = x.add(32 * sub);
        [vld1q_s8(x), vld1q_s8(x.add(16))]
    }
}
