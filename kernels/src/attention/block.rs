//! The algorithm, for any width of registers: online softmax over blocks of positions.

use super::Attention;
use super::lanes::Lanes;

/// The longest head, in numbers.
pub const MAX_DIM: usize = 256;
/// Positions that are scored before their values are summed.
const BLOCK: usize = 256;
/// Positions that are scored together.
const POSITIONS: usize = 4;

/// What `H` heads have summed so far.
struct Sums<const H: usize> {
    /// `[H][dim]`, sums of weighted values.
    values: [[f32; MAX_DIM]; H],
    /// The largest score so far.
    most: [f32; H],
    /// The sum of the weights relative to `most`.
    weight: [f32; H],
}

/// # Safety
/// As [`super::AttentionKernel::run`], inlined into a function compiled for `L`.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(a: &Attention) {
    // SAFETY: the caller's promise.
    unsafe {
        match Attention::tile(a.group) {
            4 => heads::<L, 4>(a),
            2 => heads::<L, 2>(a),
            _ => heads::<L, 1>(a),
        }
    }
}

/// Computes this thread's tiles of `H` heads.
///
/// # Safety
/// As [`run`]; the heads of `a` are whole tiles of `H`.
#[inline(always)]
unsafe fn heads<L: Lanes, const H: usize>(a: &Attention) {
    // SAFETY: the caller's promise.
    unsafe {
        let seen = seen(a);
        for first in a.heads.clone().step_by(H) {
            let mut sums = Sums::<H> {
                values: [[0.0; MAX_DIM]; H],
                most: [f32::NEG_INFINITY; H],
                weight: [0.0; H],
            };
            let mut scores = [[0f32; BLOCK]; H];
            for start in seen.clone().step_by(BLOCK) {
                let count = BLOCK.min(seen.end - start);
                score::<L, H>(a, first, start, count, &mut scores);
                let kept = weigh::<L, H>(count, &mut scores, &mut sums);
                add_values::<L, H>(a, first, start, count, &scores, kept, &mut sums);
            }
            for h in 0..H {
                let total = sums.weight[h];
                let out = a.out.row(first + h);
                for d in 0..a.dim {
                    out.add(d).write(if total == 0.0 {
                        0.0
                    } else {
                        sums.values[h][d] / total
                    });
                }
            }
        }
    }
}

/// The positions without those that are masked out at either end: caches are padded.
///
/// # Safety
/// If `a` has a mask, it has a number for each position.
unsafe fn seen(a: &Attention) -> std::ops::Range<usize> {
    const MINUS_INFINITY: u16 = 0xfc00;
    if a.mask.is_null() {
        return 0..a.positions;
    }
    // SAFETY: the mask has a number for each position.
    let masked = |at: usize| unsafe { *a.mask.add(at) } == MINUS_INFINITY;
    let mut range = 0..a.positions;
    while !range.is_empty() && masked(range.end - 1) {
        range.end -= 1;
    }
    while !range.is_empty() && masked(range.start) {
        range.start += 1;
    }
    range
}

#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "the indices run over several arrays: heads, positions, lanes"
)]
/// Computes `scores[h][p]` of `count` positions from `start` on, and fills up to a whole register with minus
/// infinity.
///
/// # Safety
/// As [`run`]; `first + H` is at most the number of heads, `start + count` that of positions.
unsafe fn score<L: Lanes, const H: usize>(
    a: &Attention,
    first: usize,
    start: usize,
    count: usize,
    scores: &mut [[f32; BLOCK]; H],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let kv = first / a.group;
        for at in (0..count).step_by(POSITIONS) {
            // The last position fills the missing places.
            let keys: [*const u16; POSITIONS] =
                std::array::from_fn(|p| a.k.row(kv, start + (at + p).min(count - 1)));
            let mut products = [[L::splat(0.0); POSITIONS]; H];
            for d in (0..a.dim).step_by(L::COUNT) {
                let mut key = [L::splat(0.0); POSITIONS];
                for p in 0..POSITIONS {
                    key[p] = L::load_half(keys[p].add(d));
                }
                for h in 0..H {
                    let query = L::load(a.q.row(first + h).add(d));
                    for p in 0..POSITIONS {
                        products[h][p] = L::mul_add(query, key[p], products[h][p]);
                    }
                }
            }
            for p in 0..POSITIONS {
                let bias = if a.mask.is_null() || at + p >= count {
                    0.0
                } else {
                    L::half(*a.mask.add(start + at + p))
                };
                for h in 0..H {
                    let score = L::sum(products[h][p]) * a.scale + bias;
                    scores[h][at + p] = if at + p < count { score } else { f32::NEG_INFINITY };
                }
            }
        }
        for row in scores {
            row[count.next_multiple_of(POSITIONS).min(BLOCK)..count.next_multiple_of(16).min(BLOCK)]
                .fill(f32::NEG_INFINITY);
        }
    }
}

