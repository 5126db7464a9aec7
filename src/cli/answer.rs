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

/// Continues what was fed into `session`, giving text to `show` as soon as it is whole characters and no
/// beginning of a stop string. With `strip_space` the text's first space, SentencePiece's, is left out.
pub(crate) fn stream(
    session: &mut Session<'_>,
    sampling: &Sampling,
    interrupted: &AtomicBool,
    clock: &mut Clock,
    strip_space: bool,
    show: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Answer> {
    let model = session.model();
    let mut writer = Writer::new(sampling.stops.iter().cloned(), strip_space, show);
    let mut tokens = Vec::new();
    let mut generate = session.generate(&sampling.config)?;
    let stop = loop {
        if interrupted.load(Ordering::Relaxed) {
            break StopReason::Interrupted;
        }
        if tokens.len() >= sampling.limit {
            break StopReason::Limit;
        }
        let Some(token) = generate.next() else {
            break if generate.is_full() {
                StopReason::ContextFull
            } else {
                StopReason::EndOfText
            };
        };
        let token = token?;
        clock.token();
        tokens.push(token);
        if writer.push(&model.piece(token, false))? {
            break StopReason::StopString;
        }
    };
    let text = writer.finish(stop != StopReason::StopString)?;
    Ok(Answer { text, tokens, stop })
}

/// From the bytes of tokens to text that may be shown.
struct Writer<'a> {
    utf8: Utf8Stream,
    stops: StopStrings,
    text: String,
    strip_space: bool,
    show: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
}

impl<'a> Writer<'a> {
    fn new(
        stops: impl IntoIterator<Item = String>,
        strip_space: bool,
        show: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> Self {
        Writer {
            utf8: Utf8Stream::new(),
            stops: StopStrings::new(stops),
            text: String::new(),
            strip_space,
            show,
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

    /// Shows what was held back, unless a stop string came. Gives the whole text.
    fn finish(mut self, show_held: bool) -> anyhow::Result<String> {
        if show_held {
            let rest = self.utf8.finish();
            let held = match self.stops.push(&rest) {
                Cut::More(text) => text + &self.stops.finish(),
                Cut::Stop(text) => text,
            };
            self.out(&held)?;
        }
        Ok(self.text)
    }

    fn out(&mut self, text: &str) -> anyhow::Result<()> {
        self.text.push_str(text);
        if text.is_empty() {
            return Ok(());
        }
        (self.show)(text)
    }
}
