//! Rows in groups, and what to ask of the memory before it is needed.

use crate::Product;

/// Calls `tile` with groups of `R` rows and stores what it returns. Where fewer are left, the last row stands in
/// for those missing. A tile reads `step` bytes of each row at a time.
///
/// # Safety
/// As [`crate::Kernel::run`].
#[inline(always)]
pub(crate) unsafe fn groups<const R: usize, B>(
    product: &Product,
    step: usize,
    tile: impl Fn([*const B; R], Ahead) -> [f32; R],
) {
    let row_bytes = product.stride;
    let mut first = 0;
    while first < product.count {
        let left = product.count - first;
        // SAFETY: every row named is below `count`.
        let rows = std::array::from_fn(|r| unsafe {
            product
                .rows
                .add((first + r.min(left - 1)) * row_bytes)
                .cast::<B>()
        });
        let ahead = Ahead::new(
            product.ahead.div_ceil(R * step),
            step,
            R * row_bytes,
            left * row_bytes,
        );
        let sums = tile(rows, ahead);
        for (r, sum) in sums.into_iter().enumerate().take(left) {
            // SAFETY: `out` has room for `count` numbers.
            unsafe { product.out.add(first + r).write(sum) };
        }
        first += R;
    }
}

/// Where tiles will read some steps from now, in their own rows or in later ones.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    steps: usize,
    step: usize,
    /// Bytes from a group of rows to the next.
    group: usize,
    /// Bytes up to the last row's end.
    end: usize,
}

impl Ahead {
    fn new(steps: usize, step: usize, group: usize, end: usize) -> Self {
        Self {
            steps,
            step,
            group,
            end,
        }
    }

    /// Asks for the `BYTES` bytes of each of `rows` whose turn comes `steps` steps after step `at` of `total`.
    #[inline(always)]
    pub(crate) fn fetch<const R: usize, const BYTES: usize, B>(
        self,
        rows: &[*const B; R],
        at: usize,
        total: usize,
    ) {
        if self.steps == 0 {
            return;
        }
        let (mut groups, mut then) = (0, at + self.steps);
        while then >= total {
            (groups, then) = (groups + 1, then - total);
        }
        let offset = groups * self.group + then * self.step;
        if offset >= self.end {
            return;
        }
        for row in rows {
            for line in 0..BYTES.div_ceil(64) {
                prefetch(row.cast::<u8>().wrapping_add(offset + line * 64));
            }
        }
    }
}

/// Asks for the cache line at `address`, which may be any.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint: it reads nothing the program can see and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
