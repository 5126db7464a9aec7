//! Draws one token after the other, computing several at once if some were guessed.

use std::sync::atomic::AtomicBool;

use super::{Sampler, SamplerConfig, Session, Token, check_logits};
use crate::Error;

/// What drawing a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// A token.
    Token(Token),
    /// The model ended the text.
    End,
    /// The context has no room for the last token.
    Full,
    /// The computation was stopped.
    Stopped,
}

/// Draws one token after the other.
#[derive(Debug)]
pub(crate) struct Draw {
    sampler: Sampler,
    /// Drawn, and not computed yet: the last token of a text costs no computation.
    pending: Option<Token>,
}

impl Draw {
    pub(crate) fn new(sampler: Sampler) -> Self {
        Draw {
            sampler,
            pending: None,
        }
    }

    /// Has the penalties see the tokens that came before, and the drafters of the session too.
    pub(crate) fn see(&mut self, session: &mut Session) {
        self.sampler.see(session.tokens());
        session.begin_speculation();
    }

    /// Forgets the token that was not computed yet: the caller has put it into the session.
    pub(crate) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// Computes the token drawn last, unless it was guessed and is computed already or `stop` becomes true, and draws
    /// the next. `most` more may be drawn, this one not counted.
    pub(crate) fn next(
        &mut self,
        session: &mut Session,
        most: usize,
        stop: Option<&AtomicBool>,
    ) -> Result<Drawn, Error> {
        if let Some(token) = self.pending {
            if !session.confirm(token)? {
                if session.room() == 0 {
                    return Ok(Drawn::Full);
                }
                if !session.decode_speculating(token, most, stop)? {
                    return Ok(Drawn::Stopped);
                }
            }
            self.pending = None;
        }
        // Samplers sort by probability, and NaN cannot be sorted.
        let logits = session.logits().ok_or(Error::EmptyPrompt)?;
        check_logits(logits, session.len())?;
        let token = self.sampler.draw(logits);
        if session.model().is_eog(token) {
            return Ok(Drawn::End);
        }
        session.drew(token);
        self.pending = Some(token);
        Ok(Drawn::Token(token))
    }
}

/// Tokens drawn one after another. It ends at a token that ends the text (which it does not give), or if the context is
/// full; [`Samples::is_full`] distinguishes the two.
#[derive(Debug)]
pub struct Samples<'s> {
    session: &'s mut Session,
    draw: Draw,
    done: bool,
}

impl Session {
    /// Continues with tokens chosen as `config` describes, until an end token or a full context. For text, see
    /// [`Session::generate`].
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn sample(&mut self, config: &SamplerConfig) -> Result<Samples<'_>, Error> {
        let mut draw = Draw::new(config.build(self.model().vocabulary_len(), self.capacity())?);
        draw.see(self);
        Ok(Samples {
            session: self,
            draw,
            done: false,
        })
    }
}

impl Samples<'_> {
    /// True if no token fits any more.
    pub fn is_full(&self) -> bool {
        self.draw.pending.is_some() && self.session.room() == 0
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Token, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let drawn = self.draw.next(self.session, usize::MAX, None);
        self.done = !matches!(drawn, Ok(Drawn::Token(_)));
        match drawn {
            Ok(Drawn::Token(token)) => Some(Ok(token)),
            Ok(Drawn::End | Drawn::Full | Drawn::Stopped) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
