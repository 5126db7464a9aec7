//! Formats with a scale and a minimum: weight = scale * level + minimum.

use pulp::{Simd, WithSimd};

use super::super::bits::{half, nearest};
use super::super::scale_min::{Header, SUB, SUBS};
use super::six_bits::six_bits;
use super::{Isa, Lanes, Look, SUPER, Side, WIDTH, mean_square};

/// The ladder of inverse steps: `(top + FIRST + DELTA * i) / (max - min)` for i in `0..=LAST`.
const FIRST: f32 = -0.9;
const DELTA: f32 = 0.05;
const LAST: u8 = 36;

/// Result of the search for each lane: weight ~ scale * level + min, level ~ inverse * (weight - base).
#[derive(Clone, Copy)]
struct Fits {
    scale: [f32; WIDTH],
    /// Zero or negative.
    min: [f32; WIDTH],
    inverse: [f32; WIDTH],
    base: [f32; WIDTH],
    /// How much all errors of the sub-block count together.
    count: [f32; WIDTH],
}

impl Fits {
    #[inline(always)]
    fn find<S: Simd>(simd: S, side: &Side<SUB>, top: f32) -> Self {
        let [scale, min, inverse, base, count] = side.each(simd, &ScaleMin(top));
        Self {
            scale,
            min,
            inverse,
            base,
            count,
        }
    }

    /// The levels with which the search ended.
    #[inline(always)]
    fn levels(&self, lane: usize, x: &[f32; SUB], top: f32) -> [u8; SUB] {
        x.map(|v| {
            let v = self.inverse[lane] * (v - self.base[lane]);
            if v > 0.0 { nearest(v.min(top)) as u8 } else { 0 }
        })
    }
}

/// Quantizes a row of blocks of 32 (q4_1 and q5_1), with levels up to `top`.
pub(super) fn row<B>(
    isa: Isa,
    x: &[f32],
    importance: &[f32],
    out: &mut [B],
    pack: impl Fn(f32, f32, &[u8; SUB]) -> B,
    top: f32,
) {
    isa.run(Row {
        x: x.as_chunks().0,
        importance: importance.as_chunks().0,
        typical: mean_square(x),
        out,
        pack,
        top,
    });
}

struct Row<'a, B, F> {
    x: &'a [[f32; SUB]],
    importance: &'a [[f32; SUB]],
    typical: f32,
    out: &'a mut [B],
    pack: F,
    top: f32,
}

impl<B, F: Fn(f32, f32, &[u8; SUB]) -> B> WithSimd for Row<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.x.chunks(WIDTH).zip(self.importance.chunks(WIDTH));
        for ((x, importance), out) in blocks.zip(self.out.chunks_mut(WIDTH)) {
            let fits = Fits::find(simd, &Side::new(x, importance, [self.typical; WIDTH]), self.top);
            for (lane, (x, out)) in x.iter().zip(out).enumerate() {
                *out = (self.pack)(fits.scale[lane], fits.min[lane], &fits.levels(lane, x, self.top));
            }
        }
    }
}

/// Quantizes a row of super-blocks (q4_K and q5_K), with levels up to `top`.
pub(super) fn supers<B>(
    isa: Isa,
    x: &[f32],
    importance: &[f32],
    out: &mut [B],
    pack: impl Fn(Header, &[u8; SUPER]) -> B,
    top: f32,
) {
    isa.run(Supers {
        x: x.as_chunks().0,
        importance: importance.as_chunks().0,
        out,
        pack,
        top,
    });
}

struct Supers<'a, B, F> {
    x: &'a [[f32; SUPER]],
    importance: &'a [[f32; SUPER]],
    out: &'a mut [B],
    pack: F,
    top: f32,
}

impl<B, F: Fn(Header, &[u8; SUPER]) -> B> WithSimd for Supers<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const AT_ONCE: usize = WIDTH / SUBS;
        let groups = self.x.chunks(AT_ONCE).zip(self.importance.chunks(AT_ONCE));
        for ((x, importance), out) in groups.zip(self.out.chunks_mut(AT_ONCE)) {
            let squares: [f32; AT_ONCE] =
                std::array::from_fn(|i| x.get(i).map_or(0.0, |x| 2.0 * mean_square(x)));
            let typical = std::array::from_fn(|lane| squares[lane / SUBS]);
            let (subs, importance) = (
                x.as_flattened().as_chunks().0,
                importance.as_flattened().as_chunks().0,
            );
            let fits = Fits::find(simd, &Side::new(subs, importance, typical), self.top);
            for (i, (x, out)) in x.iter().zip(out).enumerate() {
                let (header, levels) = encode(x, &fits, i * SUBS, self.top);
                *out = (self.pack)(header, &levels);
            }
        }
    }
}

/// ggml's search, with levels up to this one.
struct ScaleMin(f32);

