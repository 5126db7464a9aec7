//! The state of one answer: what may be next.

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use crate::error::{ErrorKind, GrammarError, from_llguidance};
use crate::vocabulary::Vocabulary;

/// What the next token may be, after the tokens so far. A clone goes on by itself from here.
///
/// Ask [`Constraint::allows`] for the sampled token first, and compute a [`Constraint::mask`] only if it is refused: a
/// mask walks through the whole vocabulary.
#[derive(Clone)]
pub struct Constraint {
    vocabulary: Vocabulary,
    matcher: Matcher,
    mask: SimpleVob,
    ended: bool,
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Constraint {
    pub(crate) fn new(vocabulary: &Vocabulary, matcher: Matcher) -> Constraint {
        Constraint {
            vocabulary: vocabulary.clone(),
            matcher,
            mask: SimpleVob::new(),
            ended: false,
        }
    }

    /// Whether `token` may be next. False for every token after an end token, and after an error.
    pub fn allows(&mut self, token: u32) -> bool {
        if self.ended || token as usize >= self.vocabulary.len() {
            return false;
        }
        if self.vocabulary.end_tokens().contains(&token) {
            return self.may_end();
        }
        !self.matcher.is_stopped() && matches!(self.matcher.validate_tokens(&[token]), Ok(1))
    }

    /// The tokens that may be next: bit `t % 32` of word `t / 32` is set if token `t` may be. The end tokens are among
    /// them if the text may end here. At least one bit is set.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] after an end token; [`ErrorKind::TooComplex`] if the form takes too much work here.
    pub fn mask(&mut self) -> Result<&[u32], GrammarError> {
        if self.ended {
            return Err(past_the_end());
        }
        self.mask = self
            .matcher
            .compute_mask_or_eos()
            .map_err(|e| of_matcher(&e.to_string()))?;
        if self.mask.is_zero() {
            return Err(GrammarError::new(ErrorKind::Internal, "", "no token may be next"));
        }
        Ok(self.mask.as_slice())
    }

    /// Takes `token` as the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] if it may not be next: the constraint is unchanged. [`ErrorKind::TooComplex`] if the form
    /// takes too much work here: the constraint then allows nothing.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        if self.ended {
            return Err(past_the_end());
        }
        if !self.allows(token) {
            if let Some(text) = self.matcher.get_error() {
                return Err(of_matcher(&text));
            }
            return Err(GrammarError::new(
                ErrorKind::Token,
                "",
                format!("token {token} may not be next"),
            ));
        }
        if self.vocabulary.end_tokens().contains(&token) {
            self.ended = true;
            return Ok(());
        }
        self.matcher
            .consume_token(token)
            .map_err(|e| of_matcher(&e.to_string()))
    }

    /// Whether the text has the form if it ends here.
    pub fn may_end(&mut self) -> bool {
        self.ended
            || self.must_end()
            || (!self.matcher.is_stopped() && self.matcher.is_accepting().unwrap_or(false))
    }

    /// Whether the text is complete and nothing may follow.
    pub fn must_end(&self) -> bool {
        self.ended || (self.matcher.is_stopped() && !self.matcher.is_error())
    }

    /// How many of `tokens`, from the first on, may be next, one after another. Nothing is accepted.
    pub fn valid(&mut self, tokens: &[u32]) -> usize {
        let known = |token: &&u32| (**token as usize) < self.vocabulary.len();
        let count = tokens.iter().take_while(known).count();
        if self.ended || self.matcher.is_stopped() {
            return 0;
        }
        self.matcher.validate_tokens(&tokens[..count]).unwrap_or(0)
    }

    /// Tokens that must be next, in this order: the bytes that every text of this form has here, in the longest tokens,
    /// without the last one, which could be a longer token with what follows. Often empty. Nothing is accepted.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.ended || self.matcher.is_stopped() {
            return Vec::new();
        }
        let mut probe = self.matcher.clone();
        let bytes = probe.compute_ff_bytes();
        let mut tokens = self.vocabulary.tree().greedy_tokenize(&bytes);
        tokens.pop();
        let valid = self.matcher.clone().validate_tokens(&tokens).unwrap_or(0);
        tokens.truncate(valid);
        tokens
    }
}

fn past_the_end() -> GrammarError {
    GrammarError::new(ErrorKind::Token, "", "the text has ended")
}

fn of_matcher(text: &str) -> GrammarError {
    from_llguidance(text, ErrorKind::TooComplex)
}
