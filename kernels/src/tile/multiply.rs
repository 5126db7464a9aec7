//! Multiplies tiles by columns. The accumulators are the results themselves: floats are only stored and
//! loaded between tiles, which does not change them.

use std::mem::offset_of;

use super::unpack::{simple, superblocks};
use super::unpack::superblocks::Minimum;
use super::{Simd, Tile};
use crate::block::Q8K;

/// A super-block of one column.
pub(crate) type Superblock = *const Q8K;

/// Adds the products of `R` tiles with `C` super-blocks of columns to `out`, or writes them if they are the
/// `first` of their rows.
///
/// # Safety
/// As [`Simd`]; each of `out` has room for `R` registers.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the indices run over several arrays")]
pub(super) unsafe fn superblock<S, F, const C: usize, const R: usize>(
    tiles: &[Tile<S>; 2],
    columns: [Superblock; C],
    out: [*mut f32; C],
    first: bool,
) where
    S: Simd,
    F: superblocks::Format<S>,
{
    // SAFETY: the caller's promise; a tile has as many registers as the loops count.
    unsafe {
        let mut sums = [[S::splat(0); C]; R];
        for group in 0..16 * 4 / F::GROUP {
            let mut products = [[S::splat(0); C]; R];
            for four in 0..F::GROUP / 4 {
                let at = group * F::GROUP + 4 * four;
                for c in 0..C {
                    let x = (&raw const (*columns[c]).qs).cast::<i8>().add(4 * at);
                    for r in 0..R {
                        let levels = tiles[r].levels.as_ptr().add(at).cast();
                        products[r][c] = S::dots(F::BITS, products[r][c], &*levels, x);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    let scaled = S::mul(products[r][c], tiles[r].scales[group]);
                    sums[r][c] = S::add(sums[r][c], scaled);
                }
            }
        }
        for c in 0..C {
            let numbers = columns[c].byte_add(offset_of!(Q8K, bsums)).cast::<i16>();
            let d = S::splat_float((*columns[c]).d);
            for r in 0..R {
                let tile = &tiles[r];
                let place = out[c].add(r * S::ROWS);
                let mut total = if first { S::splat_float(0.0) } else { S::load(place) };
                let mut sum = sums[r][c];
                let mut taken = S::splat(0);
                if F::MINIMUM != Minimum::None {
                    taken = S::pairs(taken, &tile.minimums, numbers);
                }
                if F::MINIMUM == Minimum::Excess {
                    sum = S::sub(sum, taken);
                }
                total = S::mul_add(total, S::scale(tile.steps[0], d), S::float(sum));
                if F::MINIMUM == Minimum::Scaled {
                    total = S::mul_sub(total, S::scale(tile.offsets[0], d), S::float(taken));
                }
                S::store(place, total);
            }
        }
    }
}

/// The steps of one block of a column, made ready once for all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The step.
    d: f32,
    /// The sum times the step, if the rows have minimums.
    sum: f32,
    /// What the levels' excess adds to a product, negative.
    excess: i32,
}

/// A part of a column: its first block, and the blocks' steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(super) blocks: *const u8,
    pub(super) steps: *const Step,
}

/// Bytes of a block of the columns that `F` is multiplied by.
pub(super) const fn column_bytes<S: Simd, F: simple::Format<S>>() -> usize {
    if F::MINIMUM { 36 } else { 34 }
}

/// Makes a block's steps ready.
///
/// # Safety
/// As [`Simd`]; `block` points at a block of [`column_bytes`].
#[inline(always)]
pub(super) unsafe fn step<S: Simd, F: simple::Format<S>>(block: *const u8) -> Step {
    // SAFETY: the caller's promise.
    unsafe {
        let half = |at: usize| S::narrow(block.add(at).cast::<u16>().read_unaligned());
        let mut excess = 0;
        if F::EXCESS != 0 {
            for at in 0..32 {
                excess -= i32::from(*block.add(2 + at).cast::<i8>());
            }
        }
        Step {
            d: half(0),
            sum: if F::MINIMUM { half(2) } else { 0.0 },
            excess: excess * F::EXCESS,
        }
    }
}

/// As [`superblock`], for `blocks` simple blocks.
///
/// # Safety
/// As [`superblock`]; the columns have `blocks` blocks.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the indices run over several arrays")]
pub(super) unsafe fn blocks<S, F, const C: usize, const R: usize>(
    tiles: &[Tile<S>; 2],
    blocks: usize,
    columns: [Part; C],
    out: [*mut f32; C],
    first: bool,
) where
    S: Simd,
    F: simple::Format<S>,
{
    // SAFETY: the caller's promise; a tile has as many registers as the loops count.
    unsafe {
        let bytes = column_bytes::<S, F>();
        let mut totals = [[S::splat_float(0.0); C]; R];
        if !first {
            for r in 0..R {
                for c in 0..C {
                    totals[r][c] = S::load(out[c].add(r * S::ROWS));
                }
            }
        }
        for block in 0..blocks {
            let mut products = [[S::splat(0); C]; R];
            for c in 0..C {
                let step = &*columns[c].steps.add(block);
                let start = S::splat(step.excess as u32);
                let x = columns[c].blocks.add((block + 1) * bytes - 32).cast::<i8>();
                for r in 0..R {
                    let levels = tiles[r].levels.as_ptr().add(8 * block).cast::<[S::V; 4]>();
                    products[r][c] = S::dots(F::BITS, start, &*levels, x);
                    products[r][c] = S::dots(F::BITS, products[r][c], &*levels.add(1), x.add(16));
                }
            }
            for c in 0..C {
                let step = &*columns[c].steps.add(block);
                let (d, sum) = (S::splat_float(step.d), S::splat_float(step.sum));
                for r in 0..R {
                    let scale = S::scale(tiles[r].steps[block], d);
                    let mut total = S::mul_add(totals[r][c], scale, S::float(products[r][c]));
                    if F::MINIMUM {
                        total = S::mul_add(total, tiles[r].offsets[block], sum);
                    }
                    totals[r][c] = total;
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                S::store(out[c].add(r * S::ROWS), totals[r][c]);
            }
        }
    }
}
