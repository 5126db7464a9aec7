//! One turn: a message, and its answer as it is made.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use siskin::engine::chat::Prepared;

use super::{Next, Talk};
use crate::cli::answer::{Answer, StopReason, Writer};
use crate::cli::stats::{self, Clock, Stats};
use crate::cli::{interrupt, text};

/// A turn as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    turn: usize,
    user: &'a str,
    text: &'a str,
    stop: StopReason,
    context_tokens: u32,
    reused_tokens: usize,
    dropped_turns: usize,
    stats: &'a Stats,
}

impl Talk<'_> {
    pub(super) fn turn(&mut self, question: String, terminal: bool) -> anyhow::Result<Next> {
        self.chat.conversation_mut().ask(question.clone());
        let mut clock = Clock::start();
        let prepared = self.prepare().inspect_err(|_| self.withdraw())?;
        if !prepared.complete {
            self.withdraw();
            return Ok(self.after_interrupt(terminal));
        }
        clock.prompt_done();
        let (answer, dropped) = self.answer(&mut clock)?;
        let fed = prepared.tokens - prepared.reused;
        let stats = clock.stats(self.chat.session().model(), fed, answer.tokens.len());
        self.chat.conversation_mut().answer(answer.text.clone());
        if self.json {
            let report = Report {
                turn: self.chat.conversation().turns().0,
                user: &question,
                text: &answer.text,
                stop: answer.stop,
                context_tokens: self.chat.session().position(),
                reused_tokens: prepared.reused,
                dropped_turns: prepared.dropped + dropped,
                stats: &stats,
            };
            let mut out = std::io::stdout();
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
            out.flush()?;
        } else {
            text::put("\n")?;
            if self.show_stats {
                stats::print(&stats);
            }
        }
        self.last = Some(stats);
        Ok(match answer.stop {
            StopReason::Interrupted => self.after_interrupt(terminal),
            _ => Next::Listen,
        })
    }

    /// Makes the answer, with the oldest turns going where the context is full before it ends. Gives how many went.
    fn answer(&mut self, clock: &mut Clock) -> anyhow::Result<(Answer, usize)> {
        let (interrupted, json, sampling) = (interrupt::listen(), self.json, self.sampling.clone());
        let mut show = |part: &str| if json { Ok(()) } else { Ok(text::put(part)?) };
        let strip_space = self.chat.is_plain();
        let mut writer = Writer::new(&sampling, strip_space, &mut show);
        let mut dropped = 0;
        let stop = loop {
            let stop = writer.draw(self.chat.session_mut(), interrupted, clock)?;
            if stop != StopReason::ContextFull || !self.chat.conversation().can_drop() {
                break stop;
            }
            let prepared = self.chat.prepare(writer.tokens(), self.reserve(), interrupted)?;
            self.say_dropped(prepared.dropped);
            dropped += prepared.dropped;
            if !prepared.complete {
                break StopReason::Interrupted;
            }
        };
        Ok((writer.finish(stop)?, dropped))
    }

    fn prepare(&mut self) -> anyhow::Result<Prepared> {
        let prepared = self.chat.prepare(&[], self.reserve(), interrupt::listen())?;
        self.say_dropped(prepared.dropped);
        Ok(prepared)
    }

    /// Places that an answer should have: a quarter of the context, or what it may take where that is less.
    fn reserve(&self) -> usize {
        let quarter = self.chat.session().capacity() as usize / 4;
        quarter.min(self.sampling.limit)
    }

    fn say_dropped(&self, turns: usize) {
        let context = self.chat.session().capacity();
        let which = match turns {
            0 => return,
            1 => "the oldest turn is".into(),
            turns => format!("the oldest {turns} turns are"),
        };
        // The answer may be in the middle of a line.
        if std::io::stdout().is_terminal() && !self.json {
            say!();
        }
        say!("siskin: the context of {context} tokens is full; {which} out of the model's sight");
    }

    fn withdraw(&mut self) {
        self.chat.conversation_mut().withdraw();
    }

    /// Ctrl-C on a terminal ends the answer; anything else ends the conversation.
    fn after_interrupt(&self, terminal: bool) -> Next {
        if terminal && interrupt::by_keyboard() {
            interrupt::forget();
            return Next::Listen;
        }
        Next::Leave(interrupt::exit_code())
    }
}
