//! One text made by a model: drawn token by token, shown as it comes, ended by whatever ends it first.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use siskin::engine::{Cut, Session, StopStrings, Token, Utf8Stream};

use super::sampling_args::Sampling;
use super::stats::Clock;

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StopReason {
    EndOfText,
    Limit,
    ContextFull,
    StopString,
    Interrupted,
}

/// A text and its tokens.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) stop: StopReason,
}

/// A text being made: text goes to `show` as soon as it is whole characters and no beginning of a stop string.
pub(crate) struct Writer<'a> {
    sampling: &'a Sampling,
    tokens: Vec<Token>,
    utf8: Utf8Stream,
    stops: StopStrings,
    text: String,
    strip_space: bool,
    show: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
}

impl<'a> Writer<'a> {
    /// Nothing yet. With `strip_space` the text's first space, SentencePiece's, is left out.
    pub(crate) fn new(
        sampling: &'a Sampling,
        strip_space: bool,
        show: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> Self {
        Writer {
            sampling,
            tokens: Vec::new(),
            utf8: Utf8Stream::new(),
            stops: StopStrings::new(sampling.stops.iter().cloned()),
            text: String::new(),
            strip_space,
            show,
        }
    }

    /// The tokens so far.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Draws tokens that continue what was fed into `session`, until something ends the text.
    pub(crate) fn draw(
        &mut self,
        session: &mut Session<'_>,
        interrupted: &AtomicBool,
        clock: &mut Clock,
    ) -> anyhow::Result<StopReason> {
        let model = session.model();
        let mut generate = session.generate(&self.sampling.config)?;
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Ok(StopReason::Interrupted);
            }
            if self.tokens.len() >= self.sampling.limit {
                return Ok(StopReason::Limit);
            }
            let Some(token) = generate.next() else {
                return Ok(if generate.is_full() {
                    StopReason::ContextFull
                } else {
                    StopReason::EndOfText
                });
            };
            let token = token?;
            clock.token();
            self.tokens.push(token);
            if self.push(&model.piece(token, false))? {
                return Ok(StopReason::StopString);
            }
        }
    }

    /// Takes a token's bytes; true where a stop string came.
    fn push(&mut self, piece: &[u8]) -> anyhow::Result<bool> {
        let text = self.utf8.push(piece);
        let mut text = text.as_str();
        if self.strip_space && !text.is_empty() {
            self.strip_space = false;
            text = text.strip_prefix(' ').unwrap_or(text);
        }
        let (text, stop) = match self.stops.push(text) {
            Cut::More(text) => (text, false),
            Cut::Stop(text) => (text, true),
        };
        self.out(&text)?;
        Ok(stop)
    }

    /// Shows what was held back, unless a stop string came, and gives the whole.
    pub(crate) fn finish(mut self, stop: StopReason) -> anyhow::Result<Answer> {
        if stop != StopReason::StopString {
            let rest = self.utf8.finish();
            let held = match self.stops.push(&rest) {
                Cut::More(text) => text + &self.stops.finish(),
                Cut::Stop(text) => text,
            };
            self.out(&held)?;
        }
        Ok(Answer {
            text: self.text,
            tokens: self.tokens,
            stop,
        })
    }

    fn out(&mut self, text: &str) -> anyhow::Result<()> {
        self.text.push_str(text);
        if text.is_empty() {
            return Ok(());
        }
        (self.show)(text)
    }
}
