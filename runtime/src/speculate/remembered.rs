//! What followed the same tokens in earlier texts of this user, kept in a file.
//!
//! # Privacy
//! The file holds pieces of what was read and written with a model: for contexts of two and three tokens, which token
//! followed. Contexts are hashes, but of few tokens: whoever has the file and the model's vocabulary can try them all and
//! put pieces of texts together. So the file is as private as the texts: only its owner can read it, nothing is sent
//! anywhere, and it can be removed at any time. What must not be kept is not observed, or [`Remembered::learn`] is off.

mod file;
mod shared;
mod table;

use super::tail::Tail;
use super::{Bucket, Draft, Drafter, GoesOn, Source};
use crate::engine::Token;
pub use file::{LoadRememberedError, SaveRememberedError};
pub use shared::SharedRemembered;
use table::{Key, Table};

/// Lengths of contexts, the best first.
const CONTEXTS: [usize; 2] = [3, 2];

/// Classes of counts, by their first one: 1, 2-3, 4 and more.
const COUNTS: [u8; 3] = [1, 2, 4];

/// How often a guess is right, by length of the context and class of count. Estimates; what is measured replaces them.
const PRIORS: [[f64; COUNTS.len()]; CONTEXTS.len()] = [[0.30, 0.45, 0.60], [0.15, 0.25, 0.35]];

/// Bytes of the caller's own that a file may hold.
pub const MAX_EXTRA: usize = 4096;

/// Tokens after which a generation ends, if it does not end with the program.
const GENERATION: u32 = 65_536;

/// Whose texts a table is of: tokens mean nothing to another model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RememberedKey {
    /// A digest of the model and its tokenizer.
    pub model: [u8; 32],
    /// Tokens of its vocabulary; others are neither learnt nor guessed.
    pub vocabulary: u32,
}

/// Guesses what followed the same two or three tokens before, in this text or in any that was observed since the file
/// was first written.
///
/// A table of 262,144 places, 3 MiB: if it is full, what was seen least and longest ago gives way.
#[derive(Debug)]
pub struct Remembered {
    key: RememberedKey,
    table: Table,
    /// Begins with a program, and after many tokens.
    generation: u16,
    /// Tokens that were learnt in this generation.
    learnt: u32,
    learns: bool,
    text: Tail,
    extra: Vec<u8>,
}

impl Remembered {
    /// Remembers nothing yet.
    pub fn new(key: RememberedKey) -> Self {
        Remembered {
            key,
            table: Table::default(),
            generation: 0,
            learnt: 0,
            learns: true,
            text: Tail::default(),
            extra: Vec::new(),
        }
    }

    /// Whether what is observed from now on is remembered, as it is at first. A text that was observed before, such as
    /// a conversation that goes on, would be counted twice.
    pub fn learn(&mut self, learns: bool) {
        self.learns = learns;
    }

    /// What the caller had kept with the table.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// Keeps bytes of the caller's own with the table. More than [`MAX_EXTRA`] are not kept, and it returns false.
    pub fn set_extra(&mut self, extra: Vec<u8>) -> bool {
        let fits = extra.len() <= MAX_EXTRA;
        if fits {
            self.extra = extra;
        }
        fits
    }

    /// Bytes of memory that it takes now.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.extra.capacity()
    }

    /// Bytes of memory that it takes at most.
    pub const fn most_bytes() -> usize {
        Table::BYTES + MAX_EXTRA
    }

    fn knows(&self, token: Token) -> Option<u32> {
        u32::try_from(token.0).ok().filter(|&id| id < self.key.vocabulary)
    }

    /// `token` follows the text.
    fn count(&mut self, token: u32) {
        for len in CONTEXTS {
            let context = self.text.last(len);
            if context.len() == len {
                self.table.count(Key::of(context), token, self.generation);
            }
        }
        self.learnt += 1;
        if self.learnt == GENERATION {
            self.learnt = 0;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// What follows these tokens, the last of a text.
    fn guess(&self, end: &[Token]) -> Option<(Token, Bucket)> {
        CONTEXTS.iter().enumerate().find_map(|(level, &len)| {
            let context = &end[end.len().checked_sub(len)?..];
            let (token, count) = self.table.best(Key::of(context))?;
            Some((token, bucket(level, count)))
        })
    }
}

impl Drafter for Remembered {
    fn source(&self) -> Source {
        Source::Remembered
    }

    fn observe(&mut self, tokens: &[Token]) {
        for &token in tokens {
            if let Some(id) = self.knows(token).filter(|_| self.learns) {
                self.count(id);
            }
            self.text.push(token);
        }
    }

    /// What was learnt from the text stays.
    fn forget(&mut self, len: usize) {
        self.text.forget(len);
    }

    fn propose(&mut self, most: usize, _: GoesOn<'_>) -> Draft {
        let mut draft = Draft::none(Source::Remembered);
        let mut end = self.text.last(CONTEXTS[0]).to_vec();
        while let Some(guess) = self.guess(&end).filter(|_| draft.tokens.len() < most) {
            draft.tokens.push(guess);
            end.push(guess.0);
        }
        draft
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        let contexts = PRIORS.get(usize::from(bucket.0) / COUNTS.len());
        contexts.map_or(0.0, |priors| priors[usize::from(bucket.0) % COUNTS.len()])
    }
}

fn bucket(level: usize, count: u8) -> Bucket {
    let class = COUNTS.partition_point(|&first| first <= count).saturating_sub(1);
    Bucket((level * COUNTS.len() + class) as u8)
}

#[cfg(test)]
mod tests;
