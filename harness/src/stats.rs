//! Robust statistics of few samples: medians, spread, outliers, ratios with an interval.

use serde::{Deserialize, Serialize};

/// A sample this many scaled deviations from the median is an outlier (Iglewicz and Hoaglin, 1993).
const OUTLIER_SCORE: f64 = 3.5;
/// 1 / the median absolute deviation of a standard normal distribution: converts that deviation to a standard
/// deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// A scaled deviation above this share of the median counts as noisy.
const NOISY_SHARE: f64 = 0.05;
/// With fewer samples than this, the spread is unknown.
const FEW: usize = 3;
/// The number of resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// How far apart the samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Scaled deviation of at most 5 % of the median, and fewer than a fifth of the samples are outliers.
    Steady,
    /// More than that: read the figure with care, or measure again on a quieter machine.
    Noisy,
    /// Fewer than three samples.
    Unknown,
}

/// A sample far from the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// The round it was measured in, from 1.
    pub round: usize,
    /// The sample's value.
    pub value: f64,
}

/// Samples of one figure, one per round; the unit is in the name of the field that holds this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The middle sample, or the mean of the two in the middle.
    pub median: f64,
    /// Median absolute deviation from the median.
    pub mad: f64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
    /// How far apart the samples are, so whether the figure can be trusted.
    pub spread: Spread,
    /// Samples far from the others; the median still includes them.
    pub outliers: Vec<Outlier>,
    /// All samples, in the order of the rounds.
    pub samples: Vec<f64>,
}

impl Summary {
    /// The summary of `samples`; `None` if there are none or one is not finite.
    pub fn from_samples(samples: Vec<f64>) -> Option<Self> {
        let median = median(&samples)?;
        let deviations: Vec<f64> = samples.iter().map(|sample| (sample - median).abs()).collect();
        let mad = self::median(&deviations)?;
        let outliers = outliers(&samples, median, mad);
        let noisy = MAD_TO_SIGMA * mad > NOISY_SHARE * median.abs() || outliers.len() * 5 >= samples.len();
        let spread = match (samples.len() < FEW, noisy) {
            (true, _) => Spread::Unknown,
            (false, true) => Spread::Noisy,
            (false, false) => Spread::Steady,
        };
        Some(Summary {
            median,
            mad,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            spread,
            outliers,
            samples,
        })
    }
}

/// The median of `samples`; `None` if there are none or one is not finite.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    percentile(samples, 50.0)
}

/// The value below which `percent` of the samples lie, interpolated between neighbours (Hyndman and Fan's
/// type 7); `None` if there are no samples or one is not finite.
pub(crate) fn percentile(samples: &[f64], percent: f64) -> Option<f64> {
    if samples.is_empty() || !samples.iter().all(|sample| sample.is_finite()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() - 1) as f64 * percent.clamp(0.0, 100.0) / 100.0;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// Samples whose modified z-score is above 3.5 and that differ from the median by more than 5 %. Three
/// samples can lie so close together that the score alone would flag a difference of a hundredth.
fn outliers(samples: &[f64], median: f64, mad: f64) -> Vec<Outlier> {
    let least = (OUTLIER_SCORE * MAD_TO_SIGMA * mad).max(NOISY_SHARE * median.abs());
    let far = |sample: f64| (sample - median).abs() > least;
    let rounds = samples.iter().copied().enumerate();
    let found = rounds.filter(|&(_, value)| samples.len() >= FEW && far(value));
    found
        .map(|(index, value)| Outlier {
            round: index + 1,
            value,
        })
        .collect()
}

/// The ratio of one figure to another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// New / old: of the medians, or the median of the rounds' ratios if the rounds are paired.
    pub ratio: f64,
    /// Lower end of the 95 % bootstrap interval; `None` with fewer than three samples.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// True if both were measured in the same rounds and each round gave one ratio.
    pub paired: bool,
}

/// The ratio of two figures measured in different runs: of the medians, with each side resampled separately.
pub(crate) fn ratio(new: &[f64], old: &[f64]) -> Option<Ratio> {
    let ratio = positive(median(new)? / median(old)?)?;
    let mut random = Random::new();
    let mut sample = || {
        let (new, old) = (random.resample(new), random.resample(old));
        Some(median(&new)? / median(&old)?)
    };
    let draws = (new.len().min(old.len()) >= FEW).then(|| (0..RESAMPLES).filter_map(|_| sample()).collect());
    Some(interval(ratio, draws, false))
}

/// The ratio of two figures measured side by side, one sample per round: drift of the machine affects both
/// sides of a round alike and cancels out.
pub(crate) fn paired_ratio(new: &[f64], old: &[f64]) -> Option<Ratio> {
    let ratios: Vec<f64> = new.iter().zip(old).map(|(new, old)| new / old).collect();
    let ratio = positive(median(&ratios)?)?;
    let mut random = Random::new();
    let draws = (ratios.len() >= FEW).then(|| {
        (0..RESAMPLES)
            .filter_map(|_| median(&random.resample(&ratios)))
            .collect()
    });
    Some(interval(ratio, draws, true))
}

