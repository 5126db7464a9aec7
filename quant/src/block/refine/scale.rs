//! Formats with only a scale: weight = scale * (level - half of the levels).

use pulp::{Simd, WithSimd};

use super::super::bits::{float, half, nearest};
use super::super::q6_k::{self, AT_ONCE, SUB, SUBS};
use super::super::weighted::scale::search;
use super::{Counts, Lanes, Look, SUPER, Side, WIDTH, counts, gather, mean_square};

/// The search starts from factors that map the largest scale of a super-block to `-128 + i`, for i in
/// `0..STARTS`.
const STARTS: u8 = 4;
/// Number of rounds; each tries the integers around the scales and then fits the factor again.
const ROUNDS: u8 = 2;
/// Largest distance from the rounded scale at which integers are tried.
const SCALES_AROUND: i8 = 2;

/// The levels that the extreme weight of a sub-block is mapped to: around the lowest and around the highest
/// level.
fn rungs(half: f32) -> impl Iterator<Item = f32> {
    let around = |level: f32| (-12..=12i8).map(move |step| level + 0.1 * f32::from(step));
    around(-half).chain(around(half - 1.0))
}

/// A row of blocks of 32: q4_0 and q5_0, with `half` of the levels below zero.
pub(super) struct Row<'a, B, F> {
    pub(super) counts: Counts<'a>,
    pub(super) out: &'a mut [B],
    pub(super) pack: F,
    pub(super) half: f32,
}

impl<B, F: Fn(f32, &[u8; 32]) -> B> WithSimd for Row<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let square = mean_square(self.counts.x);
        let mut parts = self
            .counts
            .parts(|x, importance| counts(x, importance, square, 1.0));
        for out in self.out.chunks_mut(WIDTH) {
            let (mut x, mut counts) = ([[0.0; 32]; WIDTH], [[0.0; 32]; WIDTH]);
            for ((x, counts), part) in x.iter_mut().zip(&mut counts).zip(parts.by_ref().take(out.len())) {
                (*x, *counts) = (*part.0, part.1);
            }
            let side = Side::new(&x, &counts);
            let [scale, _] = side.each(simd, &[], &Scale(self.half));
            for (lane, (x, out)) in x.iter().zip(out).enumerate() {
                let scale = float(half(scale[lane]));
                *out = (self.pack)(scale, &x.map(|v| level(v, scale, self.half)));
            }
        }
    }
}

/// Returns the level that matches a scale; the middle level represents 0.
#[inline(always)]
fn level(v: f32, scale: f32, half: f32) -> u8 {
    match scale != 0.0 {
        true => (nearest((v / scale).clamp(-half, half - 1.0)) + half as i32) as u8,
        false => half as u8,
    }
}

/// A row of q6_K super-blocks.
pub(super) struct Supers<'a> {
    pub(super) counts: Counts<'a>,
    pub(super) out: &'a mut [q6_k::Block],
}

impl WithSimd for Supers<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // With an importance matrix, an error counts only by its column, not by the weights around it.
        let counts = |x: &[f32; SUPER], importance: Option<&[f32; SUPER]>| match importance {
            None => counts(x, None, mean_square(x), 0.0),
            Some(importance) => *importance,
        };
        let mut parts = self.counts.parts(counts);
        for out in self.out.chunks_mut(AT_ONCE) {
            let (mut x, mut counts) = ([[0.0; SUPER]; AT_ONCE], [[0.0; SUPER]; AT_ONCE]);
            for ((x, counts), part) in x.iter_mut().zip(&mut counts).zip(parts.by_ref().take(out.len())) {
                (*x, *counts) = (*part.0, part.1);
            }
            let side = Side::new(
                x.as_flattened().as_chunks().0,
                counts.as_flattened().as_chunks().0,
            );
            for ((x, best), out) in x.iter().zip(refine(simd, &side)).zip(out) {
                *out = best.encode(x);
            }
        }
    }
}

/// The best factor and integers of a super-block so far.
#[derive(Clone, Copy)]
struct Best {
    error: f32,
    d: f32,
    scales: [f32; SUBS],
}

impl Best {
    const NONE: Self = Self {
        error: f32::INFINITY,
        d: 0.0,
        scales: [0.0; SUBS],
    };

