//! Blocks of each format, filled with noise, and their weights by the definitions of the formats.

use std::mem::offset_of;

use super::{Kind, Noise};
use crate::block::{
    IQ4_LEVELS, Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8_1, Q8K,
};
use crate::{Column, Format};

/// A weight, and the sum of the sizes of the terms it is made of.
pub(super) struct Weight {
    pub(super) value: f64,
    pub(super) size: f64,
}

pub(super) fn weights(format: Format, kind: Kind, block: &mut [u8], noise: &mut Noise) {
    for part in block.chunks_mut(8) {
        let bits = if kind == Kind::Full {
            u64::MAX
        } else {
            noise.bits()
        };
        part.copy_from_slice(&bits.to_ne_bytes()[..part.len()]);
    }
    if kind == Kind::Full && matches!(format, Format::Q8_0) {
        block[2..].fill(i8::MIN as u8);
    }
    if kind == Kind::Full && matches!(format, Format::Q6K) {
        block[offset_of!(Q6K, scales)..offset_of!(Q6K, d)].fill(i8::MIN as u8);
    }
    for at in steps(format) {
        block[at..at + 2].copy_from_slice(&kind.half(noise.bits()).to_ne_bytes());
    }
}

/// Offsets of a block's half-precision numbers.
fn steps(format: Format) -> Vec<usize> {
    match format {
        Format::Q4K | Format::Q5K => vec![offset_of!(Q4K, d), offset_of!(Q4K, dmin)],
        Format::Q2K => vec![offset_of!(Q2K, d), offset_of!(Q2K, dmin)],
        Format::Q6K => vec![offset_of!(Q6K, d)],
        Format::Q3K => vec![offset_of!(Q3K, d)],
        Format::Q4_1 | Format::Q5_1 => vec![offset_of!(Q4_1, d), offset_of!(Q4_1, m)],
        Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Iq4Nl | Format::Iq4Xs | Format::F16 => vec![0],
    }
}

pub(super) fn activations(format: Format, kind: Kind, block: &mut [u8], noise: &mut Noise) {
    let mut level = || match kind {
        Kind::Full => 127,
        _ => (noise.bits() % 255) as i16 - 127,
    };
    match format.column() {
        Column::Q8K => {
            let levels: [i16; 256] = std::array::from_fn(|_| level());
            for (byte, level) in block[offset_of!(Q8K, qs)..].iter_mut().zip(levels) {
                *byte = level as i8 as u8;
            }
            let sums = block[offset_of!(Q8K, bsums)..].chunks_mut(2);
            for (sum, levels) in sums.zip(levels.chunks(16)) {
                sum.copy_from_slice(&levels.iter().sum::<i16>().to_ne_bytes());
            }
            block[..4].copy_from_slice(&kind.single(noise.bits()).to_ne_bytes());
        }
        Column::Q8_0 => {
            block[2..].fill_with(|| level() as i8 as u8);
            block[..2].copy_from_slice(&kind.half(noise.bits()).to_ne_bytes());
        }
        Column::Q8_1 => {
            block[offset_of!(Q8_1, qs)..].fill_with(|| level() as i8 as u8);
            block[..2].copy_from_slice(&kind.half(noise.bits()).to_ne_bytes());
            // Any number: a kernel takes the stored sum, whether it is the levels' or not.
            block[2..4].copy_from_slice(&kind.half(noise.bits()).to_ne_bytes());
        }
        Column::F16 => block.copy_from_slice(&kind.half(noise.bits()).to_ne_bytes()),
    }
}

