//! Shared by q4_K and q5_K: the sixteen bytes of steps, scales and minimums at the start of a block.

use std::arch::x86_64::*;

use super::{load, widen};
use crate::block::Q8K;

/// The sums of 32 activations each, repeated in both halves, and the step.
#[derive(Clone, Copy)]
pub(super) struct Column {
    sums: __m256i,
    d: __m256,
}

impl Column {
    /// # Safety
    /// `y` must point at a block; AVX2.
    #[inline(always)]
    pub(super) unsafe fn load(y: *const Q8K) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = (&raw const (*y).bsums).cast::<__m128i>();
            let sums = _mm_hadd_epi16(_mm_loadu_si128(sums), _mm_loadu_si128(sums.add(1)));
            Self {
                sums: _mm256_broadcastsi128_si256(sums),
                d: _mm256_set1_ps((*y).d),
            }
        }
    }
}

/// The headers of one block in each of two rows; each row has half a register.
#[derive(Clone, Copy)]
pub(super) struct Headers {
    /// `[scales 0-3, minimums 0-3, scales 4-7, minimums 4-7]`.
    bytes: __m256i,
    d: [u16; 2],
    dmin: [u16; 2],
}

impl Headers {
    /// # Safety
    /// Each pointer must have sixteen readable bytes; AVX2.
    #[inline(always)]
    pub(super) unsafe fn load(blocks: [*const u16; 2]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let raw = _mm256_inserti128_si256::<1>(
                _mm256_castsi128_si256(_mm_loadu_si128(blocks[0].cast())),
                _mm_loadu_si128(blocks[1].cast()),
            );
            // Six bits each. Words 1 and 2 hold the first four scales and minimums whole. Their two upper
            // bits belong to the last four, whose other bits are the nibbles of word 3.
            let first = _mm256_and_si256(raw, _mm256_set1_epi8(63));
            let upper = _mm256_and_si256(_mm256_srli_epi16::<2>(raw), _mm256_set1_epi8(48));
            let lower = _mm256_srlv_epi32(
                _mm256_shuffle_epi32::<0xff>(raw),
                _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4),
            );
            let lower = _mm256_and_si256(lower, _mm256_set1_epi8(15));
            let last = _mm256_or_si256(_mm256_shuffle_epi32::<0x99>(upper), lower);
            Self {
                bytes: _mm256_blend_epi32::<0xcc>(_mm256_shuffle_epi32::<0x99>(first), last),
                d: [blocks[0].read_unaligned(), blocks[1].read_unaligned()],
                dmin: [
                    blocks[0].add(1).read_unaligned(),
                    blocks[1].add(1).read_unaligned(),
                ],
            }
        }
    }

    /// Both rows' scales, repeated in both halves.
    ///
    /// # Safety
    /// AVX2.
    #[inline(always)]
    pub(super) unsafe fn scales(&self) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                _mm256_permute2x128_si256::<0x00>(self.bytes, self.bytes),
                _mm256_permute2x128_si256::<0x11>(self.bytes, self.bytes),
            ]
        }
    }

    /// Row `r`'s step times the column's, in every lane.
    ///
    /// # Safety
    /// AVX2.
    #[inline(always)]
    pub(super) unsafe fn step(&self, r: usize, column: Column) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_mul_ps(widen(self.d[r]), column.d) }
    }

    /// The minimums times the activations, without their steps: four lanes per row.
    ///
    /// # Safety
    /// AVX2.
    #[inline(always)]
    pub(super) unsafe fn minimums(&self, column: Column) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let order = _mm_setr_epi8(4, -1, 5, -1, 6, -1, 7, -1, 12, -1, 13, -1, 14, -1, 15, -1);
            let minimums = _mm256_shuffle_epi8(self.bytes, _mm256_broadcastsi128_si256(order));
            _mm256_madd_epi16(minimums, column.sums)
        }
    }

    /// Adds `minimums` times their steps to `sums`.
    ///
    /// # Safety
    /// AVX2 and FMA.
    #[inline(always)]
    pub(super) unsafe fn add_minimums(&self, minimums: __m256i, column: Column, sums: __m256) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe {
            let steps = _mm256_blend_ps::<0xf0>(widen(self.dmin[0]), widen(self.dmin[1]));
            _mm256_fmadd_ps(_mm256_mul_ps(steps, column.d), _mm256_cvtepi32_ps(minimums), sums)
        }
    }
}

/// The scale of sub-block `sub` in every 16 bits, from one row's [`Headers::scales`].
///
/// # Safety
/// AVX2.
#[inline(always)]
pub(super) unsafe fn scale(row: __m256i, sub: usize) -> __m256i {
    // The scale's byte, then a zero.
    let byte = (if sub < 4 { sub } else { sub + 4 }) as i16;
    // SAFETY: the caller's promise.
    unsafe { _mm256_shuffle_epi8(row, _mm256_set1_epi16(i16::MIN | byte)) }
}

/// Stores the eight lanes of a register.
///
/// # Safety
/// AVX2.
#[inline(always)]
pub(super) unsafe fn stored(register: __m256) -> [f32; 8] {
    let mut lanes = [0f32; 8];
    // SAFETY: the array has room for eight numbers.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), register) };
    lanes
}

/// The activations of sub-block `sub`.
///
/// # Safety
/// `y` must point at a block; AVX2.
#[inline(always)]
pub(super) unsafe fn activations(y: *const Q8K, sub: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { load((&raw const (*y).qs).cast::<__m256i>().add(sub)) }
}
