//! Repeatable products to check kernels with, and their values in f64.

pub mod attention;

use std::mem::offset_of;

use crate::block::{Q4_0, Q4K, Q5K, Q6K, Q8_0, Q8K};
use crate::{Format, Kernel, Product};

/// The kind of numbers that a case is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Steps as in models, random levels.
    Usual,
    /// The largest steps, random levels.
    Large,
    /// Steps too small for normal numbers, random levels.
    Small,
    /// The largest levels, scales, minimums and activations, all with the same sign.
    Full,
    /// All steps are zero.
    Zero,
}

impl Kind {
    /// Every kind of case.
    pub const ALL: [Kind; 5] = [Kind::Usual, Kind::Large, Kind::Small, Kind::Full, Kind::Zero];

    /// Bits of a half-precision step.
    fn half(self, noise: u64) -> u16 {
        let (sign, mantissa) = ((noise >> 16) as u16 & 0x8000, noise as u16 & 0x3ff);
        match self {
            Kind::Usual => sign | (5 + (noise >> 32) as u16 % 6) << 10 | mantissa,
            Kind::Large => sign | 30 << 10 | mantissa,
            Kind::Small => sign | mantissa,
            Kind::Full => 10 << 10 | mantissa,
            Kind::Zero => 0,
        }
    }

    /// Step of a block of activations in the K formats, which is f32.
    fn single(self, noise: u64) -> f32 {
        let unit = 1.0 + (noise >> 40) as f32 / (1u64 << 24) as f32;
        match self {
            Kind::Usual | Kind::Full => unit / 64.0,
            Kind::Large => unit * 1e18,
            Kind::Small => unit * 1e-30,
            Kind::Zero => 0.0,
        }
    }
}

/// Rows and a column, which know their exact products.
#[derive(Debug, Clone)]
pub struct Case {
    format: Format,
    count: usize,
    blocks: usize,
    // Words, so that blocks are aligned.
    rows: Vec<u64>,
    column: Vec<u64>,
}

/// The value of a product in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// The value itself.
    pub value: f64,
    /// How far a sum in f32, in any order, may be from it.
    pub bound: f64,
}

impl Case {
    /// `count` rows of `blocks` blocks and a column. The same `seed` gives the same case.
    pub fn new(format: Format, kind: Kind, count: usize, blocks: usize, seed: u64) -> Self {
        let mut noise = Noise(seed | 1);
        let rows = stored(count * blocks, format.block_bytes(), |block| {
            weights(format, kind, block, &mut noise)
        });
        let column = stored(blocks, format.column_block_bytes(), |block| {
            activations(format, kind, block, &mut noise)
        });
        Self {
            format,
            count,
            blocks,
            rows,
            column,
        }
    }

    /// The case as a kernel takes it.
    ///
    /// # Panics
    /// If `out` has no room for a result of each row.
    pub fn product(&self, out: &mut [f32], ahead: usize) -> Product {
        assert!(out.len() >= self.count, "room for {} rows", self.count);
        Product {
            rows: self.rows.as_ptr().cast(),
            stride: self.blocks * self.format.block_bytes(),
            count: self.count,
            column: self.column.as_ptr().cast(),
            blocks: self.blocks,
            out: out.as_mut_ptr(),
            ahead,
            following: 0,
        }
    }

    /// The results that `kernel` computes, one per row.
    ///
    /// # Panics
    /// If the kernel is for another format.
    pub fn run(&self, kernel: &Kernel, ahead: usize) -> Vec<f32> {
        assert_eq!(kernel.format(), self.format);
        let mut out = vec![f32::NAN; self.count];
        // SAFETY: the product names this case's own rows and column, whole and aligned, and `out` has room.
        unsafe { kernel.run(&self.product(&mut out, ahead)) };
        out
    }

    /// Reads every weight and only combines them with XOR, to measure the speed of the memory.
    pub fn read(&self) -> u64 {
        crate::read(&self.rows)
    }

