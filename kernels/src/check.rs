//! Repeatable products to check kernels with, and their values in f64.

pub mod attention;
mod blocks;

use blocks::{activations, minimum, read_activations, read_weights, weights};

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
    columns: usize,
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
        Self::with_columns(format, kind, (count, 1), blocks, seed)
    }

    /// A number of rows and a number of columns of `blocks` blocks. The same `seed` gives the same rows and the
    /// same first columns.
    pub fn with_columns(
        format: Format,
        kind: Kind,
        (count, columns): (usize, usize),
        blocks: usize,
        seed: u64,
    ) -> Self {
        let mut noise = Noise(seed | 1);
        let rows = stored(count * blocks, format.block_bytes(), |block| {
            weights(format, kind, block, &mut noise)
        });
        let bytes = format.column_block_bytes() * blocks;
        let column = stored(columns, bytes, |column| {
            for block in column.chunks_mut(format.column_block_bytes()) {
                activations(format, kind, block, &mut noise);
            }
        });
        Self {
            format,
            count,
            columns,
            blocks,
            rows,
            column,
        }
    }

    /// Number of results: rows times columns.
    pub fn results(&self) -> usize {
        self.count * self.columns
    }

    /// The case as a kernel takes it.
    ///
    /// # Panics
    /// If `out` has no room for every result.
    pub fn product(&self, out: &mut [f32], ahead: usize) -> Product {
        assert!(out.len() >= self.results(), "room for {} results", self.results());
        Product {
            rows: self.rows.as_ptr().cast(),
            stride: self.blocks * self.format.block_bytes(),
            count: self.count,
            column: self.column.as_ptr().cast(),
            column_stride: self.blocks * self.format.column_block_bytes(),
            columns: self.columns,
            blocks: self.blocks,
            out: out.as_mut_ptr(),
            out_stride: self.count,
            ahead,
        }
    }

    /// The results that `kernel` computes: of every row with the first column, then with the second.
    ///
    /// # Panics
    /// If the kernel is for another format.
    pub fn run(&self, kernel: &Kernel, ahead: usize) -> Vec<f32> {
        assert_eq!(kernel.format(), self.format);
        let mut out = vec![f32::NAN; self.results()];
        // SAFETY: the product names this case's own rows and columns, whole and aligned, and `out` has room.
        unsafe { kernel.run_all(&self.product(&mut out, ahead)) };
        out
    }

    /// Reads every weight and only combines them with XOR, to measure the speed of the memory.
    pub fn read(&self) -> u64 {
        crate::read(&self.rows)
    }

    /// The exact products, in the same order.
    pub fn exact(&self) -> Vec<Exact> {
        let columns = (0..self.columns).flat_map(|column| (0..self.count).map(move |row| (row, column)));
        columns.map(|(row, column)| self.exact_at(row, column)).collect()
    }

    /// The exact product of a row and a column.
    ///
    /// # Panics
    /// If the case has no such row or column.
    pub fn exact_at(&self, row: usize, column: usize) -> Exact {
        let part = |words, bytes: usize, at: usize| -> Vec<&[u8]> {
            blocks(words, bytes, (at + 1) * self.blocks)
                .skip(at * self.blocks)
                .collect()
        };
        let row = part(&self.rows, self.format.block_bytes(), row);
        let column = part(&self.column, self.format.column_block_bytes(), column);
        self.exact_sum(&row, &column)
    }

    fn exact_sum(&self, row: &[&[u8]], column: &[&[u8]]) -> Exact {
        let (mut value, mut size) = (0.0, 0.0);
        for (row, column) in row.iter().zip(column) {
            let weights = read_weights(self.format, row);
            for (w, x) in weights.into_iter().zip(read_activations(self.format, column)) {
                value += w.value * x;
                size += w.size * x.abs();
            }
            let minimum = minimum(self.format, row, column);
            value += minimum;
            size += minimum.abs();
        }
        // Some roundings per block; steps below the normal numbers lose whole bits.
        let roundings = 4.0 * (self.blocks + 16) as f64;
        let tiny = f64::from(f32::from_bits(1)) * 1e6 * self.blocks as f64;
        Exact {
            value,
            bound: size * roundings * f64::from(f32::EPSILON) / 2.0 + tiny,
        }
    }
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
