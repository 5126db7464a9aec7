//! Text continues: an iterator of tokens.

use super::sampler::Sampler;
use super::{EngineError, SamplerConfig, Session, Token};

/// Tokens drawn one after another. Ends at a token that ends the text (which is not given out), or where the
/// context is full; [`Generate::is_full`] tells the two apart.
pub struct Generate<'s, 'm> {
    session: &'s mut Session<'m>,
    sampler: Sampler,
    pending: Option<Token>,
    done: bool,
}

impl std::fmt::Debug for Generate<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generate")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<'s, 'm> Generate<'s, 'm> {
    pub(super) fn new(session: &'s mut Session<'m>, config: &SamplerConfig) -> Result<Self, EngineError> {
        if session.last().is_none() {
            return Err(EngineError::Empty);
        }
        let sampler = config.build(session.model())?;
        Ok(Generate {
            session,
            sampler,
            pending: None,
            done: false,
        })
    }

    /// True where no token fits any more.
    pub fn is_full(&self) -> bool {
        self.pending.is_some() && self.session.position() >= self.session.capacity()
    }

    /// The next token. The one before is fed only now, so that the last one of a text costs no computation.
    fn advance(&mut self) -> Result<Option<Token>, EngineError> {
        if let Some(token) = self.pending {
            if self.session.position() >= self.session.capacity() {
                return Ok(None);
            }
            self.session.feed(&[token])?;
            self.pending = None;
        }
        // Samplers sort by probability; what is no number has no place in an order.
        let logits = self.session.logits().ok_or(EngineError::Empty)?;
        if logits.iter().any(|x| !x.is_finite()) {
            let position = self.session.position();
            return Err(EngineError::NotANumber { position });
        }
        let token = self.sampler.draw(self.session, logits);
        if self.session.model().is_end(token) {
            return Ok(None);
        }
        self.pending = Some(token);
        Ok(Some(token))
    }
}

impl Iterator for Generate<'_, '_> {
    type Item = Result<Token, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
