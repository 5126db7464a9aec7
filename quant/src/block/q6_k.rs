//! `q6_K`: 256 weights in 16 sub-blocks of 16; weight = d * scale * (level - 32), with an f16 `d`, signed
//! 8-bit scales and 6-bit levels.
//!
//! The search for a sub-block's scale is ggml's: it maps the extreme weight to the lowest level, then tries
//! slightly wider and narrower steps. For each step, it fits the scale by least squares, weighted by the
//! square of each weight. Each sub-block is a SIMD lane, so every sum runs in the order of a scalar loop, and
//! the result is bit-identical to ggml's.

use bytemuck::{AnyBitPattern, NoUninit, Zeroable};
use pulp::{Simd, WithSimd};

use super::SUPER;
use super::bits::{Half, float, from_fn, half, map, nearest};
use super::lanes::{Isa, Lanes, Tile, WIDTH, parts};

pub(super) const SUB: usize = 16;
pub(super) const SUBS: usize = SUPER / SUB;
/// A sub-block whose magnitudes are all below this becomes zeros.
pub(super) const NOTHING: f32 = 1e-15;

/// Layout in a file. Each 128 weights are four quarters of 32: the low nibbles of quarters 0 and 2, and of 1
/// and 3, share bytes; the upper two bits of all four share one byte.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    low: [[[u8; 32]; 2]; 2],
    high: [[u8; 32]; 2],
    scales: [i8; SUBS],
    d: Half,
}

const _: () = assert!(size_of::<Block>() == 210 && align_of::<Block>() == 1);

/// Number of super-blocks that are searched at once, with their sub-blocks in neighbouring lanes.
pub(super) const AT_ONCE: usize = WIDTH / SUBS;

impl Block {
    #[inline(always)]
    pub(super) fn pack(d: Half, scales: [i8; SUBS], levels: &[u8; SUPER]) -> Self {
        let mut block = Self {
            low: [[[0; 32]; 2]; 2],
            high: [[0; 32]; 2],
            scales,
            d,
        };
        for (half, levels) in levels.as_chunks::<128>().0.iter().enumerate() {
            let [a, b, c, d] = levels.as_chunks::<32>().0 else {
                unreachable!("128 levels are four quarters");
            };
            block.low[half] = [
                from_fn(|l| (a[l] & 15) | (c[l] & 15) << 4),
                from_fn(|l| (b[l] & 15) | (d[l] & 15) << 4),
            ];
            block.high[half] = from_fn(|l| a[l] >> 4 | b[l] >> 4 << 2 | c[l] >> 4 << 4 | d[l] >> 4 << 6);
        }
        block
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
            *y = from_fn(|i| {
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
        for (supers, blocks) in self.src.chunks(AT_ONCE).zip(self.dst.chunks_mut(AT_ONCE)) {
            let fits = search(simd, supers.as_flattened().as_chunks().0);
            for ((x, block), fits) in supers.iter().zip(blocks).zip(&fits) {
                *block = encode(x, fits);
            }
        }
    }
}

/// Result of the search for each sub-block: weight ~ scale * (level - 32), level - 32 ~ inverse * weight.
#[derive(Clone, Copy, Default)]
pub(super) struct Fits {
    pub(super) scale: [f32; SUBS],
    pub(super) inverse: [f32; SUBS],
}

impl Fits {
    /// Splits lanes into the results of each super-block.
    #[inline(always)]
    pub(super) fn split(scales: &[f32; WIDTH], inverses: &[f32; WIDTH]) -> [Self; AT_ONCE] {
        let (scales, inverses) = (scales.as_chunks().0, inverses.as_chunks().0);
        from_fn(|i| Self {
            scale: scales[i],
            inverse: inverses[i],
        })
    }
}

#[inline(always)]
fn search<S: Simd>(simd: S, blocks: &[[f32; SUB]]) -> [Fits; AT_ONCE] {
    let tile = Tile::new(blocks);
    let (mut scales, mut inverses) = ([0.0; WIDTH], [0.0; WIDTH]);
    for part in 0..parts::<S>() {
        let (scale, inverse) = search_lanes(simd, &tile.column(simd, part));
        scale.store(&mut scales, part);
        inverse.store(&mut inverses, part);
    }
    Fits::split(&scales, &inverses)
}

/// Returns scale and inverse, with one sub-block per lane; both are 0 if all magnitudes are below
/// [`NOTHING`].
#[inline(always)]
fn search_lanes<S: Simd>(simd: S, x: &[Lanes<S>; SUB]) -> (Lanes<S>, Lanes<S>) {
    let splat = |v| Lanes::splat(simd, v);
    let zero = splat(0.0);

    let (mut largest, mut extreme) = (zero, zero);
    for &x in x {
        let more = largest.lt(x.abs());
        largest = more.select(x.abs(), largest);
        extreme = more.select(x, extreme);
    }
    let nothing = largest.lt(splat(NOTHING));

    let mut weighted = [Weighted {
        x: zero,
        w: zero,
        wx: zero,
    }; SUB];
    for (weighted, &x) in weighted.iter_mut().zip(x) {
        *weighted = Weighted {
            x,
            w: x * x,
            wx: x * x * x,
        };
    }
    let mut inverse = splat(-32.0) / extreme;
    let (sum_xl, sum_l2) = sums(simd, &weighted, inverse);
    let mut scale = sum_l2.eq(zero).select(zero, sum_xl / sum_l2);
    let mut best = scale * sum_xl;
    for step in (-9..=9i8).filter(|step| *step != 0) {
        let try_inverse = splat(-(32.0 + 0.1 * f32::from(step))) / extreme;
        let (sum_xl, sum_l2) = sums(simd, &weighted, try_inverse);
        let better = zero.lt(sum_l2).and((best * sum_l2).lt(sum_xl * sum_xl));
        let try_scale = sum_xl / sum_l2;
        scale = better.select(try_scale, scale);
        best = better.select(try_scale * sum_xl, best);
        inverse = better.select(try_inverse, inverse);
    }
    (nothing.select(zero, scale), nothing.select(zero, inverse))
}

/// A weight, how much an error in it counts (its square), and their product.
#[derive(Clone, Copy)]
struct Weighted<S: Simd> {
    x: Lanes<S>,
    w: Lanes<S>,
    wx: Lanes<S>,
}

/// Returns the sums of w*x*l and of w*l*l over the levels l - 32 that `inverse` gives.
#[inline(always)]
fn sums<S: Simd>(simd: S, weights: &[Weighted<S>; SUB], inverse: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let (bottom, top) = (Lanes::splat(simd, -32.0), Lanes::splat(simd, 31.0));
    let (mut sum_xl, mut sum_l2) = (Lanes::splat(simd, 0.0), Lanes::splat(simd, 0.0));
    for Weighted { x, w, wx } in weights {
        let l = (inverse * *x).max(bottom).min(top).nearest();
        sum_xl = sum_xl + *wx * l;
        sum_l2 = sum_l2 + *w * l * l;
    }
    (sum_xl, sum_l2)
}

/// Rounds the scales to 8 bits and computes the matching levels.
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
    let scales = map(&fits.scale, |scale| nearest(inverse * scale).min(127) as i8);

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
            *levels = map(x, |v| level(v / scale));
        } else if fits.inverse[sub] != 0.0 {
            // The scale is 0, so the levels do not change the weights; ggml writes the levels of the search.
            *levels = map(x, |v| level(fits.inverse[sub] * v));
        }
    }
    Block::pack(d, scales, &levels)
}
