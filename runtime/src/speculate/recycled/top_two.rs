//! The two largest of many numbers in one pass.

use pulp::{Simd, WithSimd};

/// Numbers of which the largest is found before any position matters.
const CHUNK: usize = 256;

/// The positions of the two largest numbers, the first of equals, and how much larger the largest is. If there is one
/// number only, the second position is -1 and the gap infinite. What is not a number, or negative infinity, is ignored.
///
/// The pass takes maxima of chunks. The largest number is in the chunk with the largest maximum, the second largest
/// is there too or is the maximum of another chunk; these two chunks are looked at again.
pub(super) fn top_two(logits: &[f32]) -> Option<(i32, i32, f32)> {
    let chunks = pulp::Arch::new().dispatch(Chunks(logits));
    let [(top, at), (other, other_at)] = chunks;
    if top == f32::NEG_INFINITY {
        return None;
    }
    let first = position(logits, at, top)?;
    let chunk = logits.iter().enumerate().skip(at).take(CHUNK);
    let mut second = (
        other,
        position(logits, other_at, other).filter(|_| other > f32::NEG_INFINITY),
    );
    for (number, &logit) in chunk.filter(|&(number, _)| number != first) {
        if logit > second.0 || logit == second.0 && second.1.is_some_and(|it| number < it) {
            second = (logit, Some(number));
        }
    }
    let gap = second.1.map_or(f32::INFINITY, |_| top - second.0);
    let id = |number: usize| i32::try_from(number).ok();
    // Two infinite ones are equals.
    let gap = if gap.is_nan() { 0.0 } else { gap };
    Some((id(first)?, second.1.and_then(id).unwrap_or(-1), gap))
}

fn position(logits: &[f32], start: usize, wanted: f32) -> Option<usize> {
    let chunk = logits.get(start..)?.iter().take(CHUNK);
    chunk
        .into_iter()
        .position(|&logit| logit == wanted)
        .map(|it| start + it)
}

/// Finds the two chunks with the largest maxima: each maximum, and where its chunk begins.
struct Chunks<'a>(&'a [f32]);

impl WithSimd for Chunks<'_> {
    type Output = [(f32, usize); 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut best = [(f32::NEG_INFINITY, 0); 2];
        let mut start = 0;
        for chunk in self.0.chunks(CHUNK) {
            let largest = largest(simd, chunk);
            if largest > best[0].0 {
                best = [(largest, start), best[0]];
            } else if largest > best[1].0 {
                best[1] = (largest, start);
            }
            start += CHUNK;
        }
        best
    }
}

/// The largest number of a chunk; negative infinity if there is none.
#[inline(always)]
fn largest<S: Simd>(simd: S, chunk: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(chunk);
    let lowest = simd.splat_f32s(f32::NEG_INFINITY);
    // Four at a time: a maximum takes four cycles, and the next one waits for it.
    let mut largest = [lowest; 4];
    let (fours, others) = pulp::as_arrays::<4, _>(vectors);
    for four in fours {
        largest[0] = larger(simd, four[0], largest[0]);
        largest[1] = larger(simd, four[1], largest[1]);
        largest[2] = larger(simd, four[2], largest[2]);
        largest[3] = larger(simd, four[3], largest[3]);
    }
    for &vector in others {
        largest[0] = larger(simd, vector, largest[0]);
    }
    largest[0] = larger(simd, largest[0], largest[1]);
    largest[2] = larger(simd, largest[2], largest[3]);
    let mut most = simd.reduce_max_f32s(larger(simd, largest[0], largest[2]));
    for &number in rest {
        most = if number > most { number } else { most };
    }
    most
}

/// The larger number of each lane; `known` if `new` is not a number. Instructions for maxima differ in that.
#[inline(always)]
fn larger<S: Simd>(simd: S, new: S::f32s, known: S::f32s) -> S::f32s {
    simd.select_f32s(simd.greater_than_f32s(new, known), new, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the order of all of them.
    fn expected(logits: &[f32]) -> Option<(i32, i32, f32)> {
        let mut all: Vec<(i32, f32)> = (0..).zip(logits.iter().copied()).collect();
        all.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).expect("numbers"));
        let &(first, top) = all.first()?;
        Some(match all.get(1) {
            Some(&(second, other)) if top == other => (first, second, 0.0),
            Some(&(second, other)) => (first, second, top - other),
            None => (first, -1, f32::INFINITY),
        })
    }

    #[test]
    fn the_two_largest_are_those_of_the_sorted_list() {
        let mut random = fastrand::Rng::with_seed(1);
        for tokens in [
            1_usize, 2, 3, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2048, 5000, 32_000,
        ] {
            for levels in [1, 2, 50, 1_000_000] {
                let mut logits: Vec<f32> = (0..tokens)
                    .map(|_| random.i32(-levels..levels) as f32 / 7.0)
                    .collect();
                assert_eq!(top_two(&logits), expected(&logits), "{tokens} {levels}");
                for bad in [f32::NAN, -f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
                    (0..tokens.div_ceil(9)).for_each(|_| logits[random.usize(0..tokens)] = bad);
                    assert_eq!(top_two(&logits), expected(&logits), "{tokens} {levels} {bad}");
                }
            }
        }
    }

    #[test]
    fn where_no_number_is_nothing_is_found() {
        for logits in [&[][..], &[f32::NAN; 70], &[f32::NEG_INFINITY; 2000]] {
            assert_eq!(top_two(logits), None);
        }
    }

    #[test]
    fn both_are_found_wherever_they_are() {
        for (first, second) in [
            (0, 1),
            (1, 0),
            (0, 2999),
            (2999, 0),
            (1023, 1024),
            (1024, 1023),
            (1500, 1501),
        ] {
            let mut logits = vec![-5.0; 3000];
            (logits[first], logits[second]) = (3.0, 1.0);
            assert_eq!(top_two(&logits), Some((first as i32, second as i32, 2.0)));
        }
    }
}
