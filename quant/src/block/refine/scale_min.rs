//! Formats with a scale and a minimum: weight = scale * level - minimum.

use pulp::{Simd, WithSimd};

use super::super::bits::{float, half, nearest};
use super::super::scale_min::{Header, SUB, SUBS};
use super::{Counts, Lanes, Look, SUPER, Side, WIDTH, counts, mean_square};

/// The range that a fit searches.
#[derive(Clone, Copy)]
struct Within {
    /// Largest distance, in tenths, from the highest level at which the highest weight is tried.
    tenths: i8,
    /// True if the minimum may have either sign; otherwise it is never above 0.
    signed: bool,
}

/// The range for blocks without a super-block.
const ALONE: Within = Within {
    tenths: 30,
    signed: true,
};
/// The range for sub-blocks; the scales and minimums of their super-block are searched again.
const TOGETHER: Within = Within {
    tenths: 10,
    signed: false,
};
/// The search starts from factors that map the largest scale and the largest minimum of a super-block to
/// `63 - i`, for i in `0..STARTS`.
const STARTS: u8 = 4;
/// Number of rounds; each tries the integers around scales and minimums and then fits the factors again.
const ROUNDS: u8 = 2;
/// Largest distance from the rounded scale and minimum at which integers are tried.
const SCALES_AROUND: i8 = 1;
const MINS_AROUND: i8 = 3;

const AT_ONCE: usize = WIDTH / SUBS;

/// A row of blocks of 32: q4_1 and q5_1, with levels up to `top`.
pub(super) struct Row<'a, B, F> {
    pub(super) counts: Counts<'a>,
    pub(super) out: &'a mut [B],
    pub(super) pack: F,
    pub(super) top: f32,
}

impl<B, F: Fn(f32, f32, &[u8; SUB]) -> B> WithSimd for Row<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let square = mean_square(self.counts.x);
        let mut parts = self
            .counts
            .parts(|x, importance| counts(x, importance, square, 1.0));
        for out in self.out.chunks_mut(WIDTH) {
            let (mut x, mut counts) = ([[0.0; SUB]; WIDTH], [[0.0; SUB]; WIDTH]);
            for ((x, counts), part) in x.iter_mut().zip(&mut counts).zip(parts.by_ref().take(out.len())) {
                (*x, *counts) = (*part.0, part.1);
            }
            let [scale, min, ..] = Side::new(&x, &counts).each(
                simd,
                &[],
                &Fit {
                    top: self.top,
                    within: ALONE,
                },
            );
            for (lane, (x, out)) in x.iter().zip(out).enumerate() {
                let (scale, min) = (float(half(scale[lane])), float(half(min[lane])));
                *out = (self.pack)(scale, -min, &levels(x, scale, min, self.top));
            }
        }
    }
}

/// A row of super-blocks: q4_K and q5_K, with levels up to `top`.
pub(super) struct Supers<'a, B, F> {
    pub(super) counts: Counts<'a>,
    pub(super) out: &'a mut [B],
    pub(super) pack: F,
    pub(super) top: f32,
}

impl<B, F: Fn(Header, &[u8; SUPER]) -> B> WithSimd for Supers<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut parts = self
            .counts
            .parts(|x, importance| counts(x, importance, mean_square(x), 2.0));
        for out in self.out.chunks_mut(AT_ONCE) {
            let (mut x, mut counts) = ([[0.0; SUPER]; AT_ONCE], [[0.0; SUPER]; AT_ONCE]);
            for ((x, counts), part) in x.iter_mut().zip(&mut counts).zip(parts.by_ref().take(out.len())) {
                (*x, *counts) = (*part.0, part.1);
            }
            let side = Side::new(
                x.as_flattened().as_chunks().0,
                counts.as_flattened().as_chunks().0,
            );
            for ((x, best), out) in x.iter().zip(refine(simd, &side, self.top)).zip(out) {
                let (header, levels) = best.encode(x, self.top);
                *out = (self.pack)(header, &levels);
            }
        }
    }
}

