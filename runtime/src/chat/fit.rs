//! Which of the oldest turns have to go, so that the others fit into the context.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Chat, ChatError, rendered};
use crate::engine::Token;

/// How long the conversation is that the model sees.
enum Length {
    Tokens(Vec<Token>),
    /// It is too long, whatever its tokens are: at least so many.
    AtLeast(usize),
}

impl Chat {
    /// The tokens of the conversation and the tokens `made` of an answer, and how many of the oldest turns were dropped,
    /// whole: as few as leave `reserve` places, at most all but the last turn. `None` if `stop` became true meanwhile,
    /// or if it fails: then no turn is dropped.
    pub(super) fn fit(
        &mut self,
        made: &[Token],
        reserve: usize,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<(Vec<Token>, usize)>, ChatError> {
        let first = self.conversation.seen_from();
        let found = self.search(made, reserve, stop);
        if !matches!(found, Ok(Some(_))) {
            self.conversation.see_from(first);
        }
        found
    }

    /// Halves the range in which the number of turns to drop is: thousands of turns are rendered a dozen times.
    fn search(
        &mut self,
        made: &[Token],
        reserve: usize,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<(Vec<Token>, usize)>, ChatError> {
        let (first, context) = (self.conversation.seen_from(), self.session.capacity());
        let most = self.conversation.turns().0.saturating_sub(first + 1);
        let fits = |tokens: &[Token]| tokens.len() + reserve.max(1) <= context as usize;
        // Dropping `low - 1` is too few; `best` is what is left after dropping `high`.
        let (mut low, mut high, mut best) = (0, most, None);
        while best.is_none() || low < high {
            let dropped = match best {
                // The usual case first; then whether there is a solution at all.
                None if low == 0 => 0,
                None => most,
                Some(_) => low + (high - low) / 2,
            };
            self.conversation.see_from(first + dropped);
            let Some(length) = self.length(made, stop)? else {
                return Ok(None);
            };
            match length {
                Length::Tokens(tokens) if fits(&tokens) => (high, best) = (dropped, Some(tokens)),
                // There is no more to drop, and the answer has less room than it was to have.
                Length::Tokens(tokens) if dropped == most && tokens.len() < context as usize => {
                    return Ok(Some((tokens, most)));
                }
                Length::Tokens(tokens) if dropped == most => {
                    let tokens = tokens.len();
                    return Err(ChatError::TooLong { tokens, context });
                }
                Length::AtLeast(tokens) if dropped == most => {
                    return Err(ChatError::TooLong { tokens, context });
                }
                _ => low = dropped + 1,
            }
        }
        self.conversation.see_from(first + high);
        Ok(best.map(|tokens| (tokens, high)))
    }

    /// `None` if `stop` became true meanwhile.
    fn length(&self, made: &[Token], stop: Option<&AtomicBool>) -> Result<Option<Length>, ChatError> {
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Ok(None);
        }
        let (text, marks) = rendered(&self.template, &self.control, self.conversation.seen())?;
        let model = self.session.model();
        let fewest = model.fewest_tokens(marks.bytes_without(&text));
        let fewest = usize::try_from(fewest)
            .unwrap_or(usize::MAX)
            .saturating_add(made.len());
        if fewest > self.session.capacity() as usize {
            return Ok(Some(Length::AtLeast(fewest)));
        }
        let tokens = self.control.tokenize(model, &text, marks, stop);
        Ok(tokens.map(|mut tokens| {
            tokens.extend_from_slice(made);
            Length::Tokens(tokens)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Template;
    use crate::engine::{LoadOptions, Model, STORYTELLER};

    fn chat(turns: usize) -> Chat {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let session = model.session().expect("a session");
        let mut chat = Chat::new(session, Template::plain(), None);
        for turn in 0..turns {
            chat.conversation.ask(format!("question {turn}"));
            chat.conversation.answer("an answer ".repeat(1 + turn % 7));
        }
        chat.conversation.ask("the last question".into());
        chat
    }

    /// The number of dropped turns equals that of trying one after the other.
    #[test]
    fn as_few_turns_go_as_have_to() {
        for turns in [0, 1, 2, 9, 60, 400] {
            let mut chat = chat(turns);
            let room = chat.session.capacity() as usize;
            for reserve in [0, room / 4, room - 1] {
                chat.conversation.see_from(0);
                let want = (0..=turns).find(|dropped| {
                    chat.conversation.see_from(*dropped);
                    let length = chat.length(&[], None).expect("renders");
                    matches!(length, Some(Length::Tokens(tokens)) if tokens.len() + reserve.max(1) <= room)
                });
                chat.conversation.see_from(0);
                let (tokens, dropped) = chat.fit(&[], reserve, None).expect("fits").expect("not stopped");
                assert_eq!(dropped, want.unwrap_or(turns), "{turns} turns, {reserve}");
                assert_eq!(chat.conversation.seen_from(), dropped);
                assert!(tokens.len() < room);
            }
        }
    }

    #[test]
    fn what_cannot_fit_or_is_stopped_drops_nothing() {
        let mut chat = chat(30);
        let stop = AtomicBool::new(true);
        assert!(chat.fit(&[], 9, Some(&stop)).expect("no error").is_none());
        assert_eq!(chat.conversation.seen_from(), 0);
        for long in ["word ".repeat(2000), "word ".repeat(200_000)] {
            chat.conversation.withdraw();
            chat.conversation.ask(long);
            let error = chat.fit(&[], 9, None).expect_err("too long");
            assert!(
                matches!(error, ChatError::TooLong { tokens, .. } if tokens > 512),
                "{error}"
            );
            assert_eq!(chat.conversation.seen_from(), 0);
        }
    }
}
