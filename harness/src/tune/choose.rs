//! Which value of a stage is taken, and whether the settings found are kept: never what noise won.

use super::stage::{Goal, Sample};
use crate::stats::{Ratio, paired_ratio};

/// A value must be faster by at least this share to take another's place, and by more than both vary: less is noise.
const MARGIN: f64 = 0.02;

/// What one value of a setting gave.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    /// Medians of its rounds.
    pub(super) median: Sample,
    /// Tokens a second of the prompt and of decoding in each round; `None` for a round that does not count.
    pub(super) rounds: Vec<Option<[f64; 2]>>,
}

impl Trial {
    /// Speeds of this trial and of `other` in the rounds that count for both.
    fn paired(&self, other: &Trial, goal: Goal) -> Option<Ratio> {
        let both = self.rounds.iter().zip(&other.rounds);
        let speeds = |rounds: &[f64; 2]| goal.of(rounds[0], rounds[1]);
        let pairs = both.filter_map(|(new, old)| Some((speeds(new.as_ref()?), speeds(old.as_ref()?))));
        let (new, old): (Vec<f64>, Vec<f64>) = pairs.unzip();
        paired_ratio(&new, &old)
    }

    fn speed(&self, goal: Goal) -> f64 {
        goal.of(self.median.prefill, self.median.decode)
    }

    /// How far the speed varies between rounds, as a share of it.
    fn spread(&self, goal: Goal) -> f64 {
        let sample = &self.median;
        match goal {
            Goal::Prefill => sample.prefill_spread,
            Goal::Decode => sample.decode_spread,
            Goal::Both => sample.prefill_spread.max(sample.decode_spread),
        }
    }

    /// Whether the whole interval of the rounds' ratios is above `other`. It has none with fewer than three rounds.
    fn beats(&self, other: &Trial, goal: Goal) -> bool {
        let ratio = self.paired(other, goal);
        ratio.and_then(|ratio| ratio.low).is_some_and(|low| low > 1.0)
    }
}

/// The index of the fastest: the first, unless another is faster by more than noise. `None` marks a value that could
/// not be measured.
pub(super) fn fastest(goal: Goal, trials: &[Option<Trial>]) -> Option<usize> {
    let measured = trials
        .iter()
        .enumerate()
        .filter_map(|(index, trial)| Some((index, trial.as_ref()?)));
    let by_speed = |a: &(usize, &Trial), b: &(usize, &Trial)| a.1.speed(goal).total_cmp(&b.1.speed(goal));
    let Some(Some(first)) = trials.first() else {
        return measured.max_by(by_speed).map(|best| best.0);
    };
    let faster = measured.filter(|(_, trial)| {
        let noise = MARGIN.max(first.spread(goal) + trial.spread(goal));
        trial.speed(goal) >= first.speed(goal) * (1.0 + noise) && trial.beats(first, goal)
    });
    Some(faster.max_by(by_speed).map_or(0, |best| best.0))
}

/// Of what was measured before and after: whether the settings found are kept, and what the settings kept gave. They
/// are not kept unless they are faster beyond noise. `None` if nothing was measured.
pub(super) fn kept(goal: Goal, before: Option<&Trial>, after: Option<&Trial>) -> Option<(bool, Sample)> {
    match (before, after) {
        (None, Some(after)) => Some((true, after.median)),
        (Some(before), Some(after)) if after.beats(before, goal) => Some((true, after.median)),
        (before, _) => Some((false, before?.median)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial with these speeds of prompt and decoding.
    fn trial(rounds: &[[f64; 2]]) -> Trial {
        let all = |index: usize| {
            let speeds = rounds.iter().map(|round| round[index]).collect();
            crate::Summary::from_samples(speeds).expect("rounds")
        };
        let (prefill, decode) = (all(0), all(1));
        Trial {
            median: Sample {
                prefill: prefill.median,
                decode: decode.median,
                peak_rss_bytes: 1,
                prefill_spread: prefill.mad / prefill.median,
                decode_spread: decode.mad / decode.median,
            },
            rounds: rounds.iter().copied().map(Some).collect(),
        }
    }

    fn same(prefill: f64, decode: f64) -> Trial {
        trial(&[[prefill, decode]; 3])
    }

    #[test]
    fn the_first_stays_unless_another_is_faster_by_more_than_noise() {
        let close = [Some(same(100.0, 10.0)), Some(same(101.0, 10.1))];
        assert_eq!(fastest(Goal::Decode, &close), Some(0));
        let apart = [same(100.0, 10.0), same(50.0, 11.0), same(120.0, 9.0)].map(Some);
        assert_eq!(fastest(Goal::Decode, &apart), Some(1));
        assert_eq!(fastest(Goal::Prefill, &apart), Some(2));
        assert_eq!(fastest(Goal::Both, &apart), Some(0));
        assert_eq!(fastest(Goal::Decode, &[None, Some(same(1.0, 1.0))]), Some(1));
        assert_eq!(fastest(Goal::Decode, &[None, None]), None);
    }

    /// A larger median is not enough: another program may have used the CPUs in a round of the first.
    #[test]
    fn what_is_not_faster_in_its_rounds_is_noise() {
        let first = trial(&[[1.0, 10.0], [1.0, 10.1], [1.0, 10.0], [1.0, 10.1], [1.0, 10.0]]);
        let lucky = trial(&[[1.0, 12.0], [1.0, 12.0], [1.0, 9.0], [1.0, 12.0], [1.0, 9.0]]);
        assert!(lucky.median.decode > 1.1 * first.median.decode);
        assert_eq!(
            fastest(Goal::Decode, &[Some(first.clone()), Some(lucky)]),
            Some(0)
        );
        let two_rounds = trial(&[[1.0, 12.0]; 2]);
        assert_eq!(
            fastest(Goal::Decode, &[Some(first.clone()), Some(two_rounds)]),
            Some(0)
        );
        // Rounds that do not count have no partner.
        let mut dropped = trial(&[[1.0, 12.0]; 5]);
        dropped.rounds[0] = None;
        assert_eq!(
            fastest(Goal::Decode, &[Some(first.clone()), Some(dropped.clone())]),
            Some(1)
        );
        dropped.rounds[2..].fill(None);
        assert_eq!(fastest(Goal::Decode, &[Some(first), Some(dropped)]), Some(0));
    }

    #[test]
    fn what_is_not_faster_at_the_end_is_not_kept() {
        let (slow, fast) = (same(10.0, 1.0), same(20.0, 1.0));
        let mixed = trial(&[[20.0, 1.0], [9.0, 1.0], [20.0, 1.0]]);
        let cases = [
            (Some(&slow), Some(&fast), Some((true, fast.median))),
            (Some(&fast), Some(&slow), Some((false, fast.median))),
            (Some(&slow), Some(&slow), Some((false, slow.median))),
            (Some(&slow), Some(&mixed), Some((false, slow.median))),
            (None, Some(&fast), Some((true, fast.median))),
            (Some(&slow), None, Some((false, slow.median))),
            (None, None, None),
        ];
        for (before, after, want) in cases {
            assert_eq!(kept(Goal::Both, before, after), want);
        }
    }
}