/// Returns the levels that match a scale and a minimum.
#[inline(always)]
fn levels(x: &[f32; SUB], scale: f32, min: f32, top: f32) -> [u8; SUB] {
    match scale != 0.0 {
        true => x.map(|v| nearest(((v + min) / scale).clamp(0.0, top)) as u8),
        false => [0; SUB],
    }
}

/// The best factors and integers of a super-block so far.
#[derive(Clone, Copy)]
struct Best {
    error: f32,
    d: f32,
    dmin: f32,
    scales: [f32; SUBS],
    mins: [f32; SUBS],
}

impl Best {
    const NONE: Self = Self {
        error: f32::INFINITY,
        d: 0.0,
        dmin: 0.0,
        scales: [0.0; SUBS],
        mins: [0.0; SUBS],
    };

    #[inline(always)]
    fn encode(&self, x: &[f32; SUPER], top: f32) -> (Header, [u8; SUPER]) {
        let integers = |row: &[f32; SUBS]| row.map(|v| v as u8);
        let header = Header::new(
            half(self.d),
            half(self.dmin),
            integers(&self.scales),
            integers(&self.mins),
        );
        let mut out = [0; SUPER];
        let subs = x.as_chunks::<SUB>().0.iter().zip(out.as_chunks_mut::<SUB>().0);
        for ((x, out), (scale, min)) in subs.zip(header.steps()) {
            *out = levels(x, scale, min, top);
        }
        (header, out)
    }
}

/// Returns the best factors and integers of each super-block.
#[inline(always)]
fn refine<S: Simd>(simd: S, side: &Side<SUB>, top: f32) -> [Best; AT_ONCE] {
    let [scale, min, sum_w, sum_x] = side.each(
        simd,
        &[],
        &Fit {
            top,
            within: TOGETHER,
        },
    );
    let mut best = [Best::NONE; AT_ONCE];
    for start in 0..STARTS {
        let largest =
            |row: &[f32; WIDTH], i: usize| row[i * SUBS..][..SUBS].iter().fold(0.0, |a: f32, b| a.max(*b));
        let of = |row: &[f32; WIDTH], i: usize| rounded(largest(row, i) / (63.0 - f32::from(start)));
        let mut factors: [(f32, f32); AT_ONCE] = std::array::from_fn(|i| (of(&scale, i), of(&min, i)));
        for _ in 0..ROUNDS {
            let lanes = |pick: fn((f32, f32)) -> f32| std::array::from_fn(|lane| pick(factors[lane / SUBS]));
            let inputs = [scale, min, lanes(|f| f.0), lanes(|f| f.1)];
            let found = side.each(simd, &inputs, &Around { top });
            for (i, (best, factors)) in best.iter_mut().zip(&mut factors).enumerate() {
                let at = |row: &[f32; WIDTH]| std::array::from_fn(|sub| row[i * SUBS + sub]);
                let [error, scales, mins, sum_l, sum_l2, sum_xl] = found.each_ref().map(at);
                let error = error.iter().sum();
                if error < best.error {
                    *best = Best {
                        error,
                        d: factors.0,
                        dmin: factors.1,
                        scales,
                        mins,
                    };
                }
                let sums = Sums {
                    scales,
                    mins,
                    sum_l,
                    sum_l2,
                    sum_xl,
                    sum_w: at(&sum_w),
                    sum_x: at(&sum_x),
                };
                *factors = sums.factors().unwrap_or(*factors);
            }
        }
    }
    best
}

/// The value of a factor after it is stored as f16.
#[inline(always)]
fn rounded(v: f32) -> f32 {
    float(half(v))
}

