//! Some columns over one block of cells: scores, weights (online softmax), and the sums of weighted values.
//!
//! A column's operations and their order are the same in a tile of any width.

use super::cells::BLOCK;
use super::lanes::Lanes;
use super::rows::Rows;

/// A token's head.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// Its query.
    pub(super) q: *const f32,
    /// Its result, which has the sums of weighted values meanwhile.
    pub(super) out: *mut f32,
    pub(super) sums: *mut Sums,
}

/// What a column has summed so far, apart from its values.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    /// The largest score.
    pub(super) most: f32,
    /// The sum of the weights relative to `most`.
    pub(super) weight: f32,
    /// What earlier sums must be multiplied by.
    pub(super) kept: f32,
    /// Scores of a block's cells, and then their weights.
    pub(super) scores: [f32; BLOCK],
}

impl Sums {
    pub(super) const EMPTY: Sums = Sums {
        most: f32::NEG_INFINITY,
        weight: 0.0,
        kept: 0.0,
        scores: [0.0; BLOCK],
    };
}

/// Some of a block's cells.
#[derive(Clone, Copy)]
pub(super) struct Cells<R> {
    /// The first, in the block.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Their keys or values.
    pub(super) rows: R,
    /// Numbers per head.
    pub(super) dim: usize,
}

/// Computes the products of queries and keys.
///
/// # Safety
/// The columns' and cells' rows have `dim` numbers, a multiple of 16; the columns have sums that nothing else
/// uses; a block has at most [`BLOCK`] cells; otherwise as [`Lanes`].
#[inline(always)]
pub(super) unsafe fn score<L: Lanes, R: Rows, const H: usize>(columns: [Column; H], cells: Cells<R>) {
    // As many sums as there are registers for, and enough that none waits for its last product.
    // SAFETY: the caller's promise.
    unsafe {
        if H == 1 || (H == 2 && L::COLUMNS == 4) {
            score_of::<L, R, H, 8>(columns, cells);
        } else {
            score_of::<L, R, H, 4>(columns, cells);
        }
    }
}

/// [`score`] with `P` cells at a time, 4 or 8.
///
/// # Safety
/// As [`score`].
#[inline(always)]
unsafe fn score_of<L: Lanes, R: Rows, const H: usize, const P: usize>(columns: [Column; H], cells: Cells<R>) {
    // SAFETY: the caller's promise; `BLOCK` is a multiple of `P`.
    unsafe {
        for at in (0..cells.count).step_by(P) {
            // The last cell fills the missing places.
            let keys: [*const u8; P] = std::array::from_fn(|p| cells.rows.row((at + p).min(cells.count - 1)));
            let mut products = [[L::splat(0.0); P]; H];
            for d in (0..cells.dim).step_by(L::COUNT) {
                let mut queries = [L::splat(0.0); H];
                for h in 0..H {
                    queries[h] = L::load(columns[h].q.add(d));
                }
                for p in 0..P {
                    let key = R::load::<L>(keys[p], d);
                    for h in 0..H {
                        products[h][p] = L::mul_add(queries[h], key, products[h][p]);
                    }
                }
            }
            for h in 0..H {
                for four in (0..P).step_by(4) {
                    let sums = std::array::from_fn(|p| products[h][four + p]);
                    let scores = (&raw mut (*columns[h].sums).scores).cast::<f32>();
                    L::store_sums(sums, scores.add(cells.first + at + four));
                }
            }
        }
    }
}

/// Turns the products of a block of `count` cells into weights relative to the largest score so far. `bias` is
/// added to the scores; it is minus infinity after the last cell.
///
/// # Safety
/// As [`score`].
#[inline(always)]
pub(super) unsafe fn weigh<L: Lanes>(sums: &mut Sums, count: usize, bias: &[f32; BLOCK], scale: f32) {
    let end = count.next_multiple_of(16);
    let (scores, bias) = (sums.scores.as_mut_ptr(), bias.as_ptr());
    // SAFETY: the caller's promise; `BLOCK` is a multiple of 16, and 16 of a register.
    unsafe {
        let (scale, mut top) = (L::splat(scale), L::splat(f32::NEG_INFINITY));
        for at in (0..end).step_by(L::COUNT) {
            let score = L::mul_add(L::load(scores.add(at)), scale, L::load(bias.add(at)));
            L::store(scores.add(at), score);
            top = L::max(score, top);
        }
        let most = sums.most.max(L::largest(top));
        if most == f32::NEG_INFINITY {
            // No weight, but what is not a number must not be lost: it tells of damaged weights.
            for at in 0..end {
                let is_number = at >= count || !(*scores.add(at)).is_nan();
                scores.add(at).write(if is_number { 0.0 } else { f32::NAN });
                sums.weight += *scores.add(at);
            }
            sums.kept = 1.0;
            return;
        }
        sums.kept = if sums.most < most {
            (sums.most - most).exp()
        } else {
            1.0
        };
        sums.most = most;
        let mut total = L::splat(0.0);
        for at in (0..end).step_by(L::COUNT) {
            let weight = exp::<L>(L::sub(L::load(scores.add(at)), L::splat(most)));
            total = L::mul_add(weight, L::splat(1.0), total);
            L::store(scores.add(at), weight);
        }
        sums.weight = sums.weight * sums.kept + L::sum(total);
    }
}

