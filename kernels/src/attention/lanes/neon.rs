//! NEON.

use std::arch::aarch64::*;

use super::Lanes;

pub(crate) struct Neon;

// SAFETY, of all blocks here: the trait's promise.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument stands above for all of them"
)]
impl Lanes for Neon {
    type V = float32x4_t;
    const COUNT: usize = 4;
    const COLUMNS: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: float32x4_t) {
        unsafe { vst1q_f32(to, x) }
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> float32x4_t {
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))) }
    }
    #[inline(always)]
    unsafe fn half(bits: u16) -> f32 {
        unsafe { vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits)))) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn round(x: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(x) }
    }
    #[inline(always)]
    unsafe fn power_of_two(n: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)))) }
    }
    #[inline(always)]
    unsafe fn zero_below(x: float32x4_t, limit: float32x4_t, y: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), vcltq_f32(x, limit))) }
    }
    #[inline(always)]
    unsafe fn sum(x: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(x) }
    }
    #[inline(always)]
    unsafe fn store_sums([a, b, c, d]: [float32x4_t; 4], to: *mut f32) {
        unsafe { vst1q_f32(to, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))) }
    }
    #[inline(always)]
    unsafe fn store_levels(levels: *const i8, step: f32, to: *mut f32) {
        unsafe { scaled(vld1q_s8(levels), step, to) }
    }
    #[inline(always)]
    unsafe fn store_nibbles(bytes: *const u8, step: f32, to: *mut f32) {
        unsafe {
            let bytes = vld1q_u8(bytes);
            let low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(bytes));
            scaled(vsubq_s8(low, vdupq_n_s8(8)), step, to);
            scaled(vsubq_s8(high, vdupq_n_s8(8)), step, to.add(16));
        }
    }
    #[inline(always)]
    unsafe fn largest(x: float32x4_t) -> f32 {
        unsafe { vmaxvq_f32(x) }
    }
}

/// Stores 16 levels times `step`.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
unsafe fn scaled(levels: int8x16_t, step: f32, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let halves = [vmovl_s8(vget_low_s8(levels)), vmovl_s8(vget_high_s8(levels))];
        for (half, levels) in halves.into_iter().enumerate() {
            let quarters = [vmovl_s16(vget_low_s16(levels)), vmovl_s16(vget_high_s16(levels))];
            for (quarter, levels) in quarters.into_iter().enumerate() {
                let numbers = vmulq_n_f32(vcvtq_f32_s32(levels), step);
                vst1q_f32(to.add(8 * half + 4 * quarter), numbers);
            }
        }
    }
}
