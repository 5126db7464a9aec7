//! Asks the memory for cache lines that are needed soon.

/// Bytes of a cache line, on every CPU that the kernels are written for.
pub(crate) const LINE: usize = 64;

/// Asks for every line of `bytes` bytes from `address` on. Any address is allowed. If `NEAR`, they are needed so soon that
/// they go to the first cache, where that is known to help: on ARM.
#[inline(always)]
pub(crate) fn prefetch<const NEAR: bool>(address: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE) {
        line::<NEAR>(address.wrapping_add(at));
    }
}

#[inline(always)]
fn line<const NEAR: bool>(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint: it reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        use std::arch::asm;
        if NEAR {
            asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
        } else {
            asm!("prfm pldl2keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
