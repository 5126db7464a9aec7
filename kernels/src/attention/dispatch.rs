//! Attention, compiled for each instruction set.

use super::{Attention, Run, block, lanes};
use crate::Isa;

#[cfg(target_arch = "x86_64")]
pub(super) fn run(isa: Isa) -> Run {
    /// # Safety
    /// As [`crate::AttentionKernel::run`], with AVX-512.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
    unsafe fn avx512(a: &Attention) {
        // SAFETY: the caller's promise.
        unsafe { block::run::<lanes::Avx512>(a) }
    }
    /// # Safety
    /// As [`crate::AttentionKernel::run`], with AVX2.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2(a: &Attention) {
        // SAFETY: the caller's promise.
        unsafe { block::run::<lanes::Avx2>(a) }
    }
    if isa == Isa::Avx512Vnni { avx512 } else { avx2 }
}

#[cfg(target_arch = "aarch64")]
pub(super) fn run(_: Isa) -> Run {
    /// # Safety
    /// As [`crate::AttentionKernel::run`], with NEON.
    #[target_feature(enable = "neon,dotprod,fp16")]
    unsafe fn neon(a: &Attention) {
        // SAFETY: the caller's promise.
        unsafe { block::run::<lanes::Neon>(a) }
    }
    neon
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn run(_: Isa) -> Run {
    unreachable!("no instruction set is available here")
}
