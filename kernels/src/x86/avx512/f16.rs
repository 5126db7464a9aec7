//! f16 by f16, summed in f32.

use std::arch::x86_64::*;

use crate::rows::{Ahead, kernel};

/// Numbers that a tile takes at a time: like ggml's, four registers that are added up at the end.
const STEP: usize = 64;

kernel!(pub(super) run, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c", tile);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn tile(rows: [*const u16; 4], column: *const u16, len: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [[_mm512_setzero_ps(); 4]; 4];
    let whole = len - len % STEP;
    for at in (0..whole).step_by(STEP) {
        ahead.fetch::<4, { STEP * 2 }>();
        // SAFETY: every row and the column have `len` numbers.
        unsafe {
            for i in 0..4 {
                let x = wide(column.add(at + 16 * i));
                for (row, sum) in rows.iter().zip(&mut sums) {
                    sum[i] = _mm512_fmadd_ps(wide(row.add(at + 16 * i)), x, sum[i]);
                }
            }
        }
    }
    let mut out = [0f32; 4];
    for (r, out) in out.iter_mut().enumerate() {
        let [a, b, c, d] = sums[r];
        let sum = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d)));
        // The remaining numbers one by one.
        *out = (whole..len).fold(f64::from(sum), |sum, at| {
            // SAFETY: as above.
            let (w, x) = unsafe { (*rows[r].add(at), *column.add(at)) };
            sum + f64::from(narrow(w) * narrow(x))
        }) as f32;
    }
    out
}

/// Loads sixteen numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
unsafe fn wide(from: *const u16) -> __m512 {
    // SAFETY: the caller promises sixteen numbers.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.cast()) })
}

/// Widens one number.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn narrow(bits: u16) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into())))
}
