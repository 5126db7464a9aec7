//! What a draft model would gain, computed before it is tried.
//!
//! Of `k` tokens that a draft guesses, each is accepted with the probability `a` if those before were. A pass over them
//! and the last token gives `1 + a + a² + … + aᵏ` tokens, the model's own after them included (Leviathan et al., "Fast
//! Inference from Transformers via Speculative Decoding", 2023). It takes T(k + 1), and the guesses take `k` times `c`,
//! all in the time of one token without guesses.

use super::MOST_TOKENS;

/// The gain that makes guesses worth their trouble: 2 %.
pub const LEAST_GAIN: f64 = 1.02;

/// The most guesses of a pass, which computes the last token too.
pub const MOST_GUESSES: u32 = MOST_TOKENS as u32 - 1;

/// T(n) if nothing is measured: every token more costs 6 % of a pass.
pub fn assumed_time(tokens: u32) -> f64 {
    1.0 + 0.06 * f64::from(tokens.saturating_sub(1))
}

/// How many times faster text is made if always `k` tokens are guessed. `time` is T(n), `c` what guessing a token costs,
/// both relative to one token of the model. 0 if they are no times.
pub fn speed_up(a: f64, k: u32, time: impl Fn(u32) -> f64, c: f64) -> f64 {
    let pass = time(k.saturating_add(1));
    let spent = pass + f64::from(k) * c;
    if !(pass > 0.0 && c >= 0.0 && spent.is_finite()) {
        return 0.0;
    }
    tokens_per_pass(a, k) / spent
}

/// `1 + a + … + aᵏ`: tokens that a pass gives.
fn tokens_per_pass(a: f64, k: u32) -> f64 {
    let a = a.clamp(0.0, 1.0);
    let guessed = std::iter::successors(Some(a), |accepted| Some(accepted * a)).take(k as usize);
    1.0 + guessed.sum::<f64>()
}

/// The number of guesses, at most `most`, that makes text fastest, and how many times faster that is; 0 and 1.0 if none
/// does. Of numbers that are as good it is the smallest.
pub fn best(a: f64, most: u32, time: impl Fn(u32) -> f64, c: f64) -> (u32, f64) {
    let tries = (1..=most).map(|k| (k, speed_up(a, k, &time, c)));
    tries.fold((0, 1.0), |best, next| if next.1 > best.1 { next } else { best })
}

/// The least acceptance with which some number of guesses, at most `most`, makes text `gain` times faster; `None` if not
/// even guesses that are always right do.
pub fn break_even(most: u32, gain: f64, time: impl Fn(u32) -> f64, c: f64) -> Option<f64> {
    let pays = |a: f64| (1..=most).any(|k| speed_up(a, k, &time, c) >= gain);
    if !pays(1.0) {
        return None;
    }
    // More acceptance is never slower. 40 halvings leave less than one of the numbers that an f64 tells apart near 0.001.
    let (mut too_little, mut enough) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(too_little, enough);
        if pays(middle) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTANCE: [f64; 6] = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    /// T(n) of which every token more costs `slope`.
    fn straight(slope: f64) -> impl Fn(u32) -> f64 {
        move |tokens| 1.0 + slope * f64::from(tokens - 1)
    }

    /// The table was computed elsewhere, from the closed form.
    #[test]
    fn the_best_number_of_guesses_and_its_gain() {
        /// Slope of T, cost of a guess; gain and guesses by acceptance.
        type Row = (f64, f64, [(f64, u32); 6]);
        #[rustfmt::skip]
        let table: [Row; 8] = [
            (0.03, 0.0, [(1.49, 3), (1.73, 4), (2.07, 5), (2.60, 7), (3.44, 7), (4.71, 7)]),
            (0.03, 0.07, [(1.30, 2), (1.46, 2), (1.67, 3), (1.98, 4), (2.47, 6), (3.35, 7)]),
            (0.03, 0.16, [(1.18, 1), (1.27, 2), (1.42, 2), (1.61, 3), (1.91, 4), (2.44, 7)]),
            (0.03, 0.40, [(1.00, 0), (1.05, 1), (1.12, 1), (1.19, 1), (1.31, 2), (1.51, 4)]),
            (0.14, 0.0, [(1.23, 1), (1.37, 2), (1.53, 3), (1.78, 3), (2.17, 5), (2.88, 7)]),
            (0.14, 0.16, [(1.08, 1), (1.15, 1), (1.23, 1), (1.37, 2), (1.55, 3), (1.87, 5)]),
            (0.43, 0.0, [(1.00, 0), (1.05, 1), (1.12, 1), (1.19, 1), (1.31, 2), (1.51, 4)]),
            (0.43, 0.16, [(1.00, 0), (1.00, 0), (1.01, 1), (1.07, 1), (1.13, 1), (1.24, 2)]),
        ];
        for (slope, c, row) in table {
            for (a, (gain, guesses)) in ACCEPTANCE.into_iter().zip(row) {
                let found = best(a, MOST_GUESSES, straight(slope), c);
                assert_eq!(found.0, guesses, "{slope} {c} {a}");
                assert!((found.1 - gain).abs() < 0.006, "{slope} {c} {a}: {found:?}");
            }
        }
    }

    #[test]
    fn from_the_break_even_on_it_pays() {
        for slope in [0.0, 0.03, 0.06, 0.14, 0.43, 1.0] {
            for c in [0.0, 0.07, 0.16, 0.4, 0.9] {
                let time = straight(slope);
                let gain = |a| best(a, MOST_GUESSES, &time, c).1;
                match break_even(MOST_GUESSES, LEAST_GAIN, &time, c) {
                    Some(a) => {
                        assert!(
                            gain(a) >= LEAST_GAIN && gain(a - 1e-6) < LEAST_GAIN,
                            "{slope} {c} {a}"
                        );
                        assert!((0.0..=1.0).contains(&a));
                    }
                    None => assert!(gain(1.0) < LEAST_GAIN, "{slope} {c}"),
                }
            }
        }
        // One guess of two percent: a pass of 1 + 0.03 that gives 1.0506 tokens.
        let one = break_even(1, LEAST_GAIN, straight(0.03), 0.0).expect("it pays");
        assert!((one - 0.0506).abs() < 1e-9, "{one}");
    }

    #[test]
    fn what_is_no_time_gains_nothing() {
        for (time, c) in [
            (0.0, 0.0),
            (-1.0, 0.5),
            (f64::NAN, 0.1),
            (f64::INFINITY, 0.1),
            (1.0, f64::NAN),
            (1.0, -0.5),
        ] {
            assert_eq!(best(0.9, MOST_GUESSES, |_| time, c), (0, 1.0), "{time} {c}");
            assert_eq!(break_even(MOST_GUESSES, LEAST_GAIN, |_| time, c), None);
        }
        for a in [f64::NAN, -1.0] {
            assert_eq!(best(a, MOST_GUESSES, assumed_time, 0.1), (0, 1.0));
        }
        assert_eq!(best(7.0, 3, |_| 1.0, 0.0), (3, 4.0));
    }
}
