//! How much may be written: a disk that wears lasts longer if it is written less. Pure; time is an input.

use super::manifest::{Fields, Flaw};

const HOUR: u64 = 3600;
const HOURS: usize = 24;

/// At most so many bytes in any 24 hours. Writes are kept by the hour, so an hour's count is free again 24 to 25 hours
/// later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBudget {
    daily: u64,
    /// The hour of the last write, since 1970.
    hour: u64,
    /// Bytes written in that hour and in the 24 before, the latest first.
    written: [u64; HOURS + 1],
}

impl WriteBudget {
    /// Nothing is written yet.
    pub fn new(daily: u64) -> Self {
        WriteBudget {
            daily,
            hour: 0,
            written: [0; HOURS + 1],
        }
    }

    /// Everything is spent in this hour: what was written before is not known.
    pub fn spent(daily: u64, now: u64) -> Self {
        let mut budget = WriteBudget::new(daily);
        budget.charge(daily, now);
        budget
    }

    /// Bytes that may be written now (Unix seconds).
    pub fn left(&self, now: u64) -> u64 {
        let mut later = self.clone();
        later.advance(now);
        let written = later
            .written
            .iter()
            .fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        self.daily.saturating_sub(written)
    }

    /// Takes bytes if they are left; false if not.
    pub fn take(&mut self, bytes: u64, now: u64) -> bool {
        let fits = bytes <= self.left(now);
        if fits {
            self.charge(bytes, now);
        }
        fits
    }

    /// Counts bytes that were written, whether they were left or not.
    pub fn charge(&mut self, bytes: u64, now: u64) {
        self.advance(now);
        self.written[0] = self.written[0].saturating_add(bytes);
    }

    /// Moves to the hour of `now`. If the clock goes back by less than a day, writes count as those of the latest hour
    /// known, until it is reached again. If it goes back further, the hours that are known become those before the new
    /// one: either way it gives nothing back.
    fn advance(&mut self, now: u64) {
        let hour = now / HOUR;
        if hour <= self.hour && self.hour - hour <= HOURS as u64 {
            return;
        }
        let passed = usize::try_from(hour.saturating_sub(self.hour))
            .unwrap_or(usize::MAX)
            .min(HOURS + 1);
        self.written.rotate_right(passed % (HOURS + 1));
        self.written[..passed].fill(0);
        self.hour = hour;
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.hour.to_le_bytes());
        self.written
            .iter()
            .for_each(|written| bytes.extend(written.to_le_bytes()));
    }

    pub(super) fn decode(fields: &mut Fields<'_>, daily: u64) -> Result<Self, Flaw> {
        let mut budget = WriteBudget::new(daily);
        budget.hour = fields.u64()?;
        for written in &mut budget.written {
            *written = fields.u64()?;
        }
        Ok(budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const MIB: u64 = 1 << 20;

    /// Thirty days of writes of any size at any time: no 24 hours have more than the budget, and what is refused does
    /// not stay refused.
    #[test]
    fn no_24_hours_have_more_than_the_budget_and_every_day_has_some() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut budget = WriteBudget::new(1024 * MIB);
            let mut now = 1_700_000_000 + random.u64(..DAY);
            let end = now + 30 * DAY;
            let mut writes: Vec<(u64, u64)> = Vec::new();
            let mut refused = 0;
            while now < end {
                now += random.u64(..4 * HOUR);
                let bytes = random.u64(1..400) * MIB;
                if budget.take(bytes, now) {
                    writes.push((now, bytes));
                } else {
                    refused += 1;
                }
                // As after a restart.
                let mut stored = Vec::new();
                budget.encode(&mut stored);
                budget = WriteBudget::decode(&mut Fields(&stored), 1024 * MIB).expect("what was encoded");
            }
            for (start, _) in &writes {
                let within = writes.iter().filter(|(at, _)| (*start..start + DAY).contains(at));
                assert!(
                    within.map(|(_, bytes)| bytes).sum::<u64>() <= 1024 * MIB,
                    "seed {seed}"
                );
            }
            let all: u64 = writes.iter().map(|(_, bytes)| bytes).sum();
            assert!(
                refused > 0 && all > 30 * 1024 * MIB * 6 / 10,
                "seed {seed}: {} MiB",
                all / MIB
            );
        }
    }

    #[test]
    fn what_is_left_follows_from_the_last_25_hours() {
        let mut budget = WriteBudget::new(100);
        let start = 1000 * HOUR;
        assert!(budget.take(60, start + 3599));
        // (seconds after the start, left)
        for (after, left) in [
            (3599, 40),
            (HOUR, 40),
            (24 * HOUR, 40),
            (25 * HOUR - 1, 40),
            (25 * HOUR, 100),
            (900 * HOUR, 100),
        ] {
            assert_eq!(budget.left(start + after), left, "{after}");
        }
        assert!(!budget.take(41, start + 2 * HOUR));
        assert!(budget.take(40, start + 2 * HOUR));
        assert!(!budget.take(1, start + 24 * HOUR));
        assert!(budget.take(60, start + 25 * HOUR));
        assert!(budget.take(0, start + 25 * HOUR));
        assert_eq!(WriteBudget::new(0).left(start), 0);
    }

    /// A board without a clock of its own starts in 1970, or years ahead.
    #[test]
    fn a_clock_that_jumps_gives_nothing_twice_and_takes_nothing_for_ever() {
        let mut budget = WriteBudget::new(100);
        let now = 490_000 * HOUR;
        assert!(budget.take(100, now));
        for back in [HOUR, 5 * HOUR, now] {
            assert_eq!(budget.left(now - back), 0, "{back}");
        }
        // Back and forth, an hour at a time: no hour passes twice.
        for _ in 0..50 {
            budget.charge(0, now - HOUR);
            budget.charge(0, now);
        }
        assert_eq!((budget.left(now), budget.left(now + 24 * HOUR)), (0, 0));
        assert_eq!(budget.left(now + 25 * HOUR), 100);
        budget.charge(0, 0);
        assert_eq!((budget.left(0), budget.left(25 * HOUR)), (0, 100));
        let mut budget = WriteBudget::spent(100, u64::MAX);
        budget.charge(0, now);
        assert_eq!((budget.left(now), budget.left(now + 25 * HOUR)), (0, 100));
        budget.charge(u64::MAX, now);
        budget.charge(u64::MAX, now);
        assert_eq!(budget.left(now), 0);
    }
}
