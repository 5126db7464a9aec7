//! Prefetches the memory that is needed next.

use crate::Product;
use crate::prefetch::{LINE, prefetch};

/// Lines that are prefetched at a time.
const LINES: usize = 4;

/// What to prefetch while a band of rows is computed: as many bytes as the band reads, in the order of their
/// addresses. The band reads several rows at once, but memory is faster in the order of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    place: *const u8,
    end: *const u8,
}

impl Ahead {
    /// While a band up to row `last` is computed, which is read from the first step on; nothing from row `end` on.
    pub(crate) fn new(product: &Product, last: usize, end: usize) -> Self {
        let row = |row: usize| product.rows.wrapping_add(row * product.stride);
        Self {
            place: row(last).wrapping_add(product.ahead),
            end: if product.ahead == 0 {
                std::ptr::null()
            } else {
                row(end)
            },
        }
    }

    /// Prefetches `bytes` bytes, and moves on.
    #[inline(always)]
    pub(crate) fn fetch(&mut self, bytes: usize) {
        if self.place < self.end {
            let mut lines = self.next(bytes, self.place);
            lines.fetch(bytes);
            lines.rest();
        }
    }

    /// The next `bytes` bytes. At the end of what is to be prefetched, those from `near` on, which are in the cache:
    /// so whether it is the end is decided here only, and not for each line.
    #[inline(always)]
    pub(crate) fn next(&mut self, bytes: usize, near: *const u8) -> Lines {
        let place = if self.place < self.end { self.place } else { near };
        self.place = self.place.wrapping_add(bytes);
        Lines {
            place,
            end: place.wrapping_add(bytes),
            due: 0,
        }
    }
}

/// Bytes to prefetch.
pub(crate) struct Lines {
    place: *const u8,
    end: *const u8,
    /// Bytes for which it is time.
    due: usize,
}

impl Lines {
    /// Prefetches as much as is read: `bytes` bytes, some lines at a time.
    #[inline(always)]
    pub(crate) fn fetch(&mut self, bytes: usize) {
        self.due += bytes;
        while self.due >= LINES * LINE {
            prefetch_lines(self.place);
            self.place = self.place.wrapping_add(LINES * LINE);
            self.due -= LINES * LINE;
        }
    }

    /// Prefetches what is left.
    #[inline(always)]
    pub(crate) fn rest(self) {
        let bytes = (self.end as usize).saturating_sub(self.place as usize);
        prefetch::<true>(self.place, bytes);
    }
}

/// Prefetches [`LINES`] lines. Any address is allowed.
#[inline(always)]
fn prefetch_lines(address: *const u8) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint: it reads nothing that the program can see and never faults. Offsets in the instructions save
    // one addition each.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{0}]",
            "prfm pldl1keep, [{0}, #64]",
            "prfm pldl1keep, [{0}, #128]",
            "prfm pldl1keep, [{0}, #192]",
            in(reg) address, options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(target_arch = "aarch64"))]
    prefetch::<true>(address, LINES * LINE);
}
