//! ggml's blocks as they are in memory, declared here once; sizes and offsets are asserted at compile time.
//!
//! Half-precision numbers are kept as bits. Rows come from mapped files and are aligned to at least two
//! bytes.

use std::mem::offset_of;

/// Weights in a super-block of the K formats.
pub const SUPER: usize = 256;
/// Weights in a block of the simple formats.
pub const SIMPLE: usize = 32;

/// 256 weights: eight 6-bit scales and minimums, 4-bit levels; of each 64 the first 32 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q4K {
    /// Step of the scales, f16.
    pub d: u16,
    /// Step of the minimums, f16.
    pub dmin: u16,
    /// Scales and minimums, packed.
    pub scales: [u8; 12],
    /// Levels, two per byte.
    pub qs: [u8; 128],
}

/// As [`Q4K`], with a fifth bit: bit `j` of `qh[l]` belongs to weight `32 * j + l`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q5K {
    /// Step of the scales, f16.
    pub d: u16,
    /// Step of the minimums, f16.
    pub dmin: u16,
    /// Scales and minimums, packed.
    pub scales: [u8; 12],
    /// Fifth (highest) bits of the levels.
    pub qh: [u8; 32],
    /// Low four bits of the levels.
    pub qs: [u8; 128],
}

/// 256 weights: sixteen 8-bit scales, and 6-bit levels of which 32 means zero.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q6K {
    /// Low four bits: of each 128 weights the first 64 are low nibbles.
    pub ql: [u8; 128],
    /// High two bits: of each 128 weights `qh[l]` holds those of `l`, `l + 32`, `l + 64` and `l + 96`.
    pub qh: [u8; 64],
    /// Scales, one for each 16 weights.
    pub scales: [i8; 16],
    /// Step of the scales, f16.
    pub d: u16,
}

/// 32 weights of eight bits.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q8_0 {
    /// Step, f16.
    pub d: u16,
    /// Levels, one per byte.
    pub qs: [i8; 32],
}

/// 32 weights of four bits, of which 8 means zero; the first 16 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q4_0 {
    /// Step, f16.
    pub d: u16,
    /// Levels, two per byte.
    pub qs: [u8; 16],
}

/// 256 activations, which the K formats are multiplied by.
///
/// If `d` is zero, ggml does not write `bsums`: they may have any value, but never give NaN.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q8K {
    /// Step of the levels.
    pub d: f32,
    /// Levels, -127 to 127.
    pub qs: [i8; 256],
    /// Sums of sixteen levels each.
    pub bsums: [i16; 16],
}

const _: () = {
    assert!(size_of::<Q4K>() == 144 && offset_of!(Q4K, scales) == 4 && offset_of!(Q4K, qs) == 16);
    assert!(size_of::<Q5K>() == 176 && offset_of!(Q5K, qh) == 16 && offset_of!(Q5K, qs) == 48);
    assert!(size_of::<Q6K>() == 210 && offset_of!(Q6K, qh) == 128 && offset_of!(Q6K, scales) == 192);
    assert!(offset_of!(Q6K, d) == 208 && align_of::<Q6K>() == 2);
    assert!(size_of::<Q8_0>() == 34 && offset_of!(Q8_0, qs) == 2);
    assert!(size_of::<Q4_0>() == 18 && offset_of!(Q4_0, qs) == 2);
    assert!(size_of::<Q8K>() == 292 && offset_of!(Q8K, qs) == 4 && offset_of!(Q8K, bsums) == 260);
};
