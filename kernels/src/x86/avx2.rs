//! AVX2, with and without VNNI: eight rows at a time.

use std::arch::x86_64::*;

use crate::Format;
use crate::product::Run;
use crate::tile::{Simd, Starts};

/// The kernel for `format`.
pub(crate) fn kernel(format: Format) -> Run {
    crate::kernel::runs!(
        format,
        Avx2<Plain>,
        crate::attention::lanes::Avx2,
        "avx2,fma,f16c"
    )
}

/// The kernel for `format` on a CPU with AVX-VNNI.
pub(crate) fn kernel_vnni(format: Format) -> Run {
    crate::kernel::runs!(
        format,
        Avx2<Vnni>,
        crate::attention::lanes::Avx2,
        "avx2,fma,f16c,avxvnni"
    )
}

/// How products are summed: the part that differs between the instruction sets.
///
/// # Safety
/// As [`Simd`].
pub(crate) trait Mac {
    /// As [`Simd::EXCESS`].
    const EXCESS: u8;
    /// As [`Simd::dots`]. SAFETY: as there.
    unsafe fn dots(bits: u32, sum: __m256i, levels: &[__m256i; 4], x: *const i8) -> __m256i;
}

/// Four activations in every lane.
///
/// # Safety
/// AVX2; `x` has four more after `at`.
#[inline(always)]
unsafe fn four(x: *const i8, at: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_set1_epi32(x.cast::<i32>().add(at).read_unaligned()) }
}

/// Plain AVX2, without VNNI.
pub(crate) struct Plain;

impl Mac for Plain {
    const EXCESS: u8 = 0;

    #[inline(always)]
    unsafe fn dots(bits: u32, sum: __m256i, levels: &[__m256i; 4], x: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            // Pairs of products in 16 bits.
            let pairs = |at: usize| {
                let (q, x) = (levels[at], four(x, at));
                if bits < 8 {
                    _mm256_maddubs_epi16(q, x)
                } else {
                    // |q| times x with q's sign: 2 * 128 * 127 still fits.
                    _mm256_maddubs_epi16(_mm256_sign_epi8(q, q), _mm256_sign_epi8(x, q))
                }
            };
            let widen = |pairs: __m256i| _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            let two = |at: usize| _mm256_add_epi16(pairs(at), pairs(at + 1));
            let all = match bits {
                // 8 * 31 * 127 fits 16 bits, and 4 * 63 * 127.
                ..=5 => widen(_mm256_add_epi16(two(0), two(2))),
                6 => _mm256_add_epi32(widen(two(0)), widen(two(2))),
                _ => {
                    let two = |at: usize| _mm256_add_epi32(widen(pairs(at)), widen(pairs(at + 1)));
                    _mm256_add_epi32(two(0), two(2))
                }
            };
            _mm256_add_epi32(sum, all)
        }
    }
}

/// AVX2 with AVX-VNNI.
pub(crate) struct Vnni;

impl Mac for Vnni {
    const EXCESS: u8 = 128;

    #[inline(always)]
    unsafe fn dots(_: u32, sum: __m256i, levels: &[__m256i; 4], x: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = _mm256_dpbusd_avx_epi32(sum, levels[0], four(x, 0));
            let sum = _mm256_dpbusd_avx_epi32(sum, levels[1], four(x, 1));
            let sum = _mm256_dpbusd_avx_epi32(sum, levels[2], four(x, 2));
            _mm256_dpbusd_avx_epi32(sum, levels[3], four(x, 3))
        }
    }
}

/// Registers of 256 bits.
pub(crate) struct Avx2<M>(std::marker::PhantomData<M>);

// SAFETY, of all blocks here: the trait's promise.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument stands above for all of them"
)]
impl<M: Mac> Simd for Avx2<M> {
    type V = __m256i;
    type F = __m256;
    type Sum = __m256i;
    type Alone = Self;
    const DIRECT: usize = 0;
    const ROWS: usize = 8;
    const EXCESS: u8 = M::EXCESS;

    #[inline(always)]
    unsafe fn splat(x: u32) -> __m256i {
        unsafe { _mm256_set1_epi32(x as i32) }
    }
    #[inline(always)]
    unsafe fn and(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(a: __m256i) -> __m256i {
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(a: __m256i) -> __m256i {
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    unsafe fn sar<const N: u32>(a: __m256i) -> __m256i {
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &Starts, at: usize) -> [__m256i; 4] {
        unsafe {
            // Row `4 * i + j` is half `i` of register `j`.
            let two = |j: usize| {
                let half = |i: usize| _mm_loadu_si128(rows[4 * i + j].add(at).cast());
                _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(half(0)), half(1))
            };
            let [a, b, c, d] = [two(0), two(1), two(2), two(3)];
            let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
            let (ab2, cd2) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
            [
                _mm256_unpacklo_epi64(ab, cd),
                _mm256_unpackhi_epi64(ab, cd),
                _mm256_unpacklo_epi64(ab2, cd2),
                _mm256_unpackhi_epi64(ab2, cd2),
            ]
        }
    }
    #[inline(always)]
    unsafe fn sixteen(rows: &Starts, at: usize) -> __m256i {
        unsafe {
            let one = |row: usize| i32::from(rows[row].add(at).cast::<u16>().read_unaligned());
            _mm256_setr_epi32(one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7))
        }
    }
    #[inline(always)]
    unsafe fn eight(levels: __m256i) -> __m256i {
        unsafe {
            if M::EXCESS == 0 {
                levels
            } else {
                _mm256_xor_si256(levels, _mm256_set1_epi8(i8::MIN))
            }
        }
    }
    #[inline(always)]
    unsafe fn lookup(table: &[i8; 16], nibbles: __m256i) -> __m256i {
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            _mm256_shuffle_epi8(table, nibbles)
        }
    }

    #[inline(always)]
    unsafe fn start(x: i32) -> __m256i {
        unsafe { Self::splat(x as u32) }
    }
    #[inline(always)]
    unsafe fn total(sum: __m256i) -> __m256i {
        sum
    }
    #[inline(always)]
    unsafe fn dots(bits: u32, sum: __m256i, levels: &[__m256i; 4], x: *const i8) -> __m256i {
        unsafe { M::dots(bits, sum, levels, x) }
    }

    #[inline(always)]
    unsafe fn half(bits: __m256i) -> __m256 {
        unsafe {
            // The low halves, next to each other.
            let low = _mm256_setr_epi8(
                0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9, 12, 13, -1, -1,
                -1, -1, -1, -1, -1, -1,
            );
            let halves = _mm256_shuffle_epi8(bits, low);
            let halves = _mm256_permute4x64_epi64::<0b1000>(halves);
            _mm256_cvtph_ps(_mm256_castsi256_si128(halves))
        }
    }
    #[inline(always)]
    unsafe fn narrow(bits: u16) -> f32 {
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into()))) }
    }
    #[inline(always)]
    unsafe fn float(x: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn splat_float(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(sum: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn mul_sub(sum: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_fnmadd_ps(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        unsafe { _mm256_storeu_ps(to, x) }
    }
}