fn half(block: &[u8], at: usize) -> f64 {
    let bits = u16::from_ne_bytes([block[at], block[at + 1]]);
    let (exponent, mantissa) = (i64::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    // 2 to the power of `n`.
    let power = |n: i64| f64::from_bits(((1023 + n) as u64) << 52);
    let size = match exponent {
        0 => mantissa * power(-24),
        _ => (1024.0 + mantissa) * power(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

pub(super) fn read_activations(format: Format, block: &[u8]) -> Vec<f64> {
    let signed = |step: f64, bytes: &[u8]| bytes.iter().map(|b| step * f64::from(*b as i8)).collect();
    match format.column() {
        Column::Q8K => {
            let d = f32::from_ne_bytes([block[0], block[1], block[2], block[3]]);
            signed(d.into(), &block[offset_of!(Q8K, qs)..offset_of!(Q8K, bsums)])
        }
        Column::Q8_0 => signed(half(block, 0), &block[2..]),
        Column::Q8_1 => signed(half(block, 0), &block[offset_of!(Q8_1, qs)..]),
        Column::F16 => vec![half(block, 0)],
    }
}

/// A block's weights, computed from the definitions of the formats.
pub(super) fn read_weights(format: Format, block: &[u8]) -> Vec<Weight> {
    let centred = |step: f64, level: i32, zero: i32| Weight {
        value: step * f64::from(level - zero),
        size: step.abs() * f64::from(level.abs() + zero),
    };
    match format {
        Format::Q4K => (0..256)
            .map(|i| {
                let byte = block[offset_of!(Q4K, qs) + i / 64 * 32 + i % 32];
                scaled(block, i / 32, nibble(byte, i / 32 % 2))
            })
            .collect(),
        Format::Q5K => (0..256)
            .map(|i| {
                let byte = block[offset_of!(Q5K, qs) + i / 64 * 32 + i % 32];
                let high = block[offset_of!(Q5K, qh) + i % 32] >> (i / 32) & 1;
                scaled(block, i / 32, nibble(byte, i / 32 % 2) | high << 4)
            })
            .collect(),
        Format::Q6K => (0..256)
            .map(|i| {
                let (part, l) = (i / 128, i % 128);
                let low = nibble(block[part * 64 + l % 64], l / 64);
                let high = block[offset_of!(Q6K, qh) + part * 32 + l % 32] >> (2 * (l / 32)) & 3;
                let scale = f64::from(block[offset_of!(Q6K, scales) + i / 16] as i8);
                centred(
                    half(block, offset_of!(Q6K, d)) * scale,
                    (low | high << 4).into(),
                    32,
                )
            })
            .collect(),
        Format::Q8_0 => block[offset_of!(Q8_0, qs)..]
            .iter()
            .map(|&q| shifted(half(block, 0), q as i8))
            .collect(),
        Format::Q4_0 => (0..32)
            .map(|i| {
                centred(
                    half(block, 0),
                    nibble(block[offset_of!(Q4_0, qs) + i % 16], i / 16).into(),
                    8,
                )
            })
            .collect(),
        Format::Q4_1 => (0..32)
            .map(|i| {
                let level = nibble(block[offset_of!(Q4_1, qs) + i % 16], i / 16);
                centred(half(block, 0), level.into(), 0)
            })
            .collect(),
        Format::Q5_0 => (0..32)
            .map(|i| {
                let level = fifth(block, offset_of!(Q5_0, qh), i);
                centred(half(block, 0), level, 16)
            })
            .collect(),
        Format::Q5_1 => (0..32)
            .map(|i| {
                let level = fifth(block, offset_of!(Q5_1, qh), i);
                centred(half(block, 0), level, 0)
            })
            .collect(),
        Format::Q2K => (0..256)
            .map(|i| {
                let (part, l) = (i / 128, i % 128);
                let level = block[offset_of!(Q2K, qs) + 32 * part + l % 32] >> (2 * (l / 32)) & 3;
                let packed = block[i / 16];
                let positive = half(block, offset_of!(Q2K, d)) * f64::from(packed & 15) * f64::from(level);
                let negative = half(block, offset_of!(Q2K, dmin)) * f64::from(packed >> 4);
                difference(positive, negative)
            })
            .collect(),
        Format::Q3K => (0..256)
            .map(|i| {
                let (part, l, at) = (i / 128, i % 128, i / 16);
                let low = block[offset_of!(Q3K, qs) + 32 * part + l % 32] >> (2 * (l / 32)) & 3;
                let high = block[l % 32] >> (4 * part + l / 32) & 1;
                let packed = &block[offset_of!(Q3K, scales)..];
                let scale = nibble(packed[at % 8], at / 8) | (packed[8 + at % 4] >> (2 * (at / 4)) & 3) << 4;
                let step = half(block, offset_of!(Q3K, d)) * (f64::from(scale) - 32.0);
                centred(step, (low | high << 2).into(), 4)
            })
            .collect(),
        Format::Iq4Nl => (0..32)
            .map(|i| {
                let nibble = nibble(block[offset_of!(Iq4Nl, qs) + i % 16], i / 16);
                shifted(half(block, 0), IQ4_LEVELS[usize::from(nibble)])
            })
            .collect(),
        Format::Iq4Xs => (0..256)
            .map(|i| {
                let (sub, l) = (i / 32, i % 32);
                let nibble_of = |at: usize, high| nibble(block[at], high);
                let low = nibble_of(offset_of!(Iq4Xs, scales_l) + sub / 2, sub % 2);
                let upper = u16::from_ne_bytes([block[2], block[3]]) >> (2 * sub) & 3;
                let scale = f64::from(low) + f64::from(upper << 4) - 32.0;
                let level = nibble_of(offset_of!(Iq4Xs, qs) + 16 * sub + l % 16, l / 16);
                shifted(half(block, 0) * scale, IQ4_LEVELS[usize::from(level)])
            })
            .collect(),
        Format::F16 => vec![Weight {
            value: half(block, 0),
            size: half(block, 0).abs(),
        }],
    }
}

/// A weight of eight bits. Some kernels shift the levels to make them unsigned.
fn shifted(step: f64, level: i8) -> Weight {
    let value = step * f64::from(level);
    Weight {
        value,
        size: value.abs() + 128.0 * step.abs(),
    }
}

/// Level `at` of q5_0 or q5_1, whose levels follow four bytes of fifth bits.
fn fifth(block: &[u8], bits: usize, at: usize) -> i32 {
    let low = nibble(block[bits + 4 + at % 16], at / 16);
    i32::from(low | (block[bits + at / 8] >> (at % 8) & 1) << 4)
}

fn difference(positive: f64, negative: f64) -> Weight {
    Weight {
        value: positive - negative,
        size: positive.abs() + negative.abs(),
    }
}

/// What a block adds to a product for the sum that the column's block has: its minimum.
pub(super) fn minimum(format: Format, block: &[u8], column: &[u8]) -> f64 {
    match format {
        Format::Q4_1 | Format::Q5_1 => half(block, 2) * half(column, 2),
        _ => 0.0,
    }
}

fn nibble(byte: u8, high: usize) -> u8 {
    byte >> (4 * high) & 15
}

/// A weight of q4_K or q5_K: scale times level minus minimum.
fn scaled(block: &[u8], sub: usize, level: u8) -> Weight {
    let packed = &block[offset_of!(Q4K, scales)..offset_of!(Q4K, qs)];
    let (scale, min) = if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        let high = |byte: u8| (byte >> 6) << 4;
        (
            packed[sub + 4] & 15 | high(packed[sub - 4]),
            packed[sub + 4] >> 4 | high(packed[sub]),
        )
    };
    let positive = half(block, offset_of!(Q4K, d)) * f64::from(scale) * f64::from(level);
    let negative = half(block, offset_of!(Q4K, dmin)) * f64::from(min);
    Weight {
        value: positive - negative,
        size: positive.abs() + negative.abs(),
    }
}