/// Adds values times weights to the earlier sums, which are multiplied by `kept` before a block's first cell.
///
/// # Safety
/// As [`score`].
#[inline(always)]
pub(super) unsafe fn add_values<L: Lanes, R: Rows, const H: usize>(columns: [Column; H], cells: Cells<R>) {
    // SAFETY: the caller's promise; `dim` is a multiple of a register.
    unsafe {
        let mut d = 0;
        if H * 4 <= L::COLUMNS * 2 {
            d = add_wide::<L, R, H, 8>(columns, cells, d);
        }
        d = add_wide::<L, R, H, 4>(columns, cells, d);
        add_wide::<L, R, H, 1>(columns, cells, d);
    }
}

/// [`add_values`] from number `d` of each row on, `W` registers at a time. Returns the first number that is
/// left.
///
/// # Safety
/// As [`score`].
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "the indices run over several arrays: columns, registers"
)]
unsafe fn add_wide<L: Lanes, R: Rows, const H: usize, const W: usize>(
    columns: [Column; H],
    cells: Cells<R>,
    mut d: usize,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let kept: [f32; H] = std::array::from_fn(|h| {
            if cells.first == 0 {
                (*columns[h].sums).kept
            } else {
                1.0
            }
        });
        let weights: [*const f32; H] = std::array::from_fn(|h| {
            (&raw const (*columns[h].sums).scores)
                .cast::<f32>()
                .add(cells.first)
        });
        while d + W * L::COUNT <= cells.dim {
            let mut sums = [[L::splat(0.0); W]; H];
            for h in 0..H {
                for w in 0..W {
                    let earlier = L::load(columns[h].out.add(d + w * L::COUNT));
                    sums[h][w] = L::mul(earlier, L::splat(kept[h]));
                }
            }
            for p in 0..cells.count {
                let row = cells.rows.row(p);
                let mut values = [L::splat(0.0); W];
                for w in 0..W {
                    values[w] = R::load::<L>(row, d + w * L::COUNT);
                }
                for h in 0..H {
                    let weight = L::splat(*weights[h].add(p));
                    for w in 0..W {
                        sums[h][w] = L::mul_add(weight, values[w], sums[h][w]);
                    }
                }
            }
            for h in 0..H {
                for w in 0..W {
                    L::store(columns[h].out.add(d + w * L::COUNT), sums[h][w]);
                }
            }
            d += W * L::COUNT;
        }
    }
    d
}

/// e to the power of `x`, which must not be positive, with a relative error of 2e-7: 2^n times a polynomial
/// on half an octave to either side of 1 (Cephes' `expf`). Below -87 the result is 0.
///
/// # Safety
/// The CPU has `L`'s instructions; inlined into a function that is compiled for them.
#[inline(always)]
unsafe fn exp<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller's promise.
    unsafe {
        let floor = L::splat(-87.0);
        // In this order, what is not a number stays so on x86, too.
        let y = L::max(floor, x);
        let n = L::round(L::mul(y, L::splat(std::f32::consts::LOG2_E)));
        let r = L::mul_add(n, L::splat(-0.693_359_4), y);
        let r = L::mul_add(n, L::splat(2.121_944_4e-4), r);
        let mut p = L::splat(1.987_569_1e-4);
        for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
            p = L::mul_add(p, r, L::splat(c));
        }
        let p = L::mul_add(L::mul(p, r), r, L::mul_add(r, L::splat(1.0), L::splat(1.0)));
        L::zero_below(x, floor, L::mul(p, L::power_of_two(n)))
    }
}