impl Look<SUB, 0, 5> for ScaleMin {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; SUB],
        counts: &[Lanes<S>; SUB],
        []: [Lanes<S>; 0],
    ) -> [Lanes<S>; 5] {
        search(simd, x, counts, self.0)
    }
}

/// Returns scale, minimum, inverse, base and count, with one sub-block per lane.
#[inline(always)]
fn search<S: Simd>(simd: S, x: &[Lanes<S>; SUB], counts: &[Lanes<S>; SUB], top: f32) -> [Lanes<S>; 5] {
    let splat = |v| Lanes::splat(simd, v);
    let zero = splat(0.0);
    let top_lanes = splat(top);
    let (mut sum_w, mut sum_x, mut low, mut high) = (zero, zero, x[0], x[0]);
    for (&x, &w) in x.iter().zip(counts) {
        sum_w = sum_w + w;
        sum_x = sum_x + w * x;
        // `min` would be wrong here: of zeros with both signs, the first counts.
        low = x.lt(low).select(x, low);
        high = high.max(x);
    }
    low = zero.lt(low).select(zero, low);
    let flat = low.eq(high);

    let mut inverse = top_lanes / (high - low);
    let (mut scale, mut min, mut base) = (splat(1.0) / inverse, low, low);
    let mut levels = [zero; SUB];
    for (l, &x) in levels.iter_mut().zip(x) {
        *l = level(inverse * (x - low), zero, top_lanes);
    }
    let mut best = error_of(simd, x, counts, scale, min, &levels);
    for step in 0..=LAST {
        let try_inverse = splat(FIRST + DELTA * f32::from(step) + top) / (high - min);
        let mut levels = [zero; SUB];
        let (mut sum_l, mut sum_l2, mut sum_xl) = (zero, zero, zero);
        for ((&x, &w), l) in x.iter().zip(counts).zip(&mut levels) {
            *l = level(try_inverse * (x - min), zero, top_lanes);
            let wl = w * *l;
            sum_l = sum_l + wl;
            sum_l2 = sum_l2 + wl * *l;
            sum_xl = sum_xl + wl * x;
        }
        let det = sum_w * sum_l2 - sum_l * sum_l;
        let free_min = (sum_l2 * sum_x - sum_l * sum_xl) / det;
        let free_scale = (sum_w * sum_xl - sum_x * sum_l) / det;
        let positive = zero.lt(free_min);
        let try_min = positive.select(zero, free_min);
        let try_scale = positive.select(sum_xl / sum_l2, free_scale);
        let error = error_of(simd, x, counts, try_scale, try_min, &levels);
        let better = zero.lt(det).and(error.lt(best));
        best = better.select(error, best);
        scale = better.select(try_scale, scale);
        base = better.select(min, base);
        min = better.select(try_min, min);
        inverse = better.select(try_inverse, inverse);
    }
    let unless_flat = |v| flat.select(zero, v);
    [
        unless_flat(scale),
        flat.select(low, min),
        unless_flat(inverse),
        base,
        sum_w,
    ]
}

#[inline(always)]
fn level<S: Simd>(v: Lanes<S>, zero: Lanes<S>, top: Lanes<S>) -> Lanes<S> {
    zero.lt(v).select(v.min(top), zero).nearest()
}

#[inline(always)]
fn error_of<S: Simd>(
    simd: S,
    x: &[Lanes<S>; SUB],
    counts: &[Lanes<S>; SUB],
    scale: Lanes<S>,
    min: Lanes<S>,
    levels: &[Lanes<S>; SUB],
) -> Lanes<S> {
    let mut error = Lanes::splat(simd, 0.0);
    for ((&x, &w), &l) in x.iter().zip(counts).zip(levels) {
        let off = (scale * l + min) - x;
        error = error + w * (off * off);
    }
    error
}

/// Rounds the scales and minimums of the super-block at `lane` to 6 bits and computes the matching levels.
#[inline(always)]
fn encode(x: &[f32; SUPER], fits: &Fits, lane: usize, top: f32) -> (Header, [u8; SUPER]) {
    let at = |row: &[f32; WIDTH]| std::array::from_fn(|sub| row[lane + sub]);
    let count: [f32; SUBS] = at(&fits.count);
    let (d, scales) = six_bits(&at(&fits.scale), &count);
    let (dmin, mins) = six_bits(&at(&fits.min).map(|min: f32| -min), &count);
    let header = Header::new(half(d), half(dmin), scales, mins);

    let mut levels = [0; SUPER];
    let subs = x.as_chunks::<SUB>().0.iter().zip(levels.as_chunks_mut::<SUB>().0);
    for (sub, ((x, levels), (scale, min))) in subs.zip(header.steps()).enumerate() {
        *levels = match scale != 0.0 {
            true => x.map(|v| nearest((v + min) / scale).clamp(0, top as i32) as u8),
            // The scale is 0, so the levels do not change the weights; ggml writes the levels of the search.
            false => fits.levels(lane + sub, x, top),
        };
    }
    (header, levels)
}
