//! Formats with only a scale: weight = scale * (level - half of the levels).

use pulp::{Simd, WithSimd};

use super::super::bits::nearest;
use super::super::q6_k::{self, AT_ONCE, Fits, NOTHING, SUB};
use super::{Isa, Lanes, Look, SUPER, Side, Tile, WIDTH, mean_square, parts};

/// Quantizes a row of blocks of 32 (q4_0 and q5_0), with `half` of the levels below zero.
pub(super) fn row<B>(
    isa: Isa,
    x: &[f32],
    importance: &[f32],
    out: &mut [B],
    pack: impl Fn(f32, &[u8; 32]) -> B,
    half: f32,
) {
    isa.run(Row {
        x: x.as_chunks().0,
        importance: importance.as_chunks().0,
        typical: mean_square(x),
        out,
        pack,
        half,
    });
}

struct Row<'a, B, F> {
    x: &'a [[f32; 32]],
    importance: &'a [[f32; 32]],
    typical: f32,
    out: &'a mut [B],
    pack: F,
    half: f32,
}

impl<B, F: Fn(f32, &[u8; 32]) -> B> WithSimd for Row<'_, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let half = self.half as i32;
        let blocks = self.x.chunks(WIDTH).zip(self.importance.chunks(WIDTH));
        for ((x, importance), out) in blocks.zip(self.out.chunks_mut(WIDTH)) {
            let side = Side::new(x, importance, [self.typical; WIDTH]);
            let [scale, inverse] = side.each(simd, &Scale(self.half));
            for (lane, (x, out)) in x.iter().zip(out).enumerate() {
                // A block of zeros gets the lowest level, as in ggml: its scale is 0.
                let level = |v: f32| (nearest(inverse[lane] * v).clamp(-half, half - 1) + half) as u8;
                let levels = if inverse[lane] == 0.0 {
                    [0; 32]
                } else {
                    x.map(level)
                };
                *out = (self.pack)(scale[lane], &levels);
            }
        }
    }
}

/// Quantizes a row of q6_K: an error counts only by its column, not by the weights around it.
pub(super) fn supers(isa: Isa, x: &[f32], importance: &[f32], out: &mut [q6_k::Block]) {
    isa.run(Supers {
        x: x.as_chunks().0,
        importance: importance.as_chunks().0,
        out,
    });
}

struct Supers<'a> {
    x: &'a [[f32; SUPER]],
    importance: &'a [[f32; SUPER]],
    out: &'a mut [q6_k::Block],
}

impl WithSimd for Supers<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let groups = self.x.chunks(AT_ONCE).zip(self.importance.chunks(AT_ONCE));
        for ((x, importance), out) in groups.zip(self.out.chunks_mut(AT_ONCE)) {
            let x_tile = Tile::<SUB>::new(x.as_flattened().as_chunks().0);
            let counts = Tile::<SUB>::new(importance.as_flattened().as_chunks().0);
            let (mut scales, mut inverses) = ([0.0; WIDTH], [0.0; WIDTH]);
            for part in 0..parts::<S>() {
                let (x, counts) = (x_tile.column(simd, part), counts.column(simd, part));
                let [scale, inverse] = search(simd, &x, &counts, 32.0, rungs(32.0));
                scale.store(&mut scales, part);
                inverse.store(&mut inverses, part);
            }
            let fits = Fits::split(&scales, &inverses);
            for ((x, out), fits) in x.iter().zip(out).zip(&fits) {
                *out = q6_k::encode(x, fits);
            }
        }
    }
}

/// ggml's search, with this half of the levels.
struct Scale(f32);

impl Look<32, 0, 2> for Scale {
    #[inline(always)]
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; 32],
        counts: &[Lanes<S>; 32],
        []: [Lanes<S>; 0],
    ) -> [Lanes<S>; 2] {
        search(simd, x, counts, self.0, rungs(self.0))
    }
}

/// ggml's ladder around the first rung: slightly wider and narrower steps.
fn rungs(half: f32) -> impl Iterator<Item = f32> {
    let around = (-9..=9i8).filter(|step| *step != 0);
    around.map(move |step| -(half + 0.1 * f32::from(step)))
}

/// Returns scale and inverse, with one sub-block per lane; level - half ~ inverse * weight. Both are 0 if all
/// magnitudes are below [`NOTHING`].
///
/// Each rung is the level, counted from zero, that the extreme weight is mapped to; the first one is the
/// lowest level. The scale is fitted to the levels by weighted least squares, and the rung with the least
/// error wins.
#[inline(always)]
pub(in crate::block) fn search<S: Simd, const LEN: usize>(
    simd: S,
    x: &[Lanes<S>; LEN],
    counts: &[Lanes<S>; LEN],
    half: f32,
    rungs: impl Iterator<Item = f32>,
) -> [Lanes<S>; 2] {
    let splat = |v| Lanes::splat(simd, v);
    let zero = splat(0.0);
    let (bottom, top) = (splat(-half), splat(half - 1.0));

    let (mut largest, mut extreme) = (zero, zero);
    for &x in x {
        let more = largest.lt(x.abs());
        largest = more.select(x.abs(), largest);
        extreme = more.select(x, extreme);
    }
    let nothing = largest.lt(splat(NOTHING));

    let mut inverse = bottom / extreme;
    let (sum_xl, sum_l2) = sums(simd, x, counts, inverse, bottom, top);
    let mut scale = sum_l2.eq(zero).select(zero, sum_xl / sum_l2);
    let mut best = scale * sum_xl;
    for rung in rungs {
        let try_inverse = splat(rung) / extreme;
        let (sum_xl, sum_l2) = sums(simd, x, counts, try_inverse, bottom, top);
        let better = zero.lt(sum_l2).and((best * sum_l2).lt(sum_xl * sum_xl));
        let try_scale = sum_xl / sum_l2;
        scale = better.select(try_scale, scale);
        best = better.select(try_scale * sum_xl, best);
        inverse = better.select(try_inverse, inverse);
    }
    [nothing.select(zero, scale), nothing.select(zero, inverse)]
}

/// Returns the weighted sums of weights times levels, and of squared levels.
#[inline(always)]
fn sums<S: Simd, const LEN: usize>(
    simd: S,
    x: &[Lanes<S>; LEN],
    counts: &[Lanes<S>; LEN],
    inverse: Lanes<S>,
    bottom: Lanes<S>,
    top: Lanes<S>,
) -> (Lanes<S>, Lanes<S>) {
    let zero = Lanes::splat(simd, 0.0);
    let (mut sum_xl, mut sum_l2) = (zero, zero);
    for (&x, &w) in x.iter().zip(counts) {
        let l = (inverse * x).max(bottom).min(top).nearest();
        sum_xl = sum_xl + w * x * l;
        sum_l2 = sum_l2 + w * l * l;
    }
    (sum_xl, sum_l2)
}
