//! A session: a context of one sequence, and the logits that continue it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Batch, Context, ContextOptions, Model, Rows, Sampler, SamplerConfig, SequenceId, Token};
use crate::Error;

/// One text, with its own context.
#[derive(Debug)]
pub struct Session {
    context: Context,
    sequence: SequenceId,
    /// Tokens computed between two looks at whether to stop.
    step: usize,
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// llama.cpp cannot make a context with these options.
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self, Error> {
        let step = options.values.ubatch.max(1) as usize;
        let mut context = Context::new(
            model,
            ContextOptions {
                sequences: 1,
                ..options
            },
        )?;
        let sequence = context.sequence()?;
        Ok(Session {
            context,
            sequence,
            step,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.context.model()
    }

    /// Tokens that the context has room for.
    pub fn capacity(&self) -> u32 {
        self.context.capacity()
    }

    /// What was computed, in order.
    pub fn tokens(&self) -> &[Token] {
        self.context.tokens(self.sequence)
    }

    /// Tokens computed so far.
    pub fn len(&self) -> usize {
        self.tokens().len()
    }

    /// True if nothing was computed yet.
    pub fn is_empty(&self) -> bool {
        self.tokens().is_empty()
    }

    /// The logits after the last token: one number for each token of the vocabulary. `None` if nothing was computed
    /// since the session began or was truncated.
    pub fn logits(&self) -> Option<&[f32]> {
        self.context.logits(self.sequence)
    }

    /// Computes tokens; the logits after the last are kept.
    ///
    /// # Errors
    /// They do not fit (then nothing is computed), or llama.cpp fails.
    pub fn decode(&mut self, tokens: &[Token]) -> Result<(), Error> {
        self.decode_until(tokens, None).map(|_| ())
    }

    /// The same, piece by piece, and stops early once `stop` is true. Returns whether it reached the end.
    ///
    /// # Errors
    /// As [`Session::decode`]'s.
    pub fn decode_until(&mut self, tokens: &[Token], stop: Option<&AtomicBool>) -> Result<bool, Error> {
        let room = self.context.room(self.sequence);
        if tokens.len() > room as usize {
            return Err(Error::ContextFull {
                tokens: tokens.len(),
                room,
                context: self.capacity(),
            });
        }
        let count = tokens.len().div_ceil(self.step);
        for (index, piece) in tokens.chunks(self.step).enumerate() {
            if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(false);
            }
            let rows = if index + 1 == count {
                Rows::Last
            } else {
                Rows::None
            };
            self.compute(piece, rows, |_| {})?;
        }
        Ok(true)
    }

    /// Computes tokens and lends the logits after each to `on_row`, in order.
    ///
    /// # Errors
    /// As [`Session::decode`]'s.
    pub fn decode_rows(&mut self, tokens: &[Token], on_row: impl FnMut(&[f32])) -> Result<(), Error> {
        self.compute(tokens, Rows::All, on_row)
    }

    /// Takes out every token from position `len` on, as if it had not been computed.
    ///
    /// # Errors
    /// The model's memory cannot be cut, as that of recurrent models.
    pub fn truncate(&mut self, len: usize) -> Result<(), Error> {
        self.context.truncate(self.sequence, len)
    }

    /// Makes ready for `tokens` to be the whole context: keeps what they begin with and the cache has, and returns how
    /// many that is. See [`Context::keep_prefix`].
    pub fn keep_prefix(&mut self, tokens: &[Token]) -> usize {
        self.context.keep_prefix(self.sequence, tokens)
    }

    /// Continues with tokens chosen as `config` describes, until an end token or a full context. For text, see
    /// [`Session::generate`].
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn sample(&mut self, config: &SamplerConfig) -> Result<Samples<'_>, Error> {
        let draw = Draw::new(config.build(self.model().vocabulary_len())?);
        Ok(Samples {
            session: self,
            draw,
            done: false,
        })
    }

    fn compute(&mut self, tokens: &[Token], rows: Rows, mut on_row: impl FnMut(&[f32])) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.push(self.sequence, tokens, rows);
        self.context.decode(&batch, |row| on_row(row.logits))
    }
}

/// What drawing a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// A token.
    Token(Token),
    /// The model ended the text.
    End,
    /// The context has no room for the last token.
    Full,
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

    /// Forgets the token that was not computed yet: the caller has put it into the session.
    pub(crate) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// Computes the token drawn last, and draws the next.
    pub(crate) fn next(&mut self, session: &mut Session) -> Result<Drawn, Error> {
        if let Some(token) = self.pending {
            if session.context.room(session.sequence) == 0 {
                return Ok(Drawn::Full);
            }
            session.decode(&[token])?;
            self.pending = None;
        }
        // Samplers sort by probability, and NaN cannot be sorted.
        let logits = session.logits().ok_or(Error::EmptyPrompt)?;
        if logits.iter().any(|x| !x.is_finite()) {
            let position = u32::try_from(session.len()).unwrap_or(u32::MAX);
            return Err(Error::NotANumber { position });
        }
        let token = self.sampler.draw(logits);
        if session.model().is_eog(token) {
            return Ok(Drawn::End);
        }
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

impl Samples<'_> {
    /// True if no token fits any more.
    pub fn is_full(&self) -> bool {
        self.draw.pending.is_some() && self.session.context.room(self.session.sequence) == 0
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Token, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let drawn = self.draw.next(self.session);
        self.done = !matches!(drawn, Ok(Drawn::Token(_)));
        match drawn {
            Ok(Drawn::Token(token)) => Some(Ok(token)),
            Ok(Drawn::End | Drawn::Full) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenize;
    use crate::engine::{LoadOptions, STORYTELLER};

    #[test]
    fn what_was_truncated_was_never_computed() {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let mut session = Session::new(&model, ContextOptions::default()).expect("a session");
        let tokens = model.tokenize("Once upon a time there was a king", Tokenize::TEXT);
        let (start, rest) = tokens.split_at(4);
        session.decode(start).expect("room");
        session.decode(rest).expect("room");
        let want = session.logits().expect("logits").to_vec();
        session.truncate(4).expect("truncated");
        assert_eq!((session.len(), session.logits()), (4, None));
        session.decode(&start[..2]).expect("room");
        session.truncate(4).expect("truncated");
        session.truncate(9).expect("nothing to do");
        session.decode(rest).expect("room");
        assert_eq!(session.logits().expect("logits"), want);
    }
}
