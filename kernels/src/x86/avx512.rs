//! AVX-512 with VNNI: sixteen rows at a time.

use std::arch::x86_64::*;

use crate::Format;
use crate::product::Run;
use crate::tile::{Simd, Starts};

/// The kernel for `format`.
pub(crate) fn kernel(format: Format) -> Run {
    crate::kernel::runs!(
        format,
        Avx512,
        crate::attention::lanes::Avx512,
        "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
    )
}

/// AVX-512 with VNNI.
pub(crate) struct Avx512;

// SAFETY, of all blocks here: the trait's promise.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument stands above for all of them"
)]
impl Simd for Avx512 {
    type V = __m512i;
    type F = __m512;
    type Sum = __m512i;
    type Alone = Self;
    const DIRECT: usize = 0;
    const ROWS: usize = 16;
    const EXCESS: u8 = 128;

    #[inline(always)]
    unsafe fn splat(x: u32) -> __m512i {
        unsafe { _mm512_set1_epi32(x as i32) }
    }
    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(a: __m512i) -> __m512i {
        unsafe { _mm512_srli_epi32::<N>(a) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(a: __m512i) -> __m512i {
        unsafe { _mm512_slli_epi32::<N>(a) }
    }
    #[inline(always)]
    unsafe fn sar<const N: u32>(a: __m512i) -> __m512i {
        unsafe { _mm512_srai_epi32::<N>(a) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &Starts, at: usize) -> [__m512i; 4] {
        unsafe {
            // Row `4 * i + j` is part `i` of register `j`.
            let four = |j: usize| {
                let part = |i: usize| _mm_loadu_si128(rows[4 * i + j].add(at).cast());
                let all = _mm512_castsi128_si512(part(0));
                let all = _mm512_inserti32x4::<1>(all, part(1));
                let all = _mm512_inserti32x4::<2>(all, part(2));
                _mm512_inserti32x4::<3>(all, part(3))
            };
            let [a, b, c, d] = [four(0), four(1), four(2), four(3)];
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (ab2, cd2) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(ab2, cd2),
                _mm512_unpackhi_epi64(ab2, cd2),
            ]
        }
    }
    #[inline(always)]
    unsafe fn sixteen(rows: &Starts, at: usize) -> __m512i {
        unsafe {
            let one = |row: usize| i32::from(rows[row].add(at).cast::<u16>().read_unaligned());
            _mm512_setr_epi32(
                one(0),
                one(1),
                one(2),
                one(3),
                one(4),
                one(5),
                one(6),
                one(7),
                one(8),
                one(9),
                one(10),
                one(11),
                one(12),
                one(13),
                one(14),
                one(15),
            )
        }
    }
    #[inline(always)]
    unsafe fn eight(levels: __m512i) -> __m512i {
        unsafe { _mm512_xor_si512(levels, _mm512_set1_epi8(i8::MIN)) }
    }
    #[inline(always)]
    unsafe fn lookup(table: &[i8; 16], nibbles: __m512i) -> __m512i {
        unsafe {
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_shuffle_epi8(table, nibbles)
        }
    }

    #[inline(always)]
    unsafe fn start(x: i32) -> __m512i {
        unsafe { Self::splat(x as u32) }
    }
    #[inline(always)]
    unsafe fn total(sum: __m512i) -> __m512i {
        sum
    }
    #[inline(always)]
    unsafe fn dots(_: u32, sum: __m512i, levels: &[__m512i; 4], x: *const i8) -> __m512i {
        unsafe {
            let x = x.cast::<i32>();
            let four = |at: usize| _mm512_set1_epi32(x.add(at).read_unaligned());
            let sum = _mm512_dpbusd_epi32(sum, levels[0], four(0));
            let sum = _mm512_dpbusd_epi32(sum, levels[1], four(1));
            let sum = _mm512_dpbusd_epi32(sum, levels[2], four(2));
            _mm512_dpbusd_epi32(sum, levels[3], four(3))
        }
    }

    #[inline(always)]
    unsafe fn half(bits: __m512i) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits)) }
    }
    #[inline(always)]
    unsafe fn narrow(bits: u16) -> f32 {
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into()))) }
    }
    #[inline(always)]
    unsafe fn float(x: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn splat_float(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(sum: __m512, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn mul_sub(sum: __m512, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        unsafe { _mm512_storeu_ps(to, x) }
    }
}
