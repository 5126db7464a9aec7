//! f16 by f16, summed in f32.

use std::arch::x86_64::*;

use super::total;
use crate::rows::Ahead;

/// Numbers to prefetch at a time.
const STEP: usize = 32;

/// # Safety
/// As [`crate::rows::kernel`] calls it, on a CPU with the instructions.
#[inline(always)]
pub(super) unsafe fn tile(
    rows: [*const u16; 4],
    column: *const u16,
    len: usize,
    mut ahead: Ahead,
) -> [f32; 4] {
    // SAFETY: every row and the column have `len` numbers.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); 4];
        let whole = len - len % 8;
        for at in (0..whole).step_by(8) {
            if at % STEP == 0 {
                ahead.fetch::<4, { STEP * 2 }>();
            }
            let wide = |from: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(from.cast()));
            let x = wide(column.add(at));
            for (row, sum) in rows.iter().zip(&mut sums) {
                *sum = _mm256_fmadd_ps(wide(row.add(at)), x, *sum);
            }
        }
        if whole < len {
            let wide = |from: *const u16| {
                let mut eight = [0u16; 8];
                from.copy_to_nonoverlapping(eight.as_mut_ptr(), len - whole);
                _mm256_cvtph_ps(_mm_loadu_si128(eight.as_ptr().cast()))
            };
            let x = wide(column.add(whole));
            for (row, sum) in rows.iter().zip(&mut sums) {
                *sum = _mm256_fmadd_ps(wide(row.add(whole)), x, *sum);
            }
        }
        [total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])]
    }
}
