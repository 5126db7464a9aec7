//! Multiplies tiles by columns. The accumulators are the results themselves: floats are only stored and
//! loaded between tiles, which does not change them.

use super::unpack::{simple, superblocks};
use super::{Simd, Tile};
use crate::block::Q8K;

/// The most groups in a super-block.
const GROUPS: usize = 16;

/// What a group of a column's activations gives for their sum.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Sum {
    /// The products that the levels' excess adds, negative.
    excess: i32,
    /// The sum itself.
    sum: f32,
}

/// A super-block of one column, and the sums of its groups.
#[derive(Clone, Copy)]
pub(crate) struct Superblock {
    pub(super) block: *const Q8K,
    pub(super) sums: *const Sum,
}

/// The sums of a super-block of a column, made ready once for all rows.
///
/// # Safety
/// `block` points at a super-block.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, F: superblocks::Format<S>>(block: *const Q8K, to: &mut Vec<Sum>) {
    // SAFETY: the caller's promise.
    let parts = unsafe { (&raw const (*block).bsums).read() };
    for group in parts.chunks_exact(F::GROUP / 4) {
        // If the step is zero, the parts may have any value.
        let sum = group.iter().map(|part| i32::from(*part)).sum::<i32>();
        to.push(match F::MINIMUM {
            true => Sum { sum: sum as f32 },
            false => Sum {
                excess: -F::EXCESS * sum,
            },
        });
    }
}

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
        let groups = 4 * GROUPS / F::GROUP;
        let mut sums = [[S::splat_float(0.0); C]; R];
        for group in 0..groups {
            let mut products = [[S::splat(0); C]; R];
            if F::EXCESS != 0 {
                for c in 0..C {
                    let start = S::splat((*columns[c].sums.add(group)).excess as u32);
                    for r in 0..R {
                        products[r][c] = start;
                    }
                }
            }
            for four in 0..F::GROUP / 4 {
                let at = group * F::GROUP + 4 * four;
                for c in 0..C {
                    let x = (&raw const (*columns[c].block).qs).cast::<i8>().add(4 * at);
                    for r in 0..R {
                        let levels = tiles[r].levels.as_ptr().add(at).cast();
                        products[r][c] = S::dots(F::BITS, products[r][c], &*levels, x);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    sums[r][c] = S::mul_add(sums[r][c], tiles[r].scales[group], S::float(products[r][c]));
                }
            }
        }
        if F::MINIMUM {
            for group in 0..groups {
                for c in 0..C {
                    let sum = S::splat_float((*columns[c].sums.add(group)).sum);
                    for r in 0..R {
                        sums[r][c] = S::mul_add(sums[r][c], tiles[r].minimums[group], sum);
                    }
                }
            }
        }
        for c in 0..C {
            let d = S::splat_float((*columns[c].block).d);
            for r in 0..R {
                let place = out[c].add(r * S::ROWS);
                let total = if first {
                    S::splat_float(0.0)
                } else {
                    S::load(place)
                };
                S::store(place, S::mul_add(total, sums[r][c], d));
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
                    let scale = S::scale(tiles[r].scales[block], d);
                    let mut total = S::mul_add(totals[r][c], scale, S::float(products[r][c]));
                    if F::MINIMUM {
                        total = S::mul_add(total, tiles[r].minimums[block], sum);
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
