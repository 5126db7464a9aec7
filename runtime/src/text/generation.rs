//! A text being generated: an iterator of pieces that may be shown.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::{Clock, Cut, TextDecoder, Usage};
use crate::Error;
use crate::engine::{Draw, Drawn, SamplerConfig, Session, Token, Tokenize};
use crate::speculate::{Speculation, Speculator};

/// How tokens are chosen, and what ends the text besides the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// How tokens are chosen.
    pub config: SamplerConfig,
    /// Tokens to draw at most; `None` for no limit.
    pub max_tokens: Option<usize>,
    /// The text ends before any of these.
    pub stop: Vec<String>,
}

impl Sampling {
    /// Always the most likely token: the same text each time.
    pub fn greedy() -> Self {
        Sampling::default().temp(0.0)
    }

    /// Sets the temperature.
    pub fn temp(mut self, temp: f32) -> Self {
        self.config.temp = temp;
        self
    }

    /// Sets the seed of the random numbers.
    pub fn seed(mut self, seed: u32) -> Self {
        self.config.seed = Some(seed);
        self
    }

    /// Limits the tokens drawn.
    pub fn max_tokens(mut self, count: usize) -> Self {
        self.max_tokens = Some(count);
        self
    }

    /// Adds a stop string.
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The model ended it.
    EndOfText,
    /// It has as many tokens as it may have.
    Limit,
    /// The context has no room for more.
    ContextFull,
    /// A stop string came.
    StopString,
    /// It was interrupted.
    Interrupted,
}

/// The state of a text being generated, apart from its session.
#[derive(Debug)]
pub(crate) struct Writer {
    draw: Draw,
    decoder: TextDecoder,
    max_tokens: usize,
    tokens: Vec<Token>,
    text: String,
    stop: Option<StopReason>,
}

impl Writer {
    /// Nothing yet.
    pub(crate) fn new(session: &Session, sampling: &Sampling) -> Result<Self, Error> {
        let vocabulary = session.model().vocabulary_len();
        let sampler = sampling.config.build(vocabulary, session.capacity())?;
        Ok(Writer {
            draw: Draw::new(sampler),
            decoder: TextDecoder::new(sampling.stop.iter().cloned()),
            max_tokens: sampling.max_tokens.unwrap_or(usize::MAX),
            tokens: Vec::new(),
            text: String::new(),
            stop: None,
        })
    }

    pub(crate) fn strip_leading_space(&mut self) {
        self.decoder.strip_leading_space();
    }

    /// Has the penalties see the tokens of the prompt and of what came before it.
    pub(crate) fn see(&mut self, session: &mut Session) {
        self.draw.see(session);
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn stop(&self) -> Option<StopReason> {
        self.stop
    }

    /// Ends the text for a reason that lies outside.
    pub(crate) fn end(&mut self, reason: StopReason) {
        self.stop = Some(reason);
    }

    /// Goes on in a context that was full and now has room: its session has every token drawn.
    pub(crate) fn resume(&mut self) {
        self.draw.forget_pending();
        self.stop = None;
    }

    /// Draws until there is text to show, or the text ends: then [`Writer::stop`] has the reason, and the piece is what
    /// was held back (nothing if the context is full, because the caller may go on).
    pub(crate) fn next(
        &mut self,
        session: &mut Session,
        interrupted: Option<&AtomicBool>,
        clock: &mut Clock,
    ) -> Result<String, Error> {
        loop {
            let (text, reason) = self.step(session, interrupted, clock)?;
            self.text.push_str(&text);
            self.stop = reason;
            if reason.is_some() || !text.is_empty() {
                return Ok(text);
            }
        }
    }

    fn step(
        &mut self,
        session: &mut Session,
        interrupted: Option<&AtomicBool>,
        clock: &mut Clock,
    ) -> Result<(String, Option<StopReason>), Error> {
        if interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Ok((self.decoder.finish(), Some(StopReason::Interrupted)));
        }
        if self.tokens.len() >= self.max_tokens {
            return Ok((self.decoder.finish(), Some(StopReason::Limit)));
        }
        let more = self.max_tokens - self.tokens.len() - 1;
        let drawn = self.draw.next(session, more, interrupted)?;
        clock.drawn(matches!(drawn, Drawn::Token(_)));
        match drawn {
            Drawn::End => Ok((self.decoder.finish(), Some(StopReason::EndOfText))),
            Drawn::Full => Ok((String::new(), Some(StopReason::ContextFull))),
            Drawn::Stopped => Ok((self.decoder.finish(), Some(StopReason::Interrupted))),
            Drawn::Token(token) => {
                self.tokens.push(token);
                let piece = session.model().piece(token, false);
                Ok(match self.decoder.push(&piece) {
                    Cut::More(text) => (text, None),
                    Cut::Stop(text) => (text, Some(StopReason::StopString)),
                })
            }
        }
    }

