//! What guessing came to.

use serde::Serialize;

use super::Source;

/// Guesses of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceCounts {
    /// Who guessed.
    pub source: Source,
    /// Tokens guessed and computed.
    pub drafted: u64,
    /// Those that were right.
    pub accepted: u64,
}

/// What guessing came to while a text was decoded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speculation {
    /// Passes that computed a token drawn before, with guesses or without.
    pub passes: u64,
    /// Tokens guessed and computed.
    pub drafted: u64,
    /// Those that were right: each saved a pass.
    pub accepted: u64,
    /// Tokens that the text got for each pass: 1 without guesses. `None` without a pass.
    pub mean_accepted_length: Option<f64>,
    /// Tokens a second that the text would have had without guesses: of every token the time of a pass over one, as
    /// measured in this text. An estimate. `None` without a pass.
    pub tokens_per_second_without: Option<f64>,
    /// By source; those that guessed.
    pub sources: Vec<SourceCounts>,
    /// Seconds of the passes and of guessing.
    #[serde(skip)]
    seconds: f64,
    /// Seconds that the same tokens would have taken without guesses.
    #[serde(skip)]
    without: f64,
}

impl Speculation {
    /// A pass over one token and guesses of these sources took so long; without them it would have taken `without`.
    pub fn pass(&mut self, guesses: impl IntoIterator<Item = Source>, seconds: f64, without: f64) {
        self.passes += 1;
        self.seconds += seconds;
        self.without += without;
        for source in guesses {
            self.drafted += 1;
            self.of(source).drafted += 1;
        }
        self.update();
    }

    /// A guess was right; the pass that it saved takes `without`.
    pub fn accepted(&mut self, source: Source, without: f64) {
        self.accepted += 1;
        self.without += without;
        self.of(source).accepted += 1;
        self.update();
    }

    /// How many times as fast guessing made it, by the estimate; `None` without a pass.
    pub fn speed_up(&self) -> Option<f64> {
        (self.seconds > 0.0 && self.without > 0.0).then(|| self.without / self.seconds)
    }

    fn of(&mut self, source: Source) -> &mut SourceCounts {
        let at = self.sources.iter().position(|counts| counts.source == source);
        let at = at.unwrap_or_else(|| {
            self.sources.push(SourceCounts {
                source,
                drafted: 0,
                accepted: 0,
            });
            self.sources.len() - 1
        });
        &mut self.sources[at]
    }

    fn update(&mut self) {
        let tokens = (self.passes + self.accepted) as f64;
        self.mean_accepted_length = (self.passes > 0).then(|| tokens / self.passes as f64);
        self.tokens_per_second_without = (self.without > 0.0).then(|| tokens / self.without);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_text() {
        let mut counts = Speculation::default();
        assert_eq!((counts.speed_up(), counts.mean_accepted_length), (None, None));
        let history = Source::History;
        counts.pass([], 0.1, 0.1);
        counts.pass([history; 3], 0.12, 0.1);
        counts.accepted(Source::History, 0.1);
        counts.accepted(Source::History, 0.1);
        assert_eq!((counts.passes, counts.drafted, counts.accepted), (2, 3, 2));
        assert_eq!(counts.mean_accepted_length, Some(2.0));
        let without = counts.tokens_per_second_without.expect("known");
        assert!((without - 10.0).abs() < 1e-9);
        assert!((counts.speed_up().expect("known") - 0.4 / 0.22).abs() < 1e-9);
        let want = SourceCounts {
            source: Source::History,
            drafted: 3,
            accepted: 2,
        };
        assert_eq!(counts.sources, [want]);
    }
}