fn positive(ratio: f64) -> Option<f64> {
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

fn interval(ratio: f64, draws: Option<Vec<f64>>, paired: bool) -> Ratio {
    let end = |percent| draws.as_deref().and_then(|draws| percentile(draws, percent));
    let (low, high) = (end(2.5), end(97.5));
    Ratio {
        ratio,
        low,
        high,
        paired,
    }
}

/// SplitMix64 with a fixed seed: the same samples always give the same interval.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    fn new() -> Self {
        Random(0x51_5c_1b)
    }

    /// Another sequence for each seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Random(seed)
    }

    /// Heads or tails.
    pub(crate) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// As many samples as were given, drawn with replacement.
    fn resample(&mut self, samples: &[f64]) -> Vec<f64> {
        let len = samples.len() as u64;
        (0..len).map(|_| samples[(self.next() % len) as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_samples() {
        // numpy.percentile([15, 20, 35, 40, 50], [0, 5, 30, 40, 50, 95, 100])
        let cases = [
            (0.0, 15.0),
            (5.0, 16.0),
            (30.0, 23.0),
            (40.0, 29.0),
            (50.0, 35.0),
            (95.0, 48.0),
            (100.0, 50.0),
        ];
        for (percent, want) in cases {
            let got = percentile(&[40.0, 15.0, 35.0, 50.0, 20.0], percent).expect("samples");
            assert!((got - want).abs() < 1e-12, "{percent}: {got}");
        }
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[1.0, f64::NAN], 50.0), None);
        assert_eq!(median(&[1.0, 2.0, 3.0, 10.0]), Some(2.5));
    }

    #[test]
    fn summaries_name_outliers_and_noise() {
        // (samples, median, deviation, spread, rounds of outliers)
        type Case = (&'static [f64], f64, f64, Spread, &'static [usize]);
        let cases: [Case; 7] = [
            (
                &[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0],
                2.0,
                1.0,
                Spread::Noisy,
                &[7],
            ),
            (
                &[10.0, 10.1, 9.9, 10.0, 10.1, 5.0],
                10.0,
                0.1,
                Spread::Steady,
                &[6],
            ),
            (&[10.0, 10.1, 9.9, 10.0, 5.0], 10.0, 0.1, Spread::Noisy, &[5]),
            (
                &[10.0, 10.0, 10.0, 10.0, 10.0, 10.6],
                10.0,
                0.0,
                Spread::Steady,
                &[6],
            ),
            (
                &[10.0, 10.0, 10.0, 10.0, 10.0, 10.4],
                10.0,
                0.0,
                Spread::Steady,
                &[],
            ),
            (&[10.0, 5.0], 7.5, 2.5, Spread::Unknown, &[]),
            (&[8.0, 9.0, 10.0, 11.0, 12.0], 10.0, 1.0, Spread::Noisy, &[]),
        ];
        for (samples, median, mad, spread, rounds) in cases {
            let summary = Summary::from_samples(samples.to_vec()).expect("samples");
            assert_eq!(summary.median, median, "{samples:?}");
            assert!((summary.mad - mad).abs() < 1e-9, "{samples:?}: {}", summary.mad);
            assert_eq!(summary.spread, spread, "{samples:?}");
            let found: Vec<usize> = summary.outliers.iter().map(|outlier| outlier.round).collect();
            assert_eq!(found, rounds, "{samples:?}");
        }
        assert_eq!(Summary::from_samples(vec![]), None);
        assert_eq!(Summary::from_samples(vec![f64::INFINITY]), None);
    }

    #[test]
    fn an_interval_holds_the_ratio_and_pairing_removes_drift() {
        let old = [10.0, 9.0, 8.0, 7.0, 6.0];
        let new: Vec<f64> = old.iter().map(|rate| rate * 1.1).collect();
        let paired = paired_ratio(&new, &old).expect("samples");
        let unpaired = ratio(&new, &old).expect("samples");
        for found in [paired, unpaired] {
            let (low, high) = (found.low.expect("enough"), found.high.expect("enough"));
            assert!(
                (found.ratio - 1.1).abs() < 1e-9 && low <= 1.1 + 1e-9 && 1.1 - 1e-9 <= high,
                "{found:?}"
            );
        }
        let width = |ratio: Ratio| ratio.high.unwrap_or(0.0) - ratio.low.unwrap_or(0.0);
        assert!(
            width(paired) < 1e-9 && width(unpaired) > 0.2,
            "{paired:?} {unpaired:?}"
        );
    }

    #[test]
    fn an_interval_covers_the_truth_about_as_often_as_it_claims() {
        let mut random = Random(7);
        let mut draw = |scale: f64| {
            // The mean of four uniform numbers: bell-shaped, centred on `scale`.
            let sum: f64 = (0..4)
                .map(|_| (random.next() >> 11) as f64 / (1u64 << 53) as f64)
                .sum();
            scale * (0.9 + 0.2 * sum / 4.0)
        };
        let trials = 200;
        let covers = |_: &usize| {
            let (new, old): (Vec<f64>, Vec<f64>) = (0..9).map(|_| (draw(12.0), draw(10.0))).unzip();
            let found = ratio(&new, &old).expect("samples");
            found.low.expect("enough") <= 1.2 && 1.2 <= found.high.expect("enough")
        };
        let covered = (0..trials).filter(covers).count();
        assert!(
            (trials * 88 / 100..=trials).contains(&covered),
            "{covered} of {trials}"
        );
    }

    #[test]
    fn few_samples_have_no_interval_and_none_have_no_ratio() {
        let few = ratio(&[2.0, 2.0], &[1.0, 1.0]).expect("samples");
        assert_eq!((few.ratio, few.low, few.high), (2.0, None, None));
        assert_eq!(ratio(&[], &[1.0]), None);
        assert_eq!(ratio(&[1.0], &[0.0]), None);
        assert_eq!(paired_ratio(&[1.0], &[]), None);
    }
}
