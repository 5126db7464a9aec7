//! Quantization weighted by an importance matrix, as ggml does it.
//!
//! An error in a weight counts by the importance of its column. For most formats, this is multiplied by the
//! square root of the surrounding mean square plus the weight's own square. The K formats search for scales
//! as without importance; q4_K and q5_K have a finer ladder and also search for the 6-bit scales. Formats
//! with blocks of 32 have a search only here. All results are bit-identical to those of
//! `ggml_quantize_chunk` with an importance matrix.

use bytemuck::cast_slice_mut;
use pulp::Simd;

use super::SUPER;
use super::lanes::{Isa, Lanes, Tile, WIDTH, parts};
use super::scale_min::Format;
use super::{q4_0, q4_1, q4_k, q5_0, q5_1, q5_k};
use siskin_model::TensorType;

pub(super) mod scale;
mod scale_min;
mod six_bits;

/// True if importance changes the result for `ty`: 8-bit blocks and floats are rounded without a search.
pub(super) fn supports(ty: TensorType) -> bool {
    use TensorType as T;
    matches!(
        ty,
        T::Q4_0 | T::Q4_1 | T::Q5_0 | T::Q5_1 | T::Q4K | T::Q5K | T::Q6K
    )
}

/// Quantizes rows of `importance.len()` weights.
///
/// # Panics
/// If `src` is not a whole number of such rows, `dst` has another size than their bytes, or [`supports`]
/// rejects `ty`.
pub(super) fn quantize_rows(isa: Isa, ty: TensorType, importance: &[f32], src: &[f32], dst: &mut [u8]) {
    super::check(ty, src.len(), dst.len());
    super::each_row(importance.len(), src, dst, |x, out| {
        row(isa, ty, importance, x, out)
    });
}

fn row(isa: Isa, ty: TensorType, importance: &[f32], x: &[f32], out: &mut [u8]) {
    match ty {
        TensorType::Q4_0 => scale::row(isa, x, importance, cast_slice_mut(out), q4_0::Block::pack, 8.0),
        TensorType::Q5_0 => scale::row(isa, x, importance, cast_slice_mut(out), q5_0::Block::pack, 16.0),
        TensorType::Q4_1 => scale_min::row(isa, x, importance, cast_slice_mut(out), q4_1::Block::pack, 15.0),
        TensorType::Q5_1 => scale_min::row(isa, x, importance, cast_slice_mut(out), q5_1::Block::pack, 31.0),
        TensorType::Q4K => {
            scale_min::supers(isa, x, importance, cast_slice_mut(out), q4_k::Block::pack, 15.0)
        }
        TensorType::Q5K => {
            scale_min::supers(isa, x, importance, cast_slice_mut(out), q5_k::Block::pack, 31.0)
        }
        TensorType::Q6K => scale::supers(isa, x, importance, cast_slice_mut(out)),
        other => panic!("{other} is not searched for"),
    }
}

/// A search with one sub-block per lane: `M` inputs, `N` results. It is a trait and not a closure, because a
/// closure that is not inlined is compiled for the target's baseline instruction set.
pub(super) trait Look<const LEN: usize, const M: usize, const N: usize> {
    /// `counts` is how much an error in each of the weights `x` counts. Must be marked `#[inline(always)]`.
    fn look<S: Simd>(
        &self,
        simd: S,
        x: &[Lanes<S>; LEN],
        counts: &[Lanes<S>; LEN],
        given: [Lanes<S>; M],
    ) -> [Lanes<S>; N];
}

/// `WIDTH` sub-blocks side by side: their weights, the importance of each weight, and the surrounding mean
/// square of each sub-block.
struct Side<const LEN: usize> {
    x: Tile<LEN>,
    importance: Tile<LEN>,
    typical: Tile<1>,
}

impl<const LEN: usize> Side<LEN> {
    /// `typical` is the mean square that is added to a weight's own square.
    #[inline(always)]
    fn new(x: &[[f32; LEN]], importance: &[[f32; LEN]], typical: [f32; WIDTH]) -> Self {
        Self {
            x: Tile::new(x),
            importance: Tile::new(importance),
            typical: Tile::new(&typical.map(|v| [v])),
        }
    }

    /// Runs `search` on each part of the lanes, with the weights and how much an error in each counts;
    /// collects the results.
    #[inline(always)]
    fn each<S: Simd, const N: usize>(&self, simd: S, search: &impl Look<LEN, 0, N>) -> [[f32; WIDTH]; N] {
        let mut out = [[0.0; WIDTH]; N];
        for part in 0..parts::<S>() {
            let (x, mut counts) = (self.x.column(simd, part), self.importance.column(simd, part));
            let [typical] = self.typical.column(simd, part);
            for (count, x) in counts.iter_mut().zip(x) {
                *count = *count * (typical + x * x).sqrt();
            }
            for (row, lanes) in out.iter_mut().zip(search.look(simd, &x, &counts, [])) {
                lanes.store(row, part);
            }
        }
        out
    }
}

/// The mean square of `x`, summed in order as in ggml.
#[inline(always)]
pub(super) fn mean_square(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |sum, v| sum + v * v) / x.len() as f32
}
