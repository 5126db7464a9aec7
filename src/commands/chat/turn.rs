//! One turn: a message, and its answer as it is generated.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use siskin::StopReason;
use siskin::chat::ChatEvent;

use super::talk::{ChatLoop, Next};
use crate::commands::stats::Stats;
use crate::interrupt;
use crate::render::text;

/// A turn as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    turn: usize,
    user: &'a str,
    text: &'a str,
    stop: Option<StopReason>,
    context_tokens: usize,
    reused_tokens: usize,
    dropped_turns: usize,
    seed: Option<u32>,
    stats: &'a Stats,
}

impl ChatLoop {
    pub(super) fn turn(&mut self, question: String, terminal: bool) -> anyhow::Result<Next> {
        let context = self.chat.session().capacity();
        let model = self.chat.session().model().clone();
        self.line.begin();
        let reply = self
            .chat
            .reply(question.clone(), &self.sampling, Some(interrupt::listen()));
        self.line.end();
        let mut reply = reply?;
        for event in &mut reply {
            match event? {
                ChatEvent::Text(part) if !self.json => text::put(&part)?,
                ChatEvent::Dropped(turns) => say_dropped(context, turns, self.json),
                _ => {}
            }
        }
        let (prepared, stop) = (reply.prepared(), reply.stop_reason());
        if !prepared.complete {
            return Ok(after_interrupt(terminal));
        }
        let (answer, dropped_turns) = (reply.text().to_owned(), reply.dropped());
        let stats = Stats::new(reply.usage(), reply.speculation().cloned(), &model)
            .without_guesses(self.guesses_nothing.as_deref());
        drop(reply);
        if self.json {
            let report = Report {
                turn: self.chat.conversation().turns().0,
                user: &question,
                text: &answer,
                stop,
                context_tokens: self.chat.session().len(),
                reused_tokens: prepared.reused,
                dropped_turns,
                seed: self.sampling.config.seed,
                stats: &stats,
            };
            let mut out = text::stdout();
            writeln!(out, "{}", text::json(&report)?)?;
            out.flush()?;
        } else {
            text::put("\n")?;
            if self.show_stats {
                stats.print();
                Stats::print_seed(&self.sampling.config);
            }
        }
        self.last = Some(stats);
        self.unsaved += 1;
        Ok(match stop {
            Some(StopReason::Interrupted) => after_interrupt(terminal),
            _ => Next::Listen,
        })
    }
}

fn say_dropped(context: u32, turns: usize, json: bool) {
    let which = match turns {
        1 => "the oldest turn was".into(),
        turns => format!("the oldest {turns} turns were"),
    };
    // The answer may be in the middle of a line.
    if std::io::stdout().is_terminal() && !json {
        say!("");
    }
    say!("siskin: the context of {context} tokens is full; {which} dropped to make room");
}

/// Ctrl-C on a terminal ends the answer; anything else ends the conversation.
fn after_interrupt(terminal: bool) -> Next {
    if terminal && interrupt::by_keyboard() {
        interrupt::forget();
        return Next::Listen;
    }
    Next::Leave(interrupt::exit_code())
}
