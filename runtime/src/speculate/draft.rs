//! Guesses, and who makes them.

use serde::Serialize;

use crate::engine::Token;

/// Who guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The form of the text allows nothing else: a grammar, a schema.
    Forced,
    /// What followed the same tokens earlier in this text.
    History,
    /// What followed the same tokens in earlier texts of this user.
    Remembered,
    /// What the model found most likely after the same token when it last computed it.
    Recycled,
    /// A smaller model.
    Model,
}

impl Source {
    /// Every source, the cheapest and surest first.
    pub const ALL: [Source; 5] = [
        Source::Forced,
        Source::History,
        Source::Remembered,
        Source::Recycled,
        Source::Model,
    ];
}

/// How sure a drafter is of a token: guesses of one bucket are accepted about equally often. Which bucket means what is
/// the drafter's own; how often its guesses are accepted is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub u8);

/// Buckets that a drafter may have.
pub const BUCKETS: u8 = 24;

/// Tokens that may come next, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who guessed.
    pub source: Source,
    /// The tokens, each with how sure the drafter is of it if those before are right.
    pub tokens: Vec<(Token, Bucket)>,
}

impl Draft {
    /// No tokens.
    pub fn none(source: Source) -> Self {
        Draft {
            source,
            tokens: Vec::new(),
        }
    }
}

/// Whether another guess after these is worth its cost.
pub type GoesOn<'a> = &'a dyn Fn(&[(Token, Bucket)]) -> bool;

/// Guesses what comes next. It keeps its own text: what it observed, in order.
pub trait Drafter: std::fmt::Debug + Send {
    /// Which one it is.
    fn source(&self) -> Source;

    /// The text goes on with these tokens.
    fn observe(&mut self, tokens: &[Token]);

    /// The text is cut to its first `len` tokens.
    fn forget(&mut self, len: usize);

    /// At most `most` tokens that may follow the text. `goes_on` is asked with what is guessed so far whether another
    /// guess is worth its cost; drafters whose guesses cost nothing need not ask.
    fn propose(&mut self, most: usize, goes_on: GoesOn<'_>) -> Draft;

    /// The model's logits after `token`, which is part of the text or was a guess.
    fn row(&mut self, token: Token, logits: &[f32]) {
        let _ = (token, logits);
    }

    /// How often guesses of a bucket are right before anything is measured, from 0 to 1.
    fn prior(&self, bucket: Bucket) -> f64;

    /// Seconds of the last proposal that went into reading what the drafter had not read yet: later guesses need it too,
    /// so they are not the price of these.
    fn seconds_read(&self) -> f64 {
        0.0
    }

    /// Seconds that a guess takes, as measured: 0 if that is nothing beside a pass.
    fn seconds_each(&self) -> f64 {
        0.0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a drafter of `source` guesses that never asks whether to go on: ids, each with its bucket.
    pub(crate) fn free_guesses(drafter: &mut dyn Drafter, source: Source, most: usize) -> Vec<(i32, u8)> {
        let draft = drafter.propose(most, &|_| panic!("guesses of no cost"));
        assert_eq!(draft.source, source);
        draft
            .tokens
            .iter()
            .map(|(token, bucket)| (token.0, bucket.0))
            .collect()
    }
}