/// Turns scores into weights relative to the largest score so far. The caller must multiply earlier sums by
/// the returned factors.
///
/// # Safety
/// The CPU has `L`'s instructions; inlined into a function that is compiled for them.
#[inline(always)]
unsafe fn weigh<L: Lanes, const H: usize>(
    count: usize,
    scores: &mut [[f32; BLOCK]; H],
    sums: &mut Sums<H>,
) -> [f32; H] {
    let mut kept = [1.0; H];
    for h in 0..H {
        let row = &mut scores[h][..count.next_multiple_of(16)];
        let most = row.iter().fold(sums.most[h], |most, score| most.max(*score));
        if most == f32::NEG_INFINITY {
            row.fill(0.0);
            continue;
        }
        if sums.most[h] < most {
            kept[h] = (sums.most[h] - most).exp();
            sums.most[h] = most;
        }
        // SAFETY: the row is a whole number of registers.
        unsafe {
            let mut total = L::splat(0.0);
            for at in (0..row.len()).step_by(L::COUNT) {
                let place = row.as_mut_ptr().add(at);
                let weights = exp::<L>(L::sub(L::load(place), L::splat(most)));
                total = L::mul_add(weights, L::splat(1.0), total);
                L::store(place, weights);
            }
            sums.weight[h] = sums.weight[h] * kept[h] + L::sum(total);
        }
    }
    kept
}

#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "the indices run over several arrays: heads, positions, lanes"
)]
/// Adds values times weights to the earlier sums times `kept`.
///
/// # Safety
/// As [`run`]; `first + H` is at most the number of heads, `start + count` that of positions.
unsafe fn add_values<L: Lanes, const H: usize>(
    a: &Attention,
    first: usize,
    start: usize,
    count: usize,
    weights: &[[f32; BLOCK]; H],
    kept: [f32; H],
    sums: &mut Sums<H>,
) {
    /// Registers of values for each head at a time.
    const WIDE: usize = 2;
    // SAFETY: the caller's promise. With 16 lanes, `dim` may be an odd number of registers; the last step
    // then takes its one register twice and stores the same numbers twice.
    unsafe {
        let kv = first / a.group;
        for d in (0..a.dim).step_by(L::COUNT * WIDE) {
            let at: [usize; WIDE] = std::array::from_fn(|w| (d + w * L::COUNT).min(a.dim - L::COUNT));
            let mut acc = [[L::splat(0.0); WIDE]; H];
            for h in 0..H {
                for w in 0..WIDE {
                    acc[h][w] = L::mul(L::load(sums.values[h].as_ptr().add(at[w])), L::splat(kept[h]));
                }
            }
            for p in 0..count {
                let row = a.v.row(kv, start + p);
                let mut value = [L::splat(0.0); WIDE];
                for w in 0..WIDE {
                    value[w] = L::load_half(row.add(at[w]));
                }
                for h in 0..H {
                    let weight = L::splat(weights[h][p]);
                    for w in 0..WIDE {
                        acc[h][w] = L::mul_add(weight, value[w], acc[h][w]);
                    }
                }
            }
            for h in 0..H {
                for w in (0..WIDE).rev() {
                    L::store(sums.values[h].as_mut_ptr().add(at[w]), acc[h][w]);
                }
            }
        }
    }
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
        let y = L::max(x, floor);
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
