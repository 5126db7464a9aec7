//! Rows in groups, and what to ask of the memory before it is needed.

use crate::Product;

/// Calls `tile` with groups of `R` rows and stores what it returns. Where fewer are left, the last row stands in
/// for those missing. A tile reads a row in `steps` steps of `step` bytes each, and fetches once a step.
///
/// # Safety
/// As [`crate::Kernel::run`].
#[inline(always)]
pub(crate) unsafe fn groups<const R: usize, B>(
    product: &Product,
    step: usize,
    steps: usize,
    tile: impl Fn([*const B; R], &mut Ahead) -> [f32; R],
) {
    let stride = product.stride;
    let mut ahead = Ahead::new(product, R, step, steps.max(1));
    let mut first = 0;
    while first < product.count {
        let left = product.count - first;
        // SAFETY: every row named is below `count`.
        let rows = std::array::from_fn(|r| unsafe {
            product.rows.add((first + r.min(left - 1)) * stride).cast::<B>()
        });
        let sums = tile(rows, &mut ahead);
        for (r, sum) in sums.into_iter().enumerate().take(left) {
            // SAFETY: `out` has room for `count` numbers.
            unsafe { product.out.add(first + r).write(sum) };
        }
        first += R;
    }
}

/// Where tiles will read some steps from now: in the rows of their group, or of a later one.
pub(crate) struct Ahead {
    /// In a group's first row.
    place: *const u8,
    /// Where the last row ends; the place itself where nothing is to be fetched.
    end: *const u8,
    /// Steps up to the row's end.
    left: usize,
    steps: usize,
    step: usize,
    stride: usize,
    /// From a row's last step to the first of the next group's.
    jump: usize,
}

impl Ahead {
    fn new(product: &Product, group: usize, step: usize, steps: usize) -> Self {
        let stride = product.stride;
        let early = product.ahead.div_ceil(group * step);
        let (groups, rest) = (early / steps, early % steps);
        let place = product.rows.wrapping_add(groups * group * stride + rest * step);
        let end = match early {
            0 => product.rows,
            _ => product.rows.wrapping_add(product.count * stride),
        };
        Self {
            place,
            end,
            left: steps - rest,
            steps,
            step,
            stride,
            jump: (group * stride + step).wrapping_sub(steps * step),
        }
    }

    /// Asks for `BYTES` bytes of each of `R` rows, and moves on a step.
    #[inline(always)]
    pub(crate) fn fetch<const R: usize, const BYTES: usize>(&mut self) {
        if self.place >= self.end {
            return;
        }
        for row in 0..R {
            for line in 0..BYTES.div_ceil(64) {
                prefetch(self.place.wrapping_add(row * self.stride + line * 64));
            }
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = self.steps;
            self.place = self.place.wrapping_add(self.jump);
        } else {
            self.place = self.place.wrapping_add(self.step);
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
