//! The search of `--effort high`: more time for less error, in the same formats.
//!
//! Without an importance matrix, ggml rounds the scales of a super-block once and keeps them. Here, the
//! search tries the integers around each rounded scale and minimum, with the levels that match each of them.
//! It then fits the common factors again to the integers and levels it found, and repeats all this from
//! several initial factors.
//!
//! It minimises the sum of squared errors, each weighted by `sqrt(8 * m + x^2)`, where m is the mean square
//! of the weights around x. ggml weights errors by the root of m plus |x|. The factor 8 is a compromise
//! between that and equal weighting: the plain error falls the most while ggml's weighted error also falls.
//! With an importance matrix, errors count as in [`super::weighted`].

use bytemuck::cast_slice_mut;
use pulp::Simd;

use super::SUPER;
use super::lanes::{Isa, Lanes, Tile, WIDTH, parts};
use super::scale_min::Format;
use super::weighted::{Look, mean_square};
use super::{q4_0, q4_1, q4_k, q5_0, q5_1, q5_k};
use siskin_model::TensorType;

mod scale;
mod scale_min;

/// How much the mean square around a weight counts, compared with the weight's own square.
const AROUND: f32 = 8.0;

/// Quantizes rows of `importance.len()` weights, or one row of any length without importance.
///
/// # Panics
/// If `src` is not a whole number of such rows, `dst` has another size than their bytes, or
/// [`super::weighted::supports`] rejects `ty`.
pub(super) fn quantize_rows(
    isa: Isa,
    ty: TensorType,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) {
    super::check(ty, src.len(), dst.len());
    let len = importance.map_or(src.len(), <[f32]>::len);
    super::each_row(len, src, dst, |x, out| row(isa, ty, importance, x, out));
}

fn row(isa: Isa, ty: TensorType, importance: Option<&[f32]>, x: &[f32], out: &mut [u8]) {
    let counts = Counts { importance, x };
    match ty {
        TensorType::Q4_0 => isa.run(scale::Row {
            counts,
            out: cast_slice_mut(out),
            pack: q4_0::Block::pack,
            half: 8.0,
        }),
        TensorType::Q5_0 => isa.run(scale::Row {
            counts,
            out: cast_slice_mut(out),
            pack: q5_0::Block::pack,
            half: 16.0,
        }),
        TensorType::Q4_1 => isa.run(scale_min::Row {
            counts,
            out: cast_slice_mut(out),
            pack: q4_1::Block::pack,
            top: 15.0,
        }),
        TensorType::Q5_1 => isa.run(scale_min::Row {
            counts,
            out: cast_slice_mut(out),
            pack: q5_1::Block::pack,
            top: 31.0,
        }),
        TensorType::Q4K => isa.run(scale_min::Supers {
            counts,
            out: cast_slice_mut(out),
            pack: <q4_k::Block as Format>::pack,
            top: 15.0,
        }),
        TensorType::Q5K => isa.run(scale_min::Supers {
            counts,
            out: cast_slice_mut(out),
            pack: <q5_k::Block as Format>::pack,
            top: 31.0,
        }),
        TensorType::Q6K => isa.run(scale::Supers {
            counts,
            out: cast_slice_mut(out),
        }),
        other => panic!("{other} is not searched for"),
    }
}

/// A row, and the importance of its columns.
#[derive(Clone, Copy)]
struct Counts<'a> {
    importance: Option<&'a [f32]>,
    x: &'a [f32],
}

impl<'a> Counts<'a> {
    /// Iterates over parts of `LEN` weights with their counts, computed by `count`.
    #[inline(always)]
    fn parts<const LEN: usize>(
        self,
        count: impl Fn(&[f32; LEN], Option<&[f32; LEN]>) -> [f32; LEN],
    ) -> impl Iterator<Item = (&'a [f32; LEN], [f32; LEN])> {
        let importance = self.importance.map(|w| w.as_chunks::<LEN>().0);
        let parts = self.x.as_chunks::<LEN>().0.iter().enumerate();
        parts.map(move |(i, x)| (x, count(x, importance.map(|w| &w[i]))))
    }
}

/// Returns how much errors in `x` count. `square` is the mean square around them; with an importance matrix,
/// `around` is how much it counts, compared with their own squares.
#[inline(always)]
fn counts<const LEN: usize>(
    x: &[f32; LEN],
    importance: Option<&[f32; LEN]>,
    square: f32,
    around: f32,
) -> [f32; LEN] {
    match importance {
        None => x.map(|v| (AROUND * square + v * v).sqrt()),
        Some(w) => std::array::from_fn(|i| w[i] * (around * square + x[i] * x[i]).sqrt()),
    }
}

/// `WIDTH` sub-blocks side by side with their counts.
struct Side<const LEN: usize> {
    x: Tile<LEN>,
    counts: Tile<LEN>,
}

impl<const LEN: usize> Side<LEN> {
    #[inline(always)]
    fn new(x: &[[f32; LEN]], counts: &[[f32; LEN]]) -> Self {
        Self {
            x: Tile::new(x),
            counts: Tile::new(counts),
        }
    }

    /// Runs `search` on each part of the lanes with the `M` given rows, and collects the `N` result rows.
    #[inline(always)]
    fn each<S: Simd, const M: usize, const N: usize>(
        &self,
        simd: S,
        given: &[[f32; WIDTH]; M],
        search: &impl Look<LEN, M, N>,
    ) -> [[f32; WIDTH]; N] {
        let mut out = [[0.0; WIDTH]; N];
        for part in 0..parts::<S>() {
            let (x, counts) = (self.x.column(simd, part), self.counts.column(simd, part));
            let mut lanes = [Lanes::splat(simd, 0.0); M];
            for (lanes, row) in lanes.iter_mut().zip(given) {
                *lanes = Lanes::load(simd, row, part);
            }
            for (row, lanes) in out.iter_mut().zip(search.look(simd, &x, &counts, lanes)) {
                lanes.store(row, part);
            }
        }
        out
    }
}

/// The first `N` values; zeros if there are fewer.
#[inline(always)]
fn gather<const N: usize>(values: impl Iterator<Item = f32>) -> [f32; N] {
    let mut out = [0.0; N];
    out.iter_mut().zip(values).for_each(|(out, v)| *out = v);
    out
}
