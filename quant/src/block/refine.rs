//! The search of `--effort high`: more time for less error, in the same formats.
//!
//! ggml rounds the scales of a super-block once and leaves them there. Here the integers around each rounded scale
//! and minimum are tried with the levels that suit each of them, the common factors are fitted anew to the integers
//! and levels found, and all that is done for several factors to start from.
//!
//! What is made small is the sum of squared errors, each counted by `sqrt(8 * m + x^2)`, where m is the mean square of
//! the weights around x. ggml counts by the root of m plus |x|; the factor 8 lies between that and counting all alike, so
//! that the plain error falls the most while ggml's weighted one falls as well. With an importance matrix an error
//! counts as in [`super::weighted`].

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

/// How much the surroundings of a weight count beside its own square.
const AROUND: f32 = 8.0;

/// Quantizes rows of as many weights as `importance` has, or one row of any length without it.
///
/// # Panics
/// Where `src` is no whole number of such rows, `dst` has not the bytes for them, or `ty` is not one that
/// [`super::weighted::supports`] names.
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

/// A row, and how much an error in each of its weights counts.
#[derive(Clone, Copy)]
struct Counts<'a> {
    importance: Option<&'a [f32]>,
    x: &'a [f32],
}

impl<'a> Counts<'a> {
    /// Parts of `LEN` weights with their counts, as `count` says.
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

/// How much errors in `x` count where `square` is the mean square around them; `around` is how much that counts beside
/// their own squares where an importance matrix weighs the columns.
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

    /// Looks in each part of the lanes with the `M` rows given, and gathers the `N` found.
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

/// The first `N` of some values; zeros where there are fewer.
#[inline(always)]
fn gather<const N: usize>(values: impl Iterator<Item = f32>) -> [f32; N] {
    let mut out = [0.0; N];
    out.iter_mut().zip(values).for_each(|(out, v)| *out = v);
    out
}
