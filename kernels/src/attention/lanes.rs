//! Registers of f32, as wide as the CPU has.

/// A register of [`Lanes::COUNT`] numbers.
///
/// # Safety
/// Every method needs a CPU with the instructions and is inlined into a function that is compiled for it;
/// pointers need room for a whole register.
pub(crate) trait Lanes {
    type V: Copy;
    const COUNT: usize;

    /// `x` in every lane. SAFETY: the trait's.
    unsafe fn splat(x: f32) -> Self::V;
    /// Loads numbers from memory. SAFETY: the trait's.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Stores numbers to memory. SAFETY: the trait's.
    unsafe fn store(to: *mut f32, x: Self::V);
    /// Loads as many f16 numbers from memory and widens them. SAFETY: the trait's.
    unsafe fn load_half(from: *const u16) -> Self::V;
    /// Widens one f16 number. SAFETY: the trait's.
    unsafe fn half(bits: u16) -> f32;
    /// `a * b`. SAFETY: the trait's.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`. SAFETY: the trait's.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of `a` and `b`, in each lane. SAFETY: the trait's.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once. SAFETY: the trait's.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Rounds to the nearest integer. SAFETY: the trait's.
    unsafe fn round(x: Self::V) -> Self::V;
    /// 2 to the power of `n`, whole numbers in -126..=127. SAFETY: the trait's.
    unsafe fn power_of_two(n: Self::V) -> Self::V;
    /// `y`, but 0 in lanes in which `x` is below `limit`. SAFETY: the trait's.
    unsafe fn zero_below(x: Self::V, limit: Self::V, y: Self::V) -> Self::V;
    /// The sum of all lanes. SAFETY: the trait's.
    unsafe fn sum(x: Self::V) -> f32;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    pub(crate) struct Avx512;
    pub(crate) struct Avx2;

    macro_rules! lanes {
        ($name:ident, $v:ty, $count:literal, $splat:ident, $load:ident, $store:ident, $widen:ident, $load_bits:ident,
         $mul:ident, $sub:ident, $max:ident, $fma:ident, $round:expr, $power:expr, $zero_below:expr, $sum:expr) => {
            impl Lanes for $name {
                type V = $v;
                const COUNT: usize = $count;
                #[inline(always)]
                unsafe fn splat(x: f32) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(to: *mut f32, x: $v) {
                    // SAFETY: the trait's promise.
                    unsafe { $store(to, x) }
                }
                #[inline(always)]
                unsafe fn load_half(from: *const u16) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $widen($load_bits(from.cast())) }
                }
                #[inline(always)]
                unsafe fn half(bits: u16) -> f32 {
                    // SAFETY: the trait's promise.
                    unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into()))) }
                }
                #[inline(always)]
                unsafe fn mul(a: $v, b: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                unsafe fn sub(a: $v, b: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                unsafe fn max(a: $v, b: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $max(a, b) }
                }
                #[inline(always)]
                unsafe fn mul_add(a: $v, b: $v, c: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $fma(a, b, c) }
                }
                #[inline(always)]
                unsafe fn round(x: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $round(x) }
                }
                #[inline(always)]
                unsafe fn power_of_two(n: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $power(n) }
                }
                #[inline(always)]
                unsafe fn zero_below(x: $v, limit: $v, y: $v) -> $v {
                    // SAFETY: the trait's promise.
                    unsafe { $zero_below(x, limit, y) }
                }
                #[inline(always)]
                unsafe fn sum(x: $v) -> f32 {
                    // SAFETY: the trait's promise.
                    unsafe { $sum(x) }
                }
            }
        };
    }

    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

    lanes!(
        Avx512,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_cvtph_ps,
        _mm256_loadu_si256,
        _mm512_mul_ps,
        _mm512_sub_ps,
        _mm512_max_ps,
        _mm512_fmadd_ps,
        |x| _mm512_roundscale_ps::<NEAREST>(x),
        |n| _mm512_scalef_ps(_mm512_set1_ps(1.0), n),
        |x, limit, y| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, limit), y),
        |x| _mm512_reduce_add_ps(x)
    );
    lanes!(
        Avx2,
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_cvtph_ps,
        _mm_loadu_si128,
        _mm256_mul_ps,
        _mm256_sub_ps,
        _mm256_max_ps,
        _mm256_fmadd_ps,
        |x| _mm256_round_ps::<NEAREST>(x),
        |n| {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        },
        |x, limit, y| _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(x, limit), y),
        |x| {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
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
            unsafe { vreinterpretq_f32_u32(vandq_u32(vcgeq_f32(x, limit), vreinterpretq_u32_f32(y))) }
        }
        #[inline(always)]
        unsafe fn sum(x: float32x4_t) -> f32 {
            unsafe { vaddvq_f32(x) }
        }
    }
}
