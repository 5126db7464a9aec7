//! AVX2, with and without VNNI: 32 weights in a register.

use std::arch::x86_64::*;

use crate::Format;
use crate::product::Run;

mod f16;
mod q4_0;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;
mod scale_min;

/// How products are summed in 32 bits: the part that differs between the instruction sets.
///
/// # Safety
/// Every method needs a CPU with the instructions, and is inlined into a function that is compiled for it.
trait Mac {
    /// Adds pairs of 16-bit `products`, times their `scales`, to `sum`.
    unsafe fn scaled(sum: __m256i, products: __m256i, scales: __m256i) -> __m256i;

    /// Adds four products of unsigned `q` with `x` to each lane of `sum`; pairs of them must fit 16 bits.
    unsafe fn unsigned(sum: __m256i, q: __m256i, x: __m256i) -> __m256i;

    /// Sums four products of signed `q` with `x`. `start` is -128 times the sum of those `x`.
    unsafe fn signed(start: __m256i, q: __m256i, x: __m256i) -> __m256i;
}

/// Plain AVX2, without VNNI.
struct Plain;

impl Mac for Plain {
    #[inline(always)]
    unsafe fn scaled(sum: __m256i, products: __m256i, scales: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(products, scales)) }
    }

    #[inline(always)]
    unsafe fn unsigned(sum: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { Self::scaled(sum, _mm256_maddubs_epi16(q, x), _mm256_set1_epi16(1)) }
    }

    #[inline(always)]
    unsafe fn signed(_: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // |q| times x with q's sign: 2 * 128 * 127 still fits.
        // SAFETY: the caller's promise.
        unsafe {
            Self::unsigned(
                _mm256_setzero_si256(),
                _mm256_sign_epi8(q, q),
                _mm256_sign_epi8(x, q),
            )
        }
    }
}

/// AVX2 with AVX-VNNI.
struct Vnni;

impl Mac for Vnni {
    #[inline(always)]
    unsafe fn scaled(sum: __m256i, products: __m256i, scales: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_dpwssd_avx_epi32(sum, products, scales) }
    }

    #[inline(always)]
    unsafe fn unsigned(sum: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_dpbusd_avx_epi32(sum, q, x) }
    }

    #[inline(always)]
    unsafe fn signed(start: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // With the sign bit flipped, levels are unsigned and 128 too high.
        // SAFETY: the caller's promise.
        unsafe { Self::unsigned(start, _mm256_xor_si256(q, _mm256_set1_epi8(i8::MIN)), x) }
    }
}

/// AVX-512 VNNI on half a register, because CPUs that have it may lack AVX-VNNI.
struct Vl;

impl Mac for Vl {
    #[inline(always)]
    unsafe fn scaled(sum: __m256i, products: __m256i, scales: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_dpwssd_epi32(sum, products, scales) }
    }

    #[inline(always)]
    unsafe fn unsigned(sum: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_dpbusd_epi32(sum, q, x) }
    }

    #[inline(always)]
    unsafe fn signed(start: __m256i, q: __m256i, x: __m256i) -> __m256i {
        // SAFETY: the caller's promise. With the sign bit flipped, levels are unsigned and 128 too high.
        unsafe { Self::unsigned(start, _mm256_xor_si256(q, _mm256_set1_epi8(i8::MIN)), x) }
    }
}

macro_rules! kernels {
    ($(#[$doc:meta])* $name:ident, $mac:ty, $features:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(format: Format) -> Run {
            match format {
                Format::Q4K => kernels!($features, q4_k::tile::<$mac>),
                Format::Q5K => kernels!($features, q5_k::tile::<$mac>),
                Format::Q6K => kernels!($features, q6_k::tile::<$mac>),
                Format::Q8_0 => kernels!($features, q8_0::tile::<$mac>),
                Format::Q4_0 => kernels!($features, q4_0::tile::<$mac>),
                Format::F16 => kernels!($features, f16::tile),
            }
        }
    };
    ($features:literal, $tile:expr) => {{
        crate::rows::kernel!(run, $features, $tile);
        run
    }};
}

kernels!(
    /// The kernel for `format`.
    kernel, Plain, "avx2,fma,f16c"
);
kernels!(
    /// The kernel for `format` on a CPU with AVX-VNNI.
    kernel_vnni, Vnni, "avx2,fma,f16c,avxvnni"
);
kernels!(
    /// The kernel for `format` on a CPU with AVX-512 VNNI.
    kernel_vl, Vl, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni"
);

/// # Safety
/// `from` must have 32 readable bytes; the CPU has AVX2.
#[inline(always)]
unsafe fn load<T>(from: *const T) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

/// A half-precision number in every lane.
///
/// # Safety
/// AVX2 and F16C.
#[inline(always)]
unsafe fn widen(half: u16) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_cvtph_ps(_mm_set1_epi16(half as i16)) }
}

/// Splits bytes into low nibbles and high nibbles.
///
/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn nibbles(bytes: __m256i) -> [__m256i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let mask = _mm256_set1_epi8(15);
        [
            _mm256_and_si256(bytes, mask),
            _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask),
        ]
    }
}

/// The sum of all lanes.
///
/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn total(lanes: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
