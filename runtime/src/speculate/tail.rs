//! The end of a text, for drafters that need no more of it.

use crate::engine::Token;

/// Tokens that can be forgotten one by one.
const MOST: usize = 256;

/// How long a text is, and its last tokens.
#[derive(Debug, Default)]
pub(super) struct Tail {
    len: usize,
    /// Fewer than the text has, at most [`MOST`].
    tokens: Vec<Token>,
}

impl Tail {
    /// The text goes on.
    pub(super) fn push(&mut self, token: Token) {
        if self.tokens.len() == MOST {
            self.tokens.drain(..MOST / 2);
        }
        self.tokens.push(token);
        self.len += 1;
    }

    /// The text is cut to `len` tokens. If that is before what is kept, its end is not known.
    pub(super) fn forget(&mut self, len: usize) {
        let cut = self.len.saturating_sub(len);
        self.tokens.truncate(self.tokens.len().saturating_sub(cut));
        self.len -= cut;
    }

    /// The last `most` tokens or, if it is shorter or not all is known, fewer.
    pub(super) fn last(&self, most: usize) -> &[Token] {
        &self.tokens[self.tokens.len().saturating_sub(most)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_that_of_the_text_or_unknown() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut text, mut tail, mut unknown) = (Vec::new(), Tail::default(), 0);
        for step in 0..4000 {
            if random.u32(0..100) > 0 {
                text.push(Token(step));
                tail.push(Token(step));
            } else {
                let len = text.len().saturating_sub(random.usize(0..300));
                text.truncate(len);
                tail.forget(len);
            }
            assert_eq!(tail.len, text.len());
            assert!(text.ends_with(&tail.tokens));
            assert!(tail.tokens.len() <= MOST && tail.tokens.capacity() <= MOST);
            let last = tail.last(3);
            assert!(last.len() == 3.min(tail.tokens.len()) && text.ends_with(last));
            unknown += usize::from(tail.tokens.is_empty() && !text.is_empty());
        }
        assert!(unknown > 0, "too much was forgotten at least once");
    }
}
