//! One turn: a message, and its answer as it is generated.

use std::sync::atomic::AtomicBool;

use super::{Chat, ChatError, Prepared};
use crate::engine::Token;
use crate::speculate::{Speculation, Speculator};
use crate::text::{Clock, Sampling, StopReason, Usage, Writer};

/// Ends an answer on the plain template, where the next speaker is only text.
const NEXT_SPEAKER: &str = "\nUser:";

/// What happens while an answer is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// A piece of the answer: valid UTF-8, never empty.
    Text(String),
    /// The context is full: so many of the oldest turns are no longer seen by the model.
    Dropped(usize),
}

/// An answer being generated. When it ends, or is dropped, the conversation has what was generated so far.
#[derive(Debug)]
pub struct Reply<'c> {
    chat: &'c mut Chat,
    writer: Writer,
    clock: Clock,
    prepared: Prepared,
    reserve: usize,
    /// Dropped turns that were not reported yet.
    report: usize,
    dropped: usize,
    interrupted: Option<&'c AtomicBool>,
    recorded: bool,
}

impl Chat {
    /// Adds a message to the conversation and answers it. Once `interrupted` is true, the answer ends.
    ///
    /// # Errors
    /// The message does not fit, the template refuses it, or llama.cpp fails. The conversation is then as it was.
    pub fn reply<'c>(
        &'c mut self,
        message: impl Into<String>,
        sampling: &Sampling,
        interrupted: Option<&'c AtomicBool>,
    ) -> Result<Reply<'c>, ChatError> {
        let mut sampling = sampling.clone();
        if self.is_plain() {
            sampling.stop.push(NEXT_SPEAKER.into());
        }
        let mut writer = Writer::new(&self.session, &sampling)?;
        if self.is_plain() {
            writer.strip_leading_space();
        }
        // A quarter of the context for the answer, or what it may take if that is less.
        let quarter = self.session.capacity() as usize / 4;
        let reserve = quarter.min(sampling.max_tokens.unwrap_or(usize::MAX));
        let seen_from = self.conversation.seen_from();
        self.conversation.ask(message.into());
        let mut clock = Clock::start();
        let prepared = self.prepare(&[], reserve, interrupted);
        if !prepared.as_ref().is_ok_and(|prepared| prepared.complete) {
            self.conversation.withdraw_to(seen_from);
            writer.end(StopReason::Interrupted);
        }
        let prepared = prepared?;
        clock.prompt_done();
        writer.see(&mut self.session);
        Ok(Reply {
            recorded: !prepared.complete,
            chat: self,
            writer,
            clock,
            prepared,
            reserve,
            report: prepared.dropped,
            dropped: prepared.dropped,
            interrupted,
        })
    }
}

impl Reply<'_> {
    /// What making ready took. If it is not [complete](Prepared::complete), it was interrupted, and the message was
    /// taken out of the conversation.
    pub fn prepared(&self) -> Prepared {
        self.prepared
    }

    /// The answer so far.
    pub fn text(&self) -> &str {
        self.writer.text()
    }

    /// The tokens drawn so far.
    pub fn tokens(&self) -> &[Token] {
        self.writer.tokens()
    }

    /// Turns that were dropped, before the answer and while it was made.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Why the answer ended; `None` while it goes on.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.writer.stop()
    }

    /// What guessing came to so far; `None` if the session does not guess.
    pub fn speculation(&self) -> Option<&Speculation> {
        self.chat.session.speculator().map(Speculator::counts)
    }

    /// What it took so far.
    pub fn usage(&self) -> Usage {
        let computed = self.prepared.tokens - self.prepared.reused;
        self.clock.usage(computed, self.tokens().len())
    }

    /// Draws text. If the context is full, drops the oldest turns, whole, as long as there are some, and goes on.
    fn advance(&mut self) -> Result<String, ChatError> {
        let chat = &mut *self.chat;
        let text = self
            .writer
            .next(&mut chat.session, self.interrupted, &mut self.clock)?;
        if self.writer.stop() != Some(StopReason::ContextFull) {
            return Ok(text);
        }
        if !chat.conversation.can_drop() {
            return Ok(self.writer.flush());
        }
        let prepared = chat.prepare(self.writer.tokens(), self.reserve, self.interrupted)?;
        self.report = prepared.dropped;
        self.dropped += prepared.dropped;
        if prepared.complete {
            self.writer.resume();
            return Ok(String::new());
        }
        self.writer.end(StopReason::Interrupted);
        Ok(self.writer.flush())
    }

    /// Puts the answer into the conversation.
    fn record(&mut self) {
        if !self.recorded {
            self.recorded = true;
            let text = self.writer.text().to_owned();
            self.chat.conversation.answer(text);
        }
    }
}

impl Iterator for Reply<'_> {
    type Item = Result<ChatEvent, ChatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let dropped = std::mem::take(&mut self.report);
            if dropped > 0 {
                return Some(Ok(ChatEvent::Dropped(dropped)));
            }
            if self.recorded {
                return None;
            }
            match self.advance() {
                Err(error) => {
                    self.record();
                    return Some(Err(error));
                }
                Ok(text) => {
                    if self.writer.stop().is_some() {
                        self.record();
                    }
                    if !text.is_empty() {
                        return Some(Ok(ChatEvent::Text(text)));
                    }
                }
            }
        }
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        self.record();
    }
}
