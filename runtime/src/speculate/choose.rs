//! How many guesses a pass has.

use super::pair::LEAST_GAIN;

/// How many guesses each of several texts gets that are computed together, and how many times the tokens a second that is
/// expected to give. `offers` has, for each text, how likely each of its guesses is right if those before it are;
/// `time` is what a pass over so many tokens takes, in any unit, and `spent` what guessing took, in the same unit. A pass
/// has at most `most` tokens.
///
/// With one text it is the k that makes `(1 + a1 + a1 a2 + …) / T(k + 1)` largest (Leviathan et al., 2023, "Fast
/// inference from transformers via speculative decoding"). With several, the guess that is most likely to be kept goes
/// first, whoever's it is, so the more texts there are, the surer a guess must be.
pub(super) fn share(
    offers: &[Vec<f64>],
    most: usize,
    time: impl Fn(usize) -> f64,
    spent: f64,
) -> (Vec<usize>, f64) {
    let texts = offers.len();
    let mut counts = vec![0; texts];
    // How likely each guess is kept, which is less for each later one of a text.
    let mut gains: Vec<(f64, usize)> = Vec::new();
    for (text, offer) in offers.iter().enumerate() {
        let mut kept = 1.0;
        for chance in offer {
            kept *= chance.clamp(0.0, 1.0);
            gains.push((kept, text));
        }
    }
    // A stable sort keeps the order of a text's equal guesses.
    gains.sort_by(|a, b| b.0.total_cmp(&a.0));
    gains.truncate(most.saturating_sub(texts));
    let plain = texts as f64 / time(texts);
    let mut expected = texts as f64;
    let mut best = (0, LEAST_GAIN * plain);
    for (index, (kept, _)) in gains.iter().enumerate() {
        expected += kept;
        let rate = expected / (time(texts + index + 1) + spent);
        if rate >= best.1 {
            best = (index + 1, rate);
        }
    }
    for (_, text) in &gains[..best.0] {
        counts[*text] += 1;
    }
    let times = if best.0 == 0 { 1.0 } else { best.1 / plain };
    (counts, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_number_of_guesses_for_one_text() {
        /// What another token costs, how likely each guess is right, the best number, the speed-up.
        type Case = (f64, f64, usize, f64);
        let cases: [Case; 8] = [
            // Leviathan's formula, as in the published table for draft tokens that cost nothing.
            (0.03, 0.4, 3, 1.49),
            (0.03, 0.6, 5, 2.07),
            (0.03, 0.8, 7, 3.44),
            (0.14, 0.6, 3, 1.53),
            (0.43, 0.7, 1, 1.19),
            (0.43, 0.4, 0, 1.0),
            (0.0, 0.0, 0, 1.0),
            (0.0, 1.0, 7, 8.0),
        ];
        for (step, chance, want, speed) in cases {
            let (counts, times) = share(&[vec![chance; 7]], 8, |n| 1.0 + step * (n - 1) as f64, 0.0);
            assert_eq!(counts, [want], "step {step}, chance {chance}");
            assert!(
                (times - speed).abs() < 0.011,
                "step {step}, chance {chance}: {times}"
            );
        }
    }

    #[test]
    fn a_jagged_cost_is_no_obstacle_and_what_guessing_took_counts() {
        // Two tokens are dear, three as cheap as one.
        let time = |n: usize| [1.0, 1.0, 1.9, 1.1, 3.0][n];
        assert_eq!(share(&[vec![0.9; 3]], 4, time, 0.0).0, [2]);
        let flat = |n: usize| 1.0 + 0.03 * (n - 1) as f64;
        assert_eq!(share(&[vec![0.5; 3]], 8, flat, 0.1).0, [3]);
        assert_eq!(share(&[vec![0.5; 3]], 8, flat, 0.9).0, [0]);
    }

    #[test]
    fn guessing_shrinks_as_the_batch_fills() {
        let time = |n: usize| 1.0 + 0.1 * (n - 1) as f64;
        let mut before = usize::MAX;
        for texts in 1..=8 {
            let offers = vec![vec![0.7; 7]; texts];
            let (counts, times) = share(&offers, 8, time, 0.0);
            let most = counts.iter().copied().max().unwrap_or(0);
            assert!(most <= before && times >= 1.0, "{texts} texts: {counts:?}");
            assert!(texts + counts.iter().sum::<usize>() <= 8);
            before = most;
        }
        assert_eq!(before, 0, "a full batch has no room");
        // The surer text goes first.
        let (counts, _) = share(&[vec![0.3; 4], vec![0.95; 4]], 8, time, 0.0);
        assert!(counts[1] > counts[0], "{counts:?}");
        assert_eq!(share(&[], 8, time, 0.0).0, [0; 0]);
    }
}
