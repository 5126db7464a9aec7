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

/// 32 weights of four bits with a minimum; the first 16 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q4_1 {
    /// Step, f16.
    pub d: u16,
    /// Minimum, f16.
    pub m: u16,
    /// Levels, two per byte.
    pub qs: [u8; 16],
}

/// 32 weights of five bits, of which 16 means zero; the first 16 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q5_0 {
    /// Step, f16.
    pub d: u16,
    /// Fifth (highest) bits: bit `l` is that of weight `l`.
    pub qh: [u8; 4],
    /// Low four bits of the levels.
    pub qs: [u8; 16],
}

/// 32 weights of five bits with a minimum; the first 16 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q5_1 {
    /// Step, f16.
    pub d: u16,
    /// Minimum, f16.
    pub m: u16,
    /// Fifth (highest) bits: bit `l` is that of weight `l`.
    pub qh: [u8; 4],
    /// Low four bits of the levels.
    pub qs: [u8; 16],
}

/// 256 weights of two bits: sixteen scales (low nibbles) and minimums (high nibbles) of four bits. Bits `2 * s`
/// of `qs[32 * h + l]` belong to weight `128 * h + 32 * s + l`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q2K {
    /// Scales and minimums, one for each 16 weights.
    pub scales: [u8; 16],
    /// Levels, four per byte.
    pub qs: [u8; 64],
    /// Step of the scales, f16.
    pub d: u16,
    /// Step of the minimums, f16.
    pub dmin: u16,
}

/// 256 weights of three bits, of which 4 means zero: the low two as in [`Q2K`]; bit `4 * h + s` of `hmask[l]`
/// belongs to weight `128 * h + 32 * s + l`. Sixteen scales of six bits, of which 32 means zero.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q3K {
    /// Highest bits of the levels.
    pub hmask: [u8; 32],
    /// Low two bits of the levels.
    pub qs: [u8; 64],
    /// Scales, packed: low four bits of `j` and `j + 8` in byte `j` of the first eight, high two of `j` in byte
    /// `8 + j % 4`.
    pub scales: [u8; 12],
    /// Step of the scales, f16.
    pub d: u16,
}

/// The levels that the nibbles of the IQ4 formats choose from.
pub const IQ4_LEVELS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// 32 weights, each one of [`IQ4_LEVELS`]; the first 16 are low nibbles.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Iq4Nl {
    /// Step, f16.
    pub d: u16,
    /// Which level, two per byte.
    pub qs: [u8; 16],
}

/// 256 weights, each one of [`IQ4_LEVELS`]; of each 32 the first 16 are low nibbles. Eight scales of six bits, of
/// which 32 means zero.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Iq4Xs {
    /// Step of the scales, f16.
    pub d: u16,
    /// High two bits of the scales.
    pub scales_h: u16,
    /// Low four bits of the scales.
    pub scales_l: [u8; 4],
    /// Which level, two per byte.
    pub qs: [u8; 128],
}

/// 32 activations with their sum.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Q8_1 {
    /// Step, f16.
    pub d: u16,
    /// Step times the sum of the levels, f16.
    pub s: u16,
    /// Levels, one per byte.
    pub qs: [i8; 32],
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
    assert!(size_of::<Q4_1>() == 20 && size_of::<Q5_0>() == 22 && size_of::<Q5_1>() == 24);
    assert!(size_of::<Q2K>() == 84 && offset_of!(Q2K, d) == 80 && offset_of!(Q2K, dmin) == 82);
    assert!(size_of::<Q3K>() == 110 && offset_of!(Q3K, scales) == 96 && offset_of!(Q3K, d) == 108);
    assert!(size_of::<Iq4Nl>() == 18 && size_of::<Iq4Xs>() == 136 && offset_of!(Iq4Xs, qs) == 8);
    assert!(size_of::<Q8_1>() == 36 && offset_of!(Q8_1, qs) == 4);
    assert!(size_of::<Q8K>() == 292 && offset_of!(Q8K, qs) == 4 && offset_of!(Q8K, bsums) == 260);
};
