//! `q6_K`: 256 weights in 16 sub-blocks of 16; weight = d * scale * (level - 32), with an f16 `d`, signed 8-bit
//! scales and 6-bit levels.
//!
//! The search for a sub-block's scale is ggml's: the extreme weight becomes the lowest level, then slightly wider
//! and narrower steps are tried, the scale fitted to each by least squares weighted with the weight's square. A
//! sub-block is a SIMD lane, so every sum runs in the order of a lone loop, and the result is ggml's to the bit.

use bytemuck::{AnyBitPattern, NoUninit, Zeroable};
use pulp::{Simd, WithSimd};

use super::SUPER;
use super::bits::{Half, float, half, nearest};
use super::lanes::{Isa, Lanes, Tile, WIDTH, parts};

pub(super) const SUB: usize = 16;
pub(super) const SUBS: usize = SUPER / SUB;
/// A sub-block below this magnitude is zeros.
pub(super) const NOTHING: f32 = 1e-15;

/// As it lies in a file. Of each 128 weights, four quarters of 32: the low nibbles of quarters 0 and 2, 1 and 3
/// share bytes, and the upper two bits of all four share one.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    low: [[[u8; 32]; 2]; 2],
    high: [[u8; 32]; 2],
    scales: [i8; SUBS],
    d: Half,
}

const _: () = assert!(size_of::<Block>() == 210 && align_of::<Block>() == 1);
const _: () = assert!(SUBS == WIDTH);

impl Block {
    #[inline(always)]
    pub(super) fn pack(d: Half, scales: [i8; SUBS], levels: &[u8; SUPER]) -> Self {
        let quarters: [&[[u8; 32]]; 2] = [levels[..128].as_chunks().0, levels[128..].as_chunks().0];
        Self {
            low: quarters.map(|q| {
                std::array::from_fn(|a| std::array::from_fn(|l| (q[a][l] & 15) | (q[a + 2][l] & 15) << 4))
            }),
            high: quarters.map(|q| {
                std::array::from_fn(|l| {
                    q[0][l] >> 4 | q[1][l] >> 4 << 2 | q[2][l] >> 4 << 4 | q[3][l] >> 4 << 6
                })
            }),
            scales,
            d,
        }
    }
}

impl super::Block<SUPER> for Block {
    fn quantize(isa: Isa, src: &[[f32; SUPER]], dst: &mut [Self]) {
        isa.run(Rows { src, dst });
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; SUPER]) {
        let d = float(self.d);
        for (sub, y) in dst.as_chunks_mut::<SUB>().0.iter_mut().enumerate() {
            let (half, quarter, at) = (sub / 8, sub / 2 % 4, sub % 2 * SUB);
            let low = &self.low[half][quarter % 2][at..at + SUB];
            let high = &self.high[half][at..at + SUB];
            let scale = d * f32::from(self.scales[sub]);
            *y = std::array::from_fn(|i| {
                let level = (low[i] >> (quarter / 2 * 4) & 15) | (high[i] >> (2 * quarter) & 3) << 4;
                scale * (f32::from(level) - 32.0)
            });
        }
    }
}

struct Rows<'a> {
    src: &'a [[f32; SUPER]],
    dst: &'a mut [Block],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (x, block) in self.src.iter().zip(self.dst) {
            let subs = x.as_chunks().0;
            *block = encode(x, &search(simd, subs));
        }
    }
}

/// What the search found for each sub-block: weight ~ scale * (level - 32), level - 32 ~ inverse * weight.
pub(super) struct Fits {
    pub(super) scale: [f32; SUBS],
    pub(super) inverse: [f32; SUBS],
}

#[inline(always)]
fn search<S: Simd>(simd: S, blocks: &[[f32; SUB]]) -> Fits {
    let tile = Tile::new(blocks);
    let mut fits = Fits {
        scale: [0.0; SUBS],
        inverse: [0.0; SUBS],
    };
    for part in 0..parts::<S>() {
        let (scale, inverse) = search_lanes(simd, &tile.column(simd, part));
        scale.store(&mut fits.scale, part);
        inverse.store(&mut fits.inverse, part);
    }
    fits
}

/// Scale and inverse of one sub-block a lane; both 0 where there is nothing.
#[inline(always)]
fn search_lanes<S: Simd>(simd: S, x: &[Lanes<S>; SUB]) -> (Lanes<S>, Lanes<S>) {
    let splat = |v| Lanes::splat(simd, v);
    let zero = splat(0.0);
    let (bottom, top) = (splat(-32.0), splat(31.0));

    let (mut largest, mut extreme) = (zero, zero);
    for &x in x {
        let more = largest.lt(x.abs());
        largest = more.select(x.abs(), largest);
        extreme = more.select(x, extreme);
    }
    let nothing = largest.lt(splat(NOTHING));
    // With weights w = x^2: the sums of w*x*l and w*l*l.
    let w: [_; SUB] = std::array::from_fn(|i| x[i] * x[i]);
    let wx: [_; SUB] = std::array::from_fn(|i| w[i] * x[i]);
    let sums = |inverse: Lanes<S>| {
        let (mut sum_xl, mut sum_l2) = (zero, zero);
        for ((&x, &w), &wx) in x.iter().zip(&w).zip(&wx) {
            let l = (inverse * x).max(bottom).min(top).nearest();
            sum_xl = sum_xl + wx * l;
            sum_l2 = sum_l2 + w * l * l;
        }
        (sum_xl, sum_l2)
    };

    let mut inverse = bottom / extreme;
    let (sum_xl, sum_l2) = sums(inverse);
    let mut scale = sum_l2.eq(zero).select(zero, sum_xl / sum_l2);
    let mut best = scale * sum_xl;
    for step in (-9..=9i8).filter(|step| *step != 0) {
        let try_inverse = splat(-(32.0 + 0.1 * f32::from(step))) / extreme;
        let (sum_xl, sum_l2) = sums(try_inverse);
        let better = zero.lt(sum_l2).and((best * sum_l2).lt(sum_xl * sum_xl));
        let try_scale = sum_xl / sum_l2;
        scale = better.select(try_scale, scale);
        best = better.select(try_scale * sum_xl, best);
        inverse = better.select(try_inverse, inverse);
    }
    (nothing.select(zero, scale), nothing.select(zero, inverse))
}

/// Rounds scales to 8 bits and takes the levels that suit them.
#[inline(always)]
pub(super) fn encode(x: &[f32; SUPER], fits: &Fits) -> Block {
    let (mut largest, mut extreme) = (0.0, 0.0);
    for &scale in &fits.scale {
        if scale.abs() > largest {
            (largest, extreme) = (scale.abs(), scale);
        }
    }
    if largest < NOTHING {
        return Block::zeroed();
    }
    let inverse = -128.0 / extreme;
    let d = half(1.0 / inverse);
    let scales = fits.scale.map(|scale| nearest(inverse * scale).min(127) as i8);

    let mut levels = [0u8; SUPER];
    for (sub, (x, levels)) in x
        .as_chunks::<SUB>()
        .0
        .iter()
        .zip(levels.as_chunks_mut::<SUB>().0)
        .enumerate()
    {
        let scale = float(d) * f32::from(scales[sub]);
        let level = |v: f32| (nearest(v).clamp(-32, 31) + 32) as u8;
        if scale != 0.0 {
            *levels = x.map(|v| level(v / scale));
        } else if fits.inverse[sub] != 0.0 {
            // Levels do not matter to the weights here; these are the ones the search ended with.
            *levels = x.map(|v| level(fits.inverse[sub] * v));
        }
    }
    Block::pack(d, scales, &levels)
}
