//! A session's guesses: tokens that are computed before they are drawn.
//!
//! After a pass over `[token, guess, guess]` the sequence has tokens that the text may not have. The session hides them:
//! its length, its tokens and its logits are those of the text, so whatever the caller does next finds what it would have
//! found without guesses. Each token drawn is compared with the next guess: if they are the same, its row of logits is
//! there already; if not, what was guessed is taken out of the cache.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{Rows, Session, Token};
use crate::Error;
use crate::speculate::{Outcome, Speculator};

impl Session {
    /// Has tokens guessed from now on while texts are drawn, `None` not to. The text stays the same; see
    /// [`speculate`](crate::speculate).
    ///
    /// # Errors
    /// The model cannot be computed so, or would not give the same text: see [`Session::check_speculation`].
    pub fn set_speculator(&mut self, speculator: Option<Speculator>) -> Result<(), Error> {
        if speculator.is_some() {
            self.check_speculation()?;
        }
        self.settle()?;
        self.speculator = speculator;
        Ok(())
    }

    /// What guesses the tokens, with what came of it.
    pub fn speculator(&self) -> Option<&Speculator> {
        self.speculator.as_ref()
    }

    /// Tokens that fit.
    pub(super) fn room(&self) -> u32 {
        let ahead = u32::try_from(self.ahead).unwrap_or(u32::MAX);
        self.context.room(self.sequence).saturating_add(ahead)
    }

    /// A text begins, or goes on, after what the session has.
    pub(super) fn begin_speculation(&mut self) {
        if let Some(mut speculator) = self.speculator.take() {
            speculator.begin(self.tokens());
            self.speculator = Some(speculator);
        }
    }

    /// A token of the text was drawn.
    pub(super) fn drew(&mut self, token: Token) {
        if let Some(speculator) = &mut self.speculator {
            speculator.observe(token);
        }
    }

    /// Whether the next token was guessed and is computed already. If another was guessed, the guesses are removed.
    pub(super) fn confirm(&mut self, token: Token) -> Result<bool, Error> {
        if self.ahead == 0 {
            return Ok(false);
        }
        let right = self.context.tokens(self.sequence).get(self.len()) == Some(&token);
        if right {
            self.ahead -= 1;
            // As after a pass over this token alone: what comes before it has no row any more.
            self.context
                .forget_rows(self.sequence, self.len().saturating_sub(1));
        }
        if let Some(speculator) = &mut self.speculator {
            speculator.outcome(if right { Outcome::Right } else { Outcome::Wrong });
        }
        if !right {
            self.settle()?;
        }
        Ok(right)
    }

    /// Removes guesses, as if they had not been computed.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.ahead == 0 {
            return Ok(());
        }
        let len = self.len();
        if let Some(speculator) = &mut self.speculator {
            speculator.outcome(Outcome::Unknown);
        }
        self.ahead = 0;
        self.context.truncate(self.sequence, len)
    }

    /// Computes a token and what may follow it: at most `most` guesses. False if `stop` ended it.
    pub(super) fn decode_speculating(
        &mut self,
        token: Token,
        most: usize,
        stop: Option<&AtomicBool>,
    ) -> Result<bool, Error> {
        let Some(mut speculator) = self.speculator.take() else {
            return self.decode_until(&[token], stop);
        };
        let room = (self.room() as usize).saturating_sub(1);
        let most = most.min(room).min(self.step.saturating_sub(1));
        let begun = Instant::now();
        let mut tokens = vec![token];
        tokens.extend(speculator.guess(most, self.model().vocabulary_len()));
        let guessing = begun.elapsed();
        let begun = Instant::now();
        let mut row = tokens.iter();
        let done = self.compute(&tokens, Rows::All, stop, |logits| {
            if let Some(&token) = row.next() {
                speculator.row(token, logits);
            }
        });
        match done {
            Ok(true) => {
                speculator.computed(begun.elapsed(), guessing);
                self.ahead = tokens.len() - 1;
            }
            _ => speculator.outcome(Outcome::Unknown),
        }
        self.speculator = Some(speculator);
        done
    }
}