    /// What was held back when the context was full, for a caller that does not go on.
    pub(crate) fn flush(&mut self) -> String {
        let rest = self.decoder.finish();
        self.text.push_str(&rest);
        rest
    }
}

/// A text being generated. It is an iterator of pieces: valid UTF-8, never empty, without stop strings.
#[derive(Debug)]
pub struct Generation<'s> {
    session: &'s mut Session,
    writer: Writer,
    clock: Clock,
    prompt_tokens: usize,
    interrupted: Option<&'s AtomicBool>,
    done: bool,
}

impl Session {
    /// Continues the session's text with `prompt` and what the model makes of it.
    ///
    /// Special tokens that the prompt writes out, such as `<s>`, are recognised. For text from strangers, tokenize it
    /// with [`Tokenize::TEXT`] and use [`Session::generate_from`].
    ///
    /// # Errors
    /// The prompt does not fit, a sampling parameter is out of range, or there is nothing to continue.
    pub fn generate(&mut self, prompt: &str, sampling: &Sampling) -> Result<Generation<'_>, Error> {
        let options = Tokenize {
            add_special: self.is_empty(),
            parse_special: true,
        };
        let tokens = self.tokenize(prompt, options, None)?.unwrap_or_default();
        // SentencePiece writes a space before a text's first word; it is not part of the text.
        let first = self.is_empty() && prompt.is_empty() && self.model().adds_space_prefix();
        let mut generation = self.generate_from(&tokens, sampling, None)?;
        if first {
            generation.writer.strip_leading_space();
        }
        Ok(generation)
    }

    /// The same, from tokens. Once `interrupted` is true, the text ends: while the prompt is computed, and after each
    /// token.
    ///
    /// # Errors
    /// As [`Session::generate`]'s.
    pub fn generate_from<'s>(
        &'s mut self,
        prompt: &[Token],
        sampling: &Sampling,
        interrupted: Option<&'s AtomicBool>,
    ) -> Result<Generation<'s>, Error> {
        let mut writer = Writer::new(self, sampling)?;
        if prompt.is_empty() && self.logits().is_none() {
            return Err(Error::EmptyPrompt);
        }
        let mut clock = Clock::start();
        if !self.decode_until(prompt, interrupted)? {
            writer.end(StopReason::Interrupted);
        }
        clock.prompt_done();
        writer.see(self);
        Ok(Generation {
            done: writer.stop().is_some(),
            session: self,
            writer,
            clock,
            prompt_tokens: prompt.len(),
            interrupted,
        })
    }
}

