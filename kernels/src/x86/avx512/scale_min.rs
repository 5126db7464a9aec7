//! Shared by q4_K and q5_K: the sixteen bytes of steps, scales and minimums at the start of a block.

use std::arch::x86_64::*;

use super::{halves, total, widen};
use crate::block::Q8K;

/// A super-block's activations, in the order in which the levels of q4_K and q5_K are unpacked from their
/// bytes: of each 128, first and third quarter, then second and fourth.
pub(super) struct Column {
    pub(super) x: [__m512i; 4],
    sums: __m512i,
    d: __m512,
}

impl Column {
    /// # Safety
    /// `y` must point at a block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) unsafe fn load(y: *const Q8K) -> Self {
        // SAFETY: every address is in the block.
        unsafe {
            let x = (&raw const (*y).qs).cast::<u8>();
            let sums = (&raw const (*y).bsums).cast::<__m128i>();
            let sums = _mm_hadd_epi16(_mm_loadu_si128(sums), _mm_loadu_si128(sums.add(1)));
            Self {
                x: [
                    halves(x, x.add(64)),
                    halves(x.add(32), x.add(96)),
                    halves(x.add(128), x.add(192)),
                    halves(x.add(160), x.add(224)),
                ],
                sums: _mm512_broadcast_i32x4(sums),
                d: _mm512_set1_ps((*y).d),
            }
        }
    }
}

/// The headers of one block in each of four rows; each row has a lane of 128 bits.
pub(super) struct Headers {
    /// `[d, dmin, 12 packed bytes]`, as stored.
    raw: __m512i,
    /// `[scales 0-3, minimums 0-3, scales 4-7, minimums 4-7]`.
    bytes: __m512i,
    d: [u16; 4],
}

impl Headers {
    /// # Safety
    /// Each pointer must have sixteen readable bytes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) unsafe fn load(blocks: [*const u8; 4]) -> Self {
        // SAFETY: the caller's promise.
        let (raw, d) = unsafe {
            let lane = |r: usize| _mm_loadu_si128(blocks[r].cast());
            let raw = _mm512_castsi128_si512(lane(0));
            let raw = _mm512_inserti32x4::<1>(raw, lane(1));
            let raw = _mm512_inserti32x4::<2>(raw, lane(2));
            let raw = _mm512_inserti32x4::<3>(raw, lane(3));
            (raw, blocks.map(|block| block.cast::<u16>().read_unaligned()))
        };
        // Six bits each. Words 1 and 2 hold the first four scales and minimums whole. Their two upper bits
        // belong to the last four, whose other bits are the nibbles of word 3.
        let first = _mm512_and_si512(raw, _mm512_set1_epi8(63));
        let upper = _mm512_and_si512(_mm512_srli_epi16::<2>(raw), _mm512_set1_epi8(48));
        let lower = _mm512_shuffle_epi32::<0xff>(raw);
        let lower = _mm512_and_si512(
            _mm512_srlv_epi32(lower, _mm512_set4_epi32(4, 0, 4, 0)),
            _mm512_set1_epi8(15),
        );
        let last = _mm512_or_si512(_mm512_shuffle_epi32::<0x99>(upper), lower);
        let bytes = _mm512_mask_blend_epi32(0xcccc, _mm512_shuffle_epi32::<0x99>(first), last);
        Self { raw, bytes, d }
    }

    /// Row `R`'s scales as 16-bit numbers, for the levels in the order of [`Column`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) fn scales<const R: i32>(&self) -> [__m512i; 4] {
        let row = match R {
            0 => _mm512_shuffle_i32x4::<0x00>(self.bytes, self.bytes),
            1 => _mm512_shuffle_i32x4::<0x55>(self.bytes, self.bytes),
            2 => _mm512_shuffle_i32x4::<0xaa>(self.bytes, self.bytes),
            _ => _mm512_shuffle_i32x4::<0xff>(self.bytes, self.bytes),
        };
        // The scale's byte, then a zero, in every 16 bits.
        let pick = |low: i16, high: i16| {
            let zero = i16::MIN;
            let order =
                _mm512_inserti64x4::<1>(_mm512_set1_epi16(zero | low), _mm256_set1_epi16(zero | high));
            _mm512_shuffle_epi8(row, order)
        };
        [pick(0, 2), pick(1, 3), pick(8, 10), pick(9, 11)]
    }

    /// Row `r`'s step times the column's, in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) fn step(&self, r: usize, column: &Column) -> __m256 {
        _mm256_mul_ps(widen(self.d[r]), _mm512_castps512_ps256(column.d))
    }

    /// The minimums times the activations, without their steps: four lanes per row.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) fn minimums(&self, column: &Column) -> __m512i {
        let order = _mm512_broadcast_i32x4(_mm_setr_epi8(
            4, -1, 5, -1, 6, -1, 7, -1, 12, -1, 13, -1, 14, -1, 15, -1,
        ));
        _mm512_madd_epi16(_mm512_shuffle_epi8(self.bytes, order), column.sums)
    }

    /// Adds `minimums` times their steps to `sums`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) fn add_minimums(&self, minimums: __m512i, column: &Column, sums: __m512) -> __m512 {
        // `dmin` is the second 16-bit number of a lane.
        let order = _mm512_castsi256_si512(_mm256_setr_epi16(
            1, 1, 1, 1, 9, 9, 9, 9, 17, 17, 17, 17, 25, 25, 25, 25,
        ));
        let steps = _mm512_castsi512_si256(_mm512_permutexvar_epi16(order, self.raw));
        let steps = _mm512_mul_ps(_mm512_cvtph_ps(steps), column.d);
        _mm512_fmadd_ps(steps, _mm512_cvtepi32_ps(minimums), sums)
    }
}

/// Subtracts the minimums' part from the rows' sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn finish(sums: [__m256; 4], minimums: [f32; 4]) -> [f32; 4] {
    [
        total(sums[0]) - minimums[0],
        total(sums[1]) - minimums[1],
        total(sums[2]) - minimums[2],
        total(sums[3]) - minimums[3],
    ]
}

/// Stores the sixteen lanes of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn stored(register: __m512) -> [f32; 16] {
    let mut lanes = [0f32; 16];
    // SAFETY: the array has room for sixteen numbers.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), register) };
    lanes
}
