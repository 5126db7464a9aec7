//! How often guesses are right, by who made them and how sure he was.

use super::{BUCKETS, Bucket, Source};

/// Guesses that a drafter's own opinion counts for.
const PRIOR: f64 = 4.0;
/// Each guess counts a little less with every later one of its bucket: texts change.
const KEEP: f64 = 0.985;

/// Right and wrong guesses, decayed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    right: f64,
    wrong: f64,
}

/// Right and wrong guesses of every bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Acceptance([[Tally; BUCKETS as usize]; Source::ALL.len()]);

impl Default for Acceptance {
    fn default() -> Self {
        Acceptance([[Tally::default(); BUCKETS as usize]; Source::ALL.len()])
    }
}

impl Acceptance {
    /// How likely a guess is right: the mean of the beta distribution of what was measured, and of what its drafter
    /// says, `prior`.
    pub fn of(&self, source: Source, bucket: Bucket, prior: f64) -> f64 {
        let tally = self.tally(source, bucket);
        (tally.right + PRIOR * prior) / (tally.right + tally.wrong + PRIOR)
    }

    /// The standard deviation of that: large if little was measured.
    pub fn doubt(&self, source: Source, bucket: Bucket, prior: f64) -> f64 {
        let mean = self.of(source, bucket, prior);
        let tally = self.tally(source, bucket);
        (mean * (1.0 - mean) / (tally.right + tally.wrong + PRIOR + 1.0)).sqrt()
    }

    /// How often guesses of a source are right, whatever their bucket; one in two until that is known.
    pub fn mean(&self, source: Source) -> f64 {
        let tallies = &self.0[source as usize];
        let sum = |of: fn(&Tally) -> f64| tallies.iter().map(of).sum::<f64>();
        (sum(|tally| tally.right) + PRIOR * 0.5) / (sum(|tally| tally.right + tally.wrong) + PRIOR)
    }

    /// A guess was right, or not.
    pub fn learn(&mut self, source: Source, bucket: Bucket, right: bool) {
        let tally = &mut self.0[source as usize][usize::from(bucket.0.min(BUCKETS - 1))];
        tally.right = tally.right * KEEP + f64::from(u8::from(right));
        tally.wrong = tally.wrong * KEEP + f64::from(u8::from(!right));
    }

    fn tally(&self, source: Source, bucket: Bucket) -> Tally {
        self.0[source as usize][usize::from(bucket.0.min(BUCKETS - 1))]
    }

    /// As bytes: two 16-bit numbers a bucket, little-endian, hundredths.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self
            .0
            .iter()
            .flatten()
            .flat_map(|tally| [tally.right, tally.wrong]);
        numbers
            .flat_map(|number| ((number * 100.0).round() as u16).to_le_bytes())
            .collect()
    }

    /// Reads what [`Acceptance::to_bytes`] wrote; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut acceptance = Acceptance::default();
        let cells = Source::ALL.len() * usize::from(BUCKETS);
        let numbers: Vec<f64> = bytes
            .chunks_exact(2)
            .map(|pair| f64::from(u16::from_le_bytes([pair[0], pair[1]])) / 100.0)
            .collect();
        // A tally that decays cannot grow beyond this.
        let most = 1.0 / (1.0 - KEEP) + 1.0;
        if bytes.len() != cells * 4 || numbers.iter().any(|number| *number > most) {
            return None;
        }
        for (tally, pair) in acceptance.0.iter_mut().flatten().zip(numbers.chunks_exact(2)) {
            (tally.right, tally.wrong) = (pair[0], pair[1]);
        }
        Some(acceptance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_moves_from_its_prior_to_what_is_measured_and_to_what_is_measured_later() {
        let mut acceptance = Acceptance::default();
        let (source, bucket) = (Source::History, Bucket(3));
        let of = |acceptance: &Acceptance| acceptance.of(source, bucket, 0.5);
        assert_eq!(of(&acceptance), 0.5);
        let doubt = acceptance.doubt(source, bucket, 0.5);
        for _ in 0..200 {
            acceptance.learn(source, bucket, true);
        }
        assert!(of(&acceptance) > 0.95);
        assert!(acceptance.doubt(source, bucket, 0.5) < doubt / 4.0);
        for _ in 0..200 {
            acceptance.learn(source, bucket, false);
        }
        assert!(of(&acceptance) < 0.1);
        assert_eq!(acceptance.of(Source::Recycled, bucket, 0.5), 0.5);
        acceptance.learn(source, Bucket(255), true);
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut acceptance = Acceptance::default();
        for index in 0..500u32 {
            let source = Source::ALL[index as usize % 5];
            acceptance.learn(source, Bucket((index % 24) as u8), index % 3 == 0);
        }
        let bytes = acceptance.to_bytes();
        let read = Acceptance::from_bytes(&bytes).expect("what was written");
        assert_eq!(read.to_bytes(), bytes);
        let near = |source, bucket| {
            let (a, b) = (read.of(source, bucket, 0.5), acceptance.of(source, bucket, 0.5));
            (a - b).abs() < 0.01
        };
        assert!(near(Source::Model, Bucket(4)) && near(Source::History, Bucket(20)));
        assert_eq!(Acceptance::from_bytes(&bytes[1..]), None);
        assert_eq!(Acceptance::from_bytes(&vec![255; bytes.len()]), None);
        assert_eq!(Acceptance::from_bytes(&[]), None);
    }
}