impl Generation<'_> {
    /// Leaves out the space that SentencePiece writes before a text's first word.
    pub fn strip_leading_space(&mut self) {
        self.writer.strip_leading_space();
    }

    /// The text so far, without what is held back.
    pub fn text(&self) -> &str {
        self.writer.text()
    }

    /// The tokens drawn so far.
    pub fn tokens(&self) -> &[Token] {
        self.writer.tokens()
    }

    /// Why the text ended; `None` while it goes on.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.writer.stop()
    }

    /// What guessing came to so far; `None` if the session does not guess.
    pub fn speculation(&self) -> Option<&Speculation> {
        self.session.speculator().map(Speculator::counts)
    }

    /// What it took so far.
    pub fn usage(&self) -> Usage {
        self.clock.usage(self.prompt_tokens, self.tokens().len())
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut piece = self.writer.next(self.session, self.interrupted, &mut self.clock);
        if self.writer.stop() == Some(StopReason::ContextFull) {
            piece = Ok(self.writer.flush());
        }
        self.done = piece.is_err() || self.writer.stop().is_some();
        match piece {
            Ok(text) if text.is_empty() => None,
            piece => Some(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LoadOptions, Model, STORYTELLER};

    fn storyteller() -> Session {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        model.session().expect("a session")
    }

    #[test]
    fn pieces_make_the_text_and_the_end_is_told() {
        let mut session = storyteller();
        let sampling = Sampling::greedy().max_tokens(20);
        let mut generation = session.generate("Once upon a time", &sampling).expect("a text");
        let mut shown = String::new();
        for piece in &mut generation {
            let piece = piece.expect("a piece");
            assert!(!piece.is_empty());
            shown += &piece;
        }
        assert_eq!(generation.stop_reason(), Some(StopReason::Limit));
        assert_eq!(
            (shown.as_str(), generation.tokens().len()),
            (generation.text(), 20)
        );
        let usage = generation.usage();
        assert!(usage.prompt_tokens > 3 && usage.generated_tokens == 20);
        assert!(usage.decode_tokens_per_second.is_some_and(|speed| speed > 0.0));
        // The session goes on from there.
        let more = session.generate(" and", &sampling).expect("a text").count();
        assert!(more > 0 && session.len() > 25);
    }

    #[test]
    fn stop_strings_limits_and_interrupts_end_it() {
        let mut session = storyteller();
        let all = Sampling::greedy().max_tokens(30);
        let whole: String = session
            .generate("Once upon a time", &all)
            .expect("a text")
            .map(|piece| piece.expect("a piece"))
            .collect();
        let word = whole.split_whitespace().nth(4).expect("some words");
        let mut session = storyteller();
        let stopped = all.clone().stop(word);
        let mut generation = session.generate("Once upon a time", &stopped).expect("a text");
        let text: String = (&mut generation).map(|piece| piece.expect("a piece")).collect();
        assert_eq!(generation.stop_reason(), Some(StopReason::StopString));
        assert!(whole.starts_with(&text) && !text.contains(word), "{text:?}");

        let flag = AtomicBool::new(true);
        let mut session = storyteller();
        let prompt = session.model().tokenize("Once upon a time", Tokenize::PROMPT);
        let mut generation = session.generate_from(&prompt, &all, Some(&flag)).expect("a text");
        assert!(generation.next().is_none());
        assert_eq!(generation.stop_reason(), Some(StopReason::Interrupted));
    }

    #[test]
    fn what_cannot_begin_is_refused() {
        let mut session = storyteller();
        let error = session
            .generate_from(&[], &Sampling::greedy(), None)
            .expect_err("empty");
        assert!(matches!(error, Error::EmptyPrompt));
        let error = session
            .generate("a", &Sampling::default().temp(-1.0))
            .expect_err("temp");
        assert_eq!(error.kind(), crate::ErrorKind::Request);
        let long = "word ".repeat(2000);
        let error = session
            .generate(&long, &Sampling::greedy())
            .expect_err("too long");
        assert_eq!(error.kind(), crate::ErrorKind::ContextFull);
        let longer = "word ".repeat(200_000);
        let error = session
            .generate(&longer, &Sampling::greedy())
            .expect_err("not even tokenized");
        assert!(matches!(error, Error::TextTooLong { .. }), "{error}");
        assert!(session.is_empty(), "nothing was computed");
    }
}