    /// The exact product of each row.
    pub fn exact(&self) -> Vec<Exact> {
        let x: Vec<f64> = blocks(&self.column, self.format.column_block_bytes(), self.blocks)
            .flat_map(|block| read_activations(self.format, block))
            .collect();
        let bytes = self.format.block_bytes();
        let all: Vec<&[u8]> = blocks(&self.rows, bytes, self.count * self.blocks).collect();
        let row = |row: &[&[u8]]| {
            let (mut value, mut size) = (0.0, 0.0);
            for (w, x) in row
                .iter()
                .flat_map(|block| read_weights(self.format, block))
                .zip(&x)
            {
                value += w.value * x;
                size += w.size * x.abs();
            }
            // One rounding per block and some at its end; steps below the normal numbers lose whole bits.
            let roundings = (self.blocks + 16) as f64;
            let tiny = f64::from(f32::from_bits(1)) * 1e6 * self.blocks as f64;
            Exact {
                value,
                bound: size * roundings * f64::from(f32::EPSILON) / 2.0 + tiny,
            }
        };
        all.chunks(self.blocks).map(row).collect()
    }
}

/// A weight, and the sum of the sizes of the terms it is made of.
struct Weight {
    value: f64,
    size: f64,
}

/// Repeatable noise: xorshift64*. Written out, because the program checks its kernels with these cases when it
/// starts: a crate of random numbers would be a dependency of every build, for eight lines.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in -1..1.
    fn signed_unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// `count` blocks of `bytes` bytes each, filled by `fill`.
fn stored(count: usize, bytes: usize, mut fill: impl FnMut(&mut [u8])) -> Vec<u64> {
    let mut flat = vec![0u8; (count * bytes).next_multiple_of(8)];
    flat[..count * bytes].chunks_mut(bytes).for_each(&mut fill);
    flat.as_chunks()
        .0
        .iter()
        .map(|eight| u64::from_ne_bytes(*eight))
        .collect()
}

fn blocks(words: &[u64], bytes: usize, count: usize) -> impl Iterator<Item = &[u8]> {
    // SAFETY: any byte of a word is a byte.
    let (_, flat, _) = unsafe { words.align_to::<u8>() };
    flat[..count * bytes].chunks(bytes)
}

fn weights(format: Format, kind: Kind, block: &mut [u8], noise: &mut Noise) {
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
        Format::Q6K => vec![offset_of!(Q6K, d)],
        Format::Q8_0 | Format::Q4_0 | Format::F16 => vec![0],
    }
}

fn activations(format: Format, kind: Kind, block: &mut [u8], noise: &mut Noise) {
    let mut level = || match kind {
        Kind::Full => 127,
        _ => (noise.bits() % 255) as i16 - 127,
    };
    match format {
        Format::Q4K | Format::Q5K | Format::Q6K => {
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
        Format::Q8_0 | Format::Q4_0 => {
            block[2..].fill_with(|| level() as i8 as u8);
            block[..2].copy_from_slice(&kind.half(noise.bits()).to_ne_bytes());
        }
        Format::F16 => block.copy_from_slice(&kind.half(noise.bits()).to_ne_bytes()),
    }
}

fn half(block: &[u8], at: usize) -> f64 {
    let bits = u16::from_ne_bytes([block[at], block[at + 1]]);
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

fn read_activations(format: Format, block: &[u8]) -> Vec<f64> {
    let signed = |step: f64, bytes: &[u8]| bytes.iter().map(|b| step * f64::from(*b as i8)).collect();
    match format {
        Format::Q4K | Format::Q5K | Format::Q6K => {
            let d = f32::from_ne_bytes([block[0], block[1], block[2], block[3]]);
            signed(d.into(), &block[offset_of!(Q8K, qs)..offset_of!(Q8K, bsums)])
        }
        Format::Q8_0 | Format::Q4_0 => signed(half(block, 0), &block[2..]),
        Format::F16 => vec![half(block, 0)],
    }
}

/// A block's weights, computed from the definitions of the formats.
fn read_weights(format: Format, block: &[u8]) -> Vec<Weight> {
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
            .map(|&q| {
                let weight = centred(half(block, 0), (q as i8).into(), 0);
                // Some kernels shift the levels to make them unsigned.
                Weight {
                    size: weight.size + 128.0 * half(block, 0).abs(),
                    ..weight
                }
            })
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
        Format::F16 => vec![Weight {
            value: half(block, 0),
            size: half(block, 0).abs(),
        }],
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
