//! AVX-512 and AVX2.

use std::arch::x86_64::*;

use super::Lanes;

pub(crate) struct Avx512;
pub(crate) struct Avx2;

macro_rules! lanes {
    ($name:ident, $v:ty, $count:literal, $splat:ident, $load:ident, $store:ident, $widen:ident, $load_bits:ident,
     $mul:ident, $sub:ident, $max:ident, $fma:ident, $round:expr, $power:expr, $zero_below:expr, $sum:expr,
     $columns:literal, $store_sums:expr, $widen_levels:expr, $largest:expr) => {
        impl Lanes for $name {
            type V = $v;
            const COUNT: usize = $count;
            const COLUMNS: usize = $columns;
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
            #[inline(always)]
            unsafe fn store_sums(x: [$v; 4], to: *mut f32) {
                // SAFETY: the trait's promise.
                unsafe { _mm_storeu_ps(to, $store_sums(x)) }
            }
            #[inline(always)]
            unsafe fn store_levels(levels: *const i8, step: f32, to: *mut f32) {
                // SAFETY: the trait's promise.
                unsafe { Self::scaled(_mm_loadu_si128(levels.cast()), step, to) }
            }
            #[inline(always)]
            unsafe fn store_nibbles(bytes: *const u8, step: f32, to: *mut f32) {
                // SAFETY: the trait's promise.
                unsafe {
                    let (bytes, mask) = (_mm_loadu_si128(bytes.cast()), _mm_set1_epi8(15));
                    let low = _mm_and_si128(bytes, mask);
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), mask);
                    Self::scaled(_mm_sub_epi8(low, _mm_set1_epi8(8)), step, to);
                    Self::scaled(_mm_sub_epi8(high, _mm_set1_epi8(8)), step, to.add(16));
                }
            }
            #[inline(always)]
            unsafe fn largest(x: $v) -> f32 {
                // SAFETY: the trait's promise.
                unsafe { $largest(x) }
            }
        }

        impl $name {
            /// Stores 16 levels times `step`.
            ///
            /// # Safety
            /// As [`Lanes`].
            #[inline(always)]
            unsafe fn scaled(levels: __m128i, step: f32, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { $widen_levels(levels, $splat(step), to) }
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
    |x, limit, y| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, limit), y),
    |x| _mm512_reduce_add_ps(x),
    4,
    sums_of_sixteen,
    levels_in_sixteen,
    |x| _mm512_reduce_max_ps(x)
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
    |x, limit, y| _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(x, limit), y),
    |x| {
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    },
    2,
    sums_of_eight,
    levels_in_eight,
    |x| {
        let four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
    }
);

// Functions with features of their own: closures of this size are not inlined in a program for all CPUs.

/// The sum of each register.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma,f16c")]
fn sums_of_sixteen([a, b, c, d]: [__m512; 4]) -> __m128 {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let quads = _mm512_add_ps(
        _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
        _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)),
    );
    let eight = _mm256_add_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps::<1>(quads));
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// Stores 16 levels times `step`.
///
/// # Safety
/// `to` has room for 16 numbers.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn levels_in_sixteen(levels: __m128i, step: __m512, to: *mut f32) {
    let wide = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(levels));
    // SAFETY: the caller's promise.
    unsafe { _mm512_storeu_ps(to, _mm512_mul_ps(wide, step)) }
}

/// The sum of each register.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sums_of_eight([a, b, c, d]: [__m256; 4]) -> __m128 {
    let quads = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_add_ps(_mm256_castps256_ps128(quads), _mm256_extractf128_ps::<1>(quads))
}

/// Stores 16 levels times `step`.
///
/// # Safety
/// `to` has room for 16 numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn levels_in_eight(levels: __m128i, step: __m256, to: *mut f32) {
    let low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(levels));
    let high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(levels, levels)));
    // SAFETY: the caller's promise.
    unsafe {
        _mm256_storeu_ps(to, _mm256_mul_ps(low, step));
        _mm256_storeu_ps(to.add(8), _mm256_mul_ps(high, step));
    }
}