/// The weighted sums of a super-block's sub-blocks for given integers and levels.
struct Sums {
    scales: [f32; SUBS],
    mins: [f32; SUBS],
    sum_l: [f32; SUBS],
    sum_l2: [f32; SUBS],
    sum_xl: [f32; SUBS],
    sum_w: [f32; SUBS],
    sum_x: [f32; SUBS],
}

impl Sums {
    /// Returns the two factors with the least error, rounded, or `None` if the sums do not determine them.
    /// Least squares fit of `d * (scale * level) - dmin * min`.
    #[inline(always)]
    fn factors(&self) -> Option<(f32, f32)> {
        let mut sums = [0.0f64; 5];
        for i in 0..SUBS {
            let (scale, min) = (f64::from(self.scales[i]), f64::from(self.mins[i]));
            let terms = [
                scale * scale * f64::from(self.sum_l2[i]),
                -scale * min * f64::from(self.sum_l[i]),
                min * min * f64::from(self.sum_w[i]),
                scale * f64::from(self.sum_xl[i]),
                -min * f64::from(self.sum_x[i]),
            ];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let [ll, lm, mm, lx, mx] = sums;
        let det = ll * mm - lm * lm;
        let (d, dmin) = match det > 1e-9 * ll * mm {
            true => ((lx * mm - mx * lm) / det, (ll * mx - lm * lx) / det),
            false => (lx / ll, 0.0),
        };
        let (d, dmin) = (rounded(d as f32), rounded(dmin as f32));
        (d > 0.0 && dmin >= 0.0 && d.is_finite() && dmin.is_finite()).then_some((d, dmin))
    }
}

/// The search by [`fit`].
struct Fit {
    top: f32,
    within: Within,
}

impl Look<SUB, 0, 4> for Fit {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; SUB],
        w: &[Lanes<S>; SUB],
        []: [Lanes<S>; 0],
    ) -> [Lanes<S>; 4] {
        fit(simd, x, w, self.top, self.within)
    }
}

/// The search by [`around`].
struct Around {
    top: f32,
}

impl Look<SUB, 4, 6> for Around {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; SUB],
        w: &[Lanes<S>; SUB],
        given: [Lanes<S>; 4],
    ) -> [Lanes<S>; 6] {
        around(simd, x, w, given, self.top)
    }
}

/// Returns scale, minimum, the sum of the counts and the sum of the counted weights, with one sub-block per
/// lane.
///
/// For each span, the fit alternates between levels and least squares; the scale and minimum with the least
/// error win.
#[inline(always)]
fn fit<S: Simd>(
    simd: S,
    x: &[Lanes<S>; SUB],
    w: &[Lanes<S>; SUB],
    top: f32,
    within: Within,
) -> [Lanes<S>; 4] {
    let splat = |v| Lanes::splat(simd, v);
    let (zero, one) = (splat(0.0), splat(1.0));
    let (mut sum_w, mut sum_x, mut low, mut high) = (zero, zero, x[0], x[0]);
    for (&x, &w) in x.iter().zip(w) {
        sum_w = sum_w + w;
        sum_x = sum_x + w * x;
        low = low.min(x);
        high = high.max(x);
    }
    // The highest allowed minimum.
    let highest = splat(if within.signed { f32::INFINITY } else { 0.0 });
    low = low.min(highest);
    let span = high - low;
    let (mut scale, mut min) = (span * splat(1.0 / top), zero - low);
    let mut best = error(simd, x, w, scale, min, top);
    for tenth in -within.tenths..=within.tenths {
        let levels = splat(1.0 / (top + 0.1 * f32::from(tenth)));
        // Start from the lowest weight, and from the best minimum so far.
        for from in [zero - low, min] {
            let (mut try_scale, mut try_min) = ((high + from) * levels, from);
            for _ in 0..2 {
                let inverse = one / try_scale;
                let (mut sum_l, mut sum_l2, mut sum_xl) = (zero, zero, zero);
                for (&x, &w) in x.iter().zip(w) {
                    let l = ((x + try_min) * inverse).max(zero).min(splat(top)).nearest();
                    let wl = w * l;
                    sum_l = sum_l + wl;
                    sum_l2 = sum_l2 + wl * l;
                    sum_xl = sum_xl + wl * x;
                }
                let det = sum_w * sum_l2 - sum_l * sum_l;
                let free_min = (sum_l * sum_xl - sum_l2 * sum_x) / det;
                let above = free_min.lt(zero - highest);
                try_min = above.select(zero, free_min);
                try_scale = above.select(sum_xl / sum_l2, (sum_w * sum_xl - sum_x * sum_l) / det);
                let error = error(simd, x, w, try_scale, try_min, top);
                let better = zero.lt(try_scale).and(error.lt(best));
                best = better.select(error, best);
                scale = better.select(try_scale, scale);
                min = better.select(try_min, min);
            }
        }
    }
    // If all weights are equal and not above 0, the minimum alone represents them.
    let flat = span.eq(zero);
    [
        flat.select(zero, scale),
        flat.select(zero - low, min),
        sum_w,
        sum_x,
    ]
}

