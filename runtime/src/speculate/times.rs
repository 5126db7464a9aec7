//! T(n): what a pass over n tokens takes, relative to a pass over one.
//!
//! llama.cpp keeps the graph of the last pass and uses it again for a pass over as many tokens; for another number it
//! makes a new one, which takes a twentieth of a pass or more of a small model. So a pass over one token is measured only
//! after another one, and what it takes longer after a wider one is a cost of the guesses.

use std::time::Duration;

/// The most tokens of a pass with guesses. Wider passes of f16 weights would not have the same bits.
pub const MOST_TOKENS: usize = 8;

/// A measured time is a new value of the mean so far by this part.
const WEIGHT: f64 = 0.1;
/// The first measures count more: 1, 1/2, 1/3, …
const FIRST: u32 = 10;
/// What another token is taken to cost, in passes over one, until it is measured. More than on most machines, because the
/// first guesses should not lose.
const STEP: f64 = 0.08;
/// After so many passes with guesses one without is measured again: the machine may be warmer now, the text longer.
const STALE: u32 = 64;
/// One measure changes a mean by no more than this factor: another program may have had the CPU.
const SPIKE: f64 = 2.0;

/// A mean that forgets.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    value: f64,
    count: u32,
}

impl Mean {
    fn push(&mut self, value: f64) {
        let value = match self.count {
            0 => value,
            _ => value.clamp(self.value / SPIKE, self.value * SPIKE),
        };
        self.count = self.count.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f64::from(self.count.min(FIRST)));
        self.value += weight * (value - self.value);
    }
}

/// Times of passes: measured before, if they were, and again by every pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PassTimes {
    /// Seconds of a pass over one token.
    one: Mean,
    /// Tokens of the last pass; 0 if something else was computed since.
    last: usize,
    /// How much longer a pass over one token takes after a wider one, in passes over one.
    change: Mean,
    /// Passes with guesses since one without was measured.
    since: u32,
    /// By tokens, from one on.
    relative: [Mean; MOST_TOKENS],
}

impl PassTimes {
    /// With the times that were measured before, relative to one token; `None` for what was not.
    pub fn new(relative: impl Fn(u32) -> Option<f64>) -> Self {
        let mut times = PassTimes::default();
        for (tokens, mean) in (1..).zip(&mut times.relative).skip(1) {
            let known = relative(tokens).filter(|time| time.is_finite() && *time >= 1.0);
            if let Some(value) = known {
                // As good as a few measures, and no better: the machine may be warmer now, the text longer.
                *mean = Mean { value, count: 4 };
            }
        }
        times
    }

    /// Seconds of a pass over one token; `None` until one was measured.
    pub fn one(&self) -> Option<f64> {
        (self.one.count > 0).then_some(self.one.value)
    }

    /// Whether the time of a pass over one token is known well enough to compare others with it.
    pub fn is_sure(&self) -> bool {
        self.one.count > 0 && self.since < STALE
    }

    /// Something else is computed, such as a prompt.
    pub fn interrupted(&mut self) {
        self.last = 0;
    }

    /// Whether the last pass was wider than one over so many tokens: then the next that is not takes longer.
    pub fn was_wider(&self, tokens: usize) -> bool {
        self.last > tokens
    }

    /// How much longer a pass takes after a wider one, in passes over one token.
    pub fn change(&self) -> f64 {
        self.change.value
    }

    /// T(n). What was not measured lies on the line through its neighbours, or on the line from one token to the nearest.
    pub fn relative(&self, tokens: usize) -> f64 {
        let known = |at: &usize| self.relative[at - 1].count > 0;
        let value = |at: usize| match at {
            1 => 1.0,
            _ => self.relative[at - 1].value,
        };
        let tokens = tokens.max(1);
        let below = (2..=tokens.min(MOST_TOKENS)).rev().find(known).unwrap_or(1);
        if below == tokens {
            return value(tokens);
        }
        let above = (tokens + 1..=MOST_TOKENS).find(known);
        let step = match above {
            Some(above) => (value(above) - value(below)) / (above - below) as f64,
            None if below > 1 => (value(below) - 1.0) / (below - 1) as f64,
            None => STEP,
        };
        value(below) + step * (tokens - below) as f64
    }

    /// A pass over so many tokens took so long.
    pub fn computed(&mut self, tokens: usize, took: Duration) {
        let took = took.as_secs_f64();
        let last = std::mem::replace(&mut self.last, tokens);
        match (tokens, self.one()) {
            _ if took <= 0.0 => {}
            (1, _) if last == 1 => {
                self.one.push(took);
                self.since = 0;
            }
            (1, Some(one)) if last > 1 => self.change.push((took / one - 1.0).clamp(0.0, 1.0)),
            (2..=MOST_TOKENS, Some(one)) => {
                self.since += 1;
                self.relative[tokens - 1].push((took / one).max(1.0));
                // More tokens never take less: the single ones were slower than they are now.
                if took < one {
                    self.one.push(took);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_measured_first_and_again_and_never_takes_longer_than_several() {
        let ms = Duration::from_millis;
        let mut times = PassTimes::default();
        times.computed(1, ms(300));
        assert!(!times.is_sure(), "the first pass waited for the weights");
        times.computed(1, ms(100));
        for _ in 0..STALE {
            assert!(times.is_sure());
            times.computed(4, ms(11));
        }
        let one = times.one().expect("measured");
        assert!(one < 0.02, "{one}");
        assert!(!times.is_sure(), "nothing was measured for long");
        times.computed(1, ms(12));
        assert!(!times.is_sure() && times.change() > 0.0, "its graph was new");
        times.computed(1, ms(10));
        assert!(times.is_sure());
        times.interrupted();
        times.computed(1, ms(90));
        assert!(times.one().is_some_and(|one| one < 0.02));
    }

    #[test]
    fn what_was_not_measured_lies_between_what_was() {
        let times = PassTimes::new(|tokens| {
            [(4, 1.3), (8, 1.7)]
                .into_iter()
                .find(|t| t.0 == tokens)
                .map(|t| t.1)
        });
        for (tokens, want) in [
            (1, 1.0),
            (2, 1.1),
            (3, 1.2),
            (4, 1.3),
            (6, 1.5),
            (8, 1.7),
            (9, 1.8),
        ] {
            let got = times.relative(tokens);
            assert!((got - want).abs() < 1e-9, "{tokens}: {got}");
        }
        let unknown = PassTimes::new(|_| None);
        assert!((unknown.relative(3) - 1.16).abs() < 1e-9);
        let odd = PassTimes::new(|tokens| (tokens == 2).then_some(f64::NAN));
        assert_eq!(odd, unknown);
    }

    #[test]
    fn passes_change_what_was_measured_before_and_spikes_hardly() {
        let mut times = PassTimes::new(|tokens| (tokens == 2).then_some(1.1));
        assert_eq!(times.one(), None);
        let ms = Duration::from_millis;
        times.computed(2, ms(100));
        assert!(
            (times.relative(2) - 1.1).abs() < 1e-9,
            "without a time of one it says nothing"
        );
        for _ in 0..20 {
            times.computed(1, ms(10));
        }
        times.computed(1, ms(5000));
        let one = times.one().expect("measured");
        assert!(one <= 0.0111, "{one}");
        for _ in 0..100 {
            times.computed(1, ms(10));
            times.computed(1, ms(10));
            times.computed(2, ms(15));
        }
        assert!((times.relative(2) - 1.5).abs() < 0.01, "{}", times.relative(2));
        times.computed(2, ms(0));
        times.computed(99, ms(10));
        assert!((times.relative(2) - 1.5).abs() < 0.01);
    }
}
