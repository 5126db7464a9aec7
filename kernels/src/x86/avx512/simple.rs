//! What q8_0 and q4_0 share: two blocks of a q8_0 column side by side.

use std::arch::x86_64::*;

use super::halves;
use crate::block::Q8_0;

/// Blocks a tile takes at a time: two pairs.
pub(super) const STEP: usize = 4;

/// Two blocks of activations.
pub(super) struct Pair {
    pub(super) x: __m512i,
    /// Minus the sums of four activations, times the level that stands for zero: where sums of products start.
    pub(super) start: __m512i,
    d: __m512,
    /// How far the second block lies from the first: 0 at the end of a row with an odd number, where the second
    /// counts for nothing.
    pub(super) second: usize,
}

impl Pair {
    /// The pair at `y` of which `left` blocks exist.
    ///
    /// # Safety
    /// `y` must point at `left` blocks, one at least.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) unsafe fn load(y: *const Q8_0, left: usize, zero: i8) -> Self {
        let second = usize::from(left > 1);
        // SAFETY: `second` is 1 only where that block exists.
        unsafe {
            let x = halves(
                (&raw const (*y).qs).cast::<u8>(),
                (&raw const (*y.add(second)).qs).cast::<u8>(),
            );
            let start = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(zero), x);
            Self {
                x,
                start: _mm512_sub_epi32(_mm512_setzero_si512(), start),
                d: two_steps((*y).d, (*y.add(second)).d, second),
                second,
            }
        }
    }

    /// Adds a row's pair: `q` its unsigned levels, `steps` those of its two blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
    pub(super) fn add(&self, q: __m512i, steps: [u16; 2], sum: __m256) -> __m256 {
        let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(self.start, q, self.x));
        let steps = _mm512_mul_ps(two_steps(steps[0], steps[1], self.second), self.d);
        // One block after the other: as ggml adds them.
        let sum = _mm256_fmadd_ps(
            _mm512_castps512_ps256(steps),
            _mm512_castps512_ps256(products),
            sum,
        );
        let steps = _mm512_extractf32x8_ps::<1>(steps);
        _mm256_fmadd_ps(steps, _mm512_extractf32x8_ps::<1>(products), sum)
    }
}

/// `first` in the lower half; in the upper `second`, or nothing where there is none.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn two_steps(first: u16, second: u16, exists: usize) -> __m512 {
    let second = if exists == 1 { second as i16 } else { 0 };
    _mm512_cvtph_ps(_mm256_mask_set1_epi16(
        _mm256_set1_epi16(first as i16),
        0xff00,
        second,
    ))
}
