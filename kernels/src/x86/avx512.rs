//! AVX-512 with VNNI: four rows at a time, 64 weights in a register.
//!
//! Levels are unsigned bytes `q`, activations are signed bytes `x`. `maddubs` sums two products in 16 bits,
//! exactly: `2 * 63 * 127` fits. `dpwssd` multiplies these sums by their scale and adds each pair into 32
//! bits. Nothing is added across lanes before the end of a row.
//!
//! Floats are added in the order of ggml's x86 kernels, so that the results have the same bits.

use std::arch::x86_64::*;

use crate::Format;
use crate::product::Run;

mod f16;
mod q4_k;
mod q5_k;
mod q6_k;
mod scale_min;

/// The kernel for `format`.
pub(crate) fn kernel(format: Format) -> Run {
    match format {
        Format::Q4K => q4_k::run,
        Format::Q5K => q5_k::run,
        Format::Q6K => q6_k::run,
        // Putting two blocks next to each other costs more than it saves: their sums must be separated again.
        Format::Q8_0 | Format::Q4_0 => super::avx2::kernel_vl(format),
        Format::F16 => f16::run,
    }
}

/// Loads 32 bytes from `low` into the lower half of a register and 32 bytes from `high` into the upper.
///
/// # Safety
/// Both must have 32 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn halves<T>(low: *const T, high: *const T) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm512_castsi256_si512(_mm256_loadu_si256(low.cast()));
        _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(high.cast()))
    }
}

/// A half-precision number in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn widen(half: u16) -> __m256 {
    _mm256_cvtph_ps(_mm_set1_epi16(half as i16))
}

/// Adds a block's products times their step to `sum`. Both halves of a register hold products of the same
/// places in a sub-block. ggml's AVX2 kernels have them in one register, and another order of additions would
/// give other results.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn add_block(products: __m512i, step: __m256, sum: __m256) -> __m256 {
    let low = _mm512_castsi512_si256(products);
    let both = _mm256_add_epi32(low, _mm512_extracti64x4_epi64::<1>(products));
    _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(both), sum)
}

/// The sum of all lanes, in ggml's order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn total(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_extractf128_ps::<1>(lanes), _mm256_castps256_ps128(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Splits bytes into low nibbles and high nibbles.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn nibbles(bytes: __m512i) -> [__m512i; 2] {
    let mask = _mm512_set1_epi8(15);
    [
        _mm512_and_si512(bytes, mask),
        _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask),
    ]
}

/// `low | (bits rotated left by counts) & mask`, for bits that are stored apart from the rest of their level.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn with_bits(low: __m512i, bits: __m512i, counts: __m512i, mask: __m512i) -> __m512i {
    // Table 0xea: a & b | c.
    _mm512_ternarylogic_epi32::<0xea>(_mm512_rolv_epi32(bits, counts), mask, low)
}

/// Counts of left rotations: `low` for the lower half of a register and `high` for the upper.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn rotations(low: i32, high: i32) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi32(low), _mm256_set1_epi32(high))
}
