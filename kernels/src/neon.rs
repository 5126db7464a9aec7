//! NEON with the 8-bit dot product: 16 weights in a register.
//!
//! The 8-bit matrix product (`i8mm`) multiplies two rows by two columns. With one column half of it is idle,
//! and putting two rows next to each other costs more than it saves: 7.5 instructions instead of 6 for
//! sixteen weights of two rows of q6_K, and 8 instead of 8 for 32 of q4_K. So CPUs with `i8mm` use these
//! kernels too.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::Format;
use crate::product::Run;

mod f16;
mod q4_0;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;
mod scale_min;

/// The kernel for `format`.
pub(crate) fn kernel(format: Format) -> Run {
    match format {
        Format::Q4K => q4_k::run,
        Format::Q5K => q5_k::run,
        Format::Q6K => q6_k::run,
        Format::Q8_0 => q8_0::run,
        Format::Q4_0 => q4_0::run,
        Format::F16 => f16::run,
    }
}

/// Adds four products of signed bytes to each lane of `sum`: `vdotq_s32`, which Rust has not stabilised.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
fn dot(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: one instruction on registers only, which CPUs with `dotprod` have.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// A half-precision number in every lane.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
fn widen(half: u16) -> float32x4_t {
    vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)))
}

/// The sum of each register's lanes.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
fn totals(sums: [float32x4_t; 4]) -> [f32; 4] {
    sums.map(|sum| vaddvq_f32(sum))
}

/// Splits bytes into low nibbles and high nibbles.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
fn nibbles(bytes: uint8x16_t) -> [uint8x16_t; 2] {
    [vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes)]
}

/// Adds `products` times number `$sub` of the numbers in an array of registers to `sum` with one instruction;
/// the compiler would first write the number into every lane. For unsafe blocks of functions that have NEON.
macro_rules! add_scaled {
    ($sum:expr, $products:expr, $scales:expr, $sub:expr) => {{
        const SUB: usize = $sub;
        let mut sum: int32x4_t = $sum;
        std::arch::asm!(
            "mla {0:v}.4s, {1:v}.4s, {2:v}.s[{lane}]",
            inout(vreg) sum, in(vreg) $products, in(vreg) $scales[SUB / 4], lane = const SUB % 4,
            options(pure, nomem, nostack, preserves_flags)
        );
        sum
    }};
}
use add_scaled;