/// Returns the weighted error of a scale and a minimum with the matching levels.
#[inline(always)]
fn error<S: Simd>(
    simd: S,
    x: &[Lanes<S>; SUB],
    w: &[Lanes<S>; SUB],
    scale: Lanes<S>,
    min: Lanes<S>,
    top: f32,
) -> Lanes<S> {
    let (zero, top) = (Lanes::splat(simd, 0.0), Lanes::splat(simd, top));
    let inverse = zero.lt(scale).select(Lanes::splat(simd, 1.0) / scale, zero);
    let mut error = zero;
    for (&x, &w) in x.iter().zip(w) {
        let above = x + min;
        let off = scale * (above * inverse).max(zero).min(top).nearest() - above;
        error = error + w * (off * off);
    }
    error
}

/// Finds the integers with the least error among those around a scale and a minimum, for given factors.
/// Returns the error, both integers, and the weighted sums of levels, of squared levels, and of weights times
/// levels.
#[inline(always)]
fn around<S: Simd>(
    simd: S,
    x: &[Lanes<S>; SUB],
    w: &[Lanes<S>; SUB],
    [scale, min, d, dmin]: [Lanes<S>; 4],
    top: f32,
) -> [Lanes<S>; 6] {
    let splat = |v| Lanes::splat(simd, v);
    let (zero, one, most) = (splat(0.0), splat(1.0), splat(63.0));
    let inverse = |v: Lanes<S>| zero.lt(v).select(one / v, zero);
    let (near_scale, near_min) = ((scale * inverse(d)).nearest(), (min * inverse(dmin)).nearest());
    let integer = |near: Lanes<S>, by: i8| (near + splat(f32::from(by))).max(zero).min(most);
    let (mut best, mut best_scale, mut best_min) = (splat(f32::INFINITY), zero, zero);
    for by in -SCALES_AROUND..=SCALES_AROUND {
        let try_scale = integer(near_scale, by);
        for by in -MINS_AROUND..=MINS_AROUND {
            let try_min = integer(near_min, by);
            let error = error(simd, x, w, d * try_scale, dmin * try_min, top);
            let better = error.lt(best);
            best = better.select(error, best);
            best_scale = better.select(try_scale, best_scale);
            best_min = better.select(try_min, best_min);
        }
    }
    let (step, min) = (inverse(d * best_scale), dmin * best_min);
    let (mut sum_l, mut sum_l2, mut sum_xl) = (zero, zero, zero);
    for (&x, &w) in x.iter().zip(w) {
        let l = ((x + min) * step).max(zero).min(splat(top)).nearest();
        let wl = w * l;
        sum_l = sum_l + wl;
        sum_l2 = sum_l2 + wl * l;
        sum_xl = sum_xl + wl * x;
    }
    [best, best_scale, best_min, sum_l, sum_l2, sum_xl]
}
