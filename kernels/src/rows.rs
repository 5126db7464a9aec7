//! Computes rows in groups, and prefetches the memory that is needed next.

use crate::Product;

/// Makes a kernel of `tile`, which takes a group of rows, the column, the blocks per row, and what to
/// prefetch. The kernel is a function compiled for the instruction set, into which everything is inlined.
macro_rules! kernel {
    ($visibility:vis $name:ident, $features:literal, $tile:expr) => {
        /// # Safety
        /// As [`crate::Kernel::run`], on a CPU with the instructions.
        #[target_feature(enable = $features)]
        $visibility unsafe fn $name(product: &crate::Product) {
            // SAFETY: the caller's promise; every row and the column have `blocks` blocks.
            unsafe {
                crate::rows::groups(product, |rows, ahead| {
                    $tile(rows, product.column.cast(), product.blocks, ahead)
                });
            }
        }
    };
}
pub(crate) use kernel;

/// Calls `tile` with groups of `R` rows and stores what it returns. If fewer than `R` rows are left, the last
/// row fills the missing places.
///
/// # Safety
/// As [`crate::Kernel::run`].
#[inline(always)]
pub(crate) unsafe fn groups<const R: usize, B>(
    product: &Product,
    tile: impl Fn([*const B; R], Ahead) -> [f32; R],
) {
    let stride = product.stride;
    let mut first = 0;
    while first < product.count {
        let left = product.count - first;
        // SAFETY: every row named is below `count`.
        let rows = std::array::from_fn(|r| unsafe {
            product.rows.add((first + r.min(left - 1)) * stride).cast::<B>()
        });
        let sums = tile(rows, Ahead::new::<R>(product, first));
        for (r, sum) in sums.into_iter().enumerate().take(left) {
            // SAFETY: `out` has room for `count` numbers.
            unsafe { product.out.add(first + r).write(sum) };
        }
        first += R;
    }
}

/// What to prefetch while a group is computed: as many bytes as the group reads, in the order of their
/// addresses. The group reads several rows at once, but memory is faster in the order of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    place: *const u8,
    end: *const u8,
}

impl Ahead {
    fn new<const R: usize>(product: &Product, first: usize) -> Self {
        let row = |row: usize| product.rows.wrapping_add(row * product.stride);
        Self {
            // The last row of a group begins `R - 1` rows later, and is read from the first step on.
            place: row(first + R - 1).wrapping_add(product.ahead),
            end: if product.ahead == 0 {
                product.rows
            } else {
                row(product.count + product.following)
            },
        }
    }

    /// Prefetches the memory of `R` rows of `BYTES` bytes, and moves on.
    #[inline(always)]
    pub(crate) fn fetch<const R: usize, const BYTES: usize>(&mut self) {
        if self.place >= self.end {
            return;
        }
        let lines = (R * BYTES).div_ceil(64);
        for line in (0..lines).step_by(4) {
            prefetch(self.place.wrapping_add(line * 64), lines - line);
        }
        self.place = self.place.wrapping_add(R * BYTES);
    }
}

/// Prefetches `lines` cache lines, at most four, from `address` on. Any address is allowed.
#[inline(always)]
fn prefetch(address: *const u8, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines.min(4) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint: it reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.wrapping_add(line * 64).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::asm;
        // Offsets in the instruction save one addition each.
        macro_rules! lines {
            ($($text:literal),*) => {
                // SAFETY: as above.
                unsafe { asm!($($text),*, in(reg) address, options(nostack, preserves_flags, readonly)) }
            };
        }
        match lines {
            0 => {}
            1 => lines!("prfm pldl1keep, [{0}]"),
            2 => lines!("prfm pldl1keep, [{0}]", "prfm pldl1keep, [{0}, #64]"),
            3 => lines!(
                "prfm pldl1keep, [{0}]",
                "prfm pldl1keep, [{0}, #64]",
                "prfm pldl1keep, [{0}, #128]"
            ),
            _ => lines!(
                "prfm pldl1keep, [{0}]",
                "prfm pldl1keep, [{0}, #64]",
                "prfm pldl1keep, [{0}, #128]",
                "prfm pldl1keep, [{0}, #192]"
            ),
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (address, lines);
}
