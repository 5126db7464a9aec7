//! Prefetches the memory that is needed next.

use crate::Product;

/// Bytes of a cache line.
const LINE: usize = 64;

/// What to prefetch while a band of rows is computed: as many bytes as the band reads, in the order of their
/// addresses. The band reads several rows at once, but memory is faster in the order of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// The next line.
    place: *const u8,
    /// Up to here it is time to prefetch.
    due: *const u8,
    end: *const u8,
}

impl Ahead {
    /// While a band up to row `last` is computed, which is read from the first step on; nothing from row `end` on.
    pub(crate) fn new(product: &Product, last: usize, end: usize) -> Self {
        if product.ahead == 0 {
            return Self::none();
        }
        let row = |row: usize| product.rows.wrapping_add(row * product.stride);
        Self {
            place: row(last).wrapping_add(product.ahead),
            due: row(last).wrapping_add(product.ahead),
            end: row(end),
        }
    }

    /// Prefetches nothing.
    pub(crate) fn none() -> Self {
        Self {
            place: std::ptr::null(),
            due: std::ptr::null(),
            end: std::ptr::null(),
        }
    }

    /// Prefetches as much as is read: `bytes` bytes.
    #[inline(always)]
    pub(crate) fn fetch(&mut self, bytes: usize) {
        if self.place >= self.end {
            return;
        }
        self.due = self.due.wrapping_add(bytes);
        while self.place < self.due {
            prefetch(self.place);
            self.place = self.place.wrapping_add(LINE);
        }
    }
}

/// Prefetches the cache line of `address`. Any address is allowed.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint: it reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