    #[inline(always)]
    fn encode(&self, x: &[f32; SUPER]) -> q6_k::Block {
        let mut levels = [0; SUPER];
        let subs = x.as_chunks::<SUB>().0.iter().zip(levels.as_chunks_mut::<SUB>().0);
        for ((x, levels), scale) in subs.zip(self.scales) {
            *levels = x.map(|v| level(v, self.d * scale, 32.0));
        }
        q6_k::Block::pack(half(self.d), self.scales.map(|v| v as i8), &levels)
    }
}

/// Returns the best factor and integers of each super-block.
#[inline(always)]
fn refine<S: Simd>(simd: S, side: &Side<SUB>) -> [Best; AT_ONCE] {
    let [scale, _] = side.each(simd, &[], &Scale(32.0));
    let extremes = scale
        .as_chunks::<SUBS>()
        .0
        .iter()
        .map(|row| row.iter().fold(0.0f32, larger));
    let extremes: [f32; AT_ONCE] = gather(extremes);
    let mut best = [Best::NONE; AT_ONCE];
    for start in 0..STARTS {
        let mut factors = extremes.map(|extreme| float(half(extreme / (f32::from(start) - 128.0))));
        for _ in 0..ROUNDS {
            let lanes = gather(factors.into_iter().flat_map(|d| [d; SUBS]));
            let found = side.each(simd, &[scale, lanes], &Around);
            for (i, (best, d)) in best.iter_mut().zip(&mut factors).enumerate() {
                let [error, scales, sum_l2, sum_xl] =
                    found.each_ref().map(|row| row.as_chunks::<SUBS>().0[i]);
                let error = error.iter().sum();
                if error < best.error {
                    *best = Best { error, d: *d, scales };
                }
                // Least squares fit of d * (scale * level).
                let (mut ll, mut lx) = (0.0f64, 0.0f64);
                for i in 0..SUBS {
                    ll += f64::from(scales[i]) * f64::from(scales[i]) * f64::from(sum_l2[i]);
                    lx += f64::from(scales[i]) * f64::from(sum_xl[i]);
                }
                let fitted = float(half((lx / ll) as f32));
                if fitted.is_finite() {
                    *d = fitted;
                }
            }
        }
    }
    best
}

fn larger(a: f32, b: &f32) -> f32 {
    if b.abs() > a.abs() { *b } else { a }
}

/// The fit of a scale, with this half of the levels.
struct Scale(f32);

impl<const LEN: usize> Look<LEN, 0, 2> for Scale {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; LEN],
        w: &[Lanes<S>; LEN],
        []: [Lanes<S>; 0],
    ) -> [Lanes<S>; 2] {
        search(simd, x, w, self.0, rungs(self.0))
    }
}

/// The search by [`around`].
struct Around;

impl Look<SUB, 2, 4> for Around {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; SUB],
        w: &[Lanes<S>; SUB],
        given: [Lanes<S>; 2],
    ) -> [Lanes<S>; 4] {
        around(simd, x, w, given)
    }
}

/// Finds the integer with the least error among those around a scale, for a given factor. Returns the error,
/// the integer, and the weighted sums of squared levels and of weights times levels.
#[inline(always)]
fn around<S: Simd>(
    simd: S,
    x: &[Lanes<S>; SUB],
    w: &[Lanes<S>; SUB],
    [scale, d]: [Lanes<S>; 2],
) -> [Lanes<S>; 4] {
    let splat = |v| Lanes::splat(simd, v);
    let (zero, one) = (splat(0.0), splat(1.0));
    let inverse = |v: Lanes<S>| v.eq(zero).select(zero, one / v);
    let (bottom, top) = (splat(-32.0), splat(31.0));
    let near = (scale * inverse(d)).nearest();
    let (mut best, mut out) = (splat(f32::INFINITY), [zero; 3]);
    for by in -SCALES_AROUND..=SCALES_AROUND {
        let integer = (near + splat(f32::from(by))).max(splat(-128.0)).min(splat(127.0));
        let step = d * integer;
        let inverse = inverse(step);
        let (mut error, mut sum_l2, mut sum_xl) = (zero, zero, zero);
        for (&x, &w) in x.iter().zip(w) {
            let l = (x * inverse).max(bottom).min(top).nearest();
            let off = step * l - x;
            error = error + w * (off * off);
            sum_l2 = sum_l2 + w * l * l;
            sum_xl = sum_xl + w * l * x;
        }
        let better = error.lt(best);
        best = better.select(error, best);
        let found = [integer, sum_l2, sum_xl];
        for (out, found) in out.iter_mut().zip(found) {
            *out = better.select(found, *out);
        }
    }
    [best, out[0], out[1], out[2]]
}
