//! The scales of a super-block as 6-bit integers times a common factor.

use super::super::bits::nearest;
use super::super::q6_k::NOTHING;
use super::super::scale_min::SUBS;

const TOP: i32 = 63;

/// Returns the factor and the integers: `values` ~ factor * integers, with each error weighted by `counts`.
/// No value may be negative.
///
/// The search tries nine factors. Then it moves each integer in turn to its best position, given the others,
/// up to five times.
pub(super) fn six_bits(values: &[f32; SUBS], counts: &[f32; SUBS]) -> (f32, [u8; SUBS]) {
    let max = values.iter().fold(0.0, |max: f32, v| max.max(*v));
    if max < NOTHING {
        return (0.0, [0; SUBS]);
    }
    let inverse = best_inverse(values, counts, max);
    let mut levels = values.map(|v| nearest(inverse * v).min(TOP));
    let (mut sum_xl, mut sum_l2) = (0.0, 0.0);
    for ((x, w), l) in values.iter().zip(counts).zip(levels) {
        sum_xl += w * x * l as f32;
        sum_l2 += w * l as f32 * l as f32;
    }
    for _ in 0..5 {
        let before = levels;
        for ((x, w), level) in values.iter().zip(counts).zip(&mut levels) {
            let l = *level as f32;
            let (mut xl, mut l2) = (sum_xl - w * x * l, sum_l2 - w * l * l);
            if !(xl > 0.0 && l2 > 0.0) {
                continue;
            }
            let new = nearest(x * l2 / xl).min(TOP);
            if new == *level {
                continue;
            }
            xl += w * x * new as f32;
            l2 += w * new as f32 * new as f32;
            if xl * xl * sum_l2 > sum_xl * sum_xl * l2 {
                (*level, sum_xl, sum_l2) = (new, xl, l2);
            }
        }
        if levels == before {
            break;
        }
    }
    let factor = if sum_l2 > 0.0 { sum_xl / sum_l2 } else { 0.0 };
    (factor, levels.map(|l| l as u8))
}

/// Returns the inverse of the factor with the least error, out of several around `max / 63`.
fn best_inverse(values: &[f32; SUBS], counts: &[f32; SUBS], max: f32) -> f32 {
    let error = |inverse: f32| {
        let scale = 1.0 / inverse;
        values.iter().zip(counts).fold(0.0, |error, (x, w)| {
            let off = x - scale * nearest(inverse * x).min(TOP) as f32;
            error + w * off * off
        })
    };
    let mut best = TOP as f32 / max;
    let mut least = error(best);
    for step in (-4..=4i8).filter(|step| *step != 0) {
        let inverse = (0.1 * f32::from(step) + TOP as f32) / max;
        let error = error(inverse);
        if error < least {
            (least, best) = (error, inverse);
        }
    }
    best
}
