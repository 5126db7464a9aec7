//! An answer as it is made, whatever the dialect: choices of one prompt, their text and their calls of tools.

use std::sync::Arc;
use std::time::Duration;

use siskin_grammar::{CallEvent, Constraint, Form, ToolSet};
use siskin_runtime::scheduler::{Class, Progress};
use siskin_runtime::{SamplerConfig, Token};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::engine::{Engine, Events};
use crate::error::{ApiError, Kind};
use crate::front::{Tally, Work};
use crate::journal::{Journal, Level};
use crate::live::Live;
use crate::models::Lease;
use crate::reader::Reader;
use crate::request::{Drawn, End, Event, Finish, Request, Scored, Timings};

/// What a dialect asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The prompt.
    pub(crate) prompt: Vec<Token>,
    /// Answers to it.
    pub(crate) choices: usize,
    /// Tokens of each at most; `None` for what is left of a fair share of the context.
    pub(crate) max_tokens: Option<u32>,
    /// How tokens are chosen.
    pub(crate) sampler: SamplerConfig,
    /// Added to the logits of tokens.
    pub(crate) bias: Vec<(Token, f32)>,
    /// Texts that end it; within a call they do not.
    pub(crate) stop: Vec<String>,
    /// Whether end tokens are never drawn.
    pub(crate) ignore_end: bool,
    /// Whether the first space is left out.
    pub(crate) strip_space: bool,
    /// Likeliest tokens told with each.
    pub(crate) logprobs: Option<usize>,
    /// Whether the prompt's tokens are scored too.
    pub(crate) score_prompt: bool,
    /// The form that it must have, unless tools have theirs.
    pub(crate) form: Option<Form>,
    /// The form's state before the first token, once it is compiled.
    pub(crate) constraint: Option<Constraint>,
    /// Tools that it may call.
    pub(crate) tools: Option<ToolSet>,
    /// Who waits.
    pub(crate) class: Class,
    /// Whose prefixes it may use.
    pub(crate) namespace: u64,
    /// The conversation.
    pub(crate) conversation: Option<u64>,
    /// How the last message of the person begins.
    pub(crate) said: Option<String>,
    /// It is one of several prompts of one request, and not the first.
    pub(crate) joined: bool,
}

impl Ask {
    /// One answer to a prompt, with nothing besides.
    pub(crate) fn new(prompt: Vec<Token>, sampler: SamplerConfig) -> Self {
        Ask {
            prompt,
            choices: 1,
            max_tokens: None,
            sampler,
            bias: Vec::new(),
            stop: Vec::new(),
            ignore_end: false,
            strip_space: false,
            logprobs: None,
            score_prompt: false,
            form: None,
            constraint: None,
            tools: None,
            class: Class::Chat,
            namespace: 0,
            conversation: None,
            said: None,
            joined: false,
        }
    }

    /// Compiles the form, which may take long.
    ///
    /// # Errors
    /// The form cannot be enforced.
    pub(crate) fn compile(&mut self, live: &Live) -> Result<(), ApiError> {
        let of_tools = self.tools.as_ref().and_then(ToolSet::form);
        let Some(form) = of_tools.as_ref().or(self.form.as_ref()) else {
            return Ok(());
        };
        let constraint = live.constraint(form).map_err(|error| {
            let field = match form {
                Form::Gbnf(_) => "grammar",
                Form::JsonObject | Form::JsonSchema { .. } => "response_format",
                Form::Tools(_) => "tools",
            };
            ApiError {
                param: Some(field.into()),
                ..error
            }
        });
        self.constraint = Some(constraint?);
        Ok(())
    }
}

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Part {
    /// Nothing new; where the first choice is.
    Waiting(Option<Progress>),
    /// Scores of the prompt's next tokens.
    Prompt(Vec<Option<Scored>>),
    /// Text, perhaps none, of a token.
    Text {
        /// What may be shown.
        text: String,
        /// Its token's probability.
        scored: Option<Scored>,
    },
    /// What happens to a call of a tool.
    Call(CallEvent),
    /// The choice has ended.
    End(Box<End>),
    /// The choice cannot be computed.
    Failed(Box<ApiError>),
}

struct Choice {
    events: Events,
    reader: Option<Reader>,
    /// Parts that came of one event, to be given one by one.
    parts: std::collections::VecDeque<Part>,
    called: bool,
    ended: bool,
    log: Option<Log>,
}

/// An answer's text, which is written to the log when it has ended, however it ends.
struct Log {
    journal: Arc<Journal>,
    text: String,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.journal
            .log(Level::Info, format_args!("answer: {}", self.text));
    }
}

/// Choices that are made.
pub(crate) struct Answer {
    /// The model is not unloaded meanwhile.
    pub(crate) lease: Lease,
    choices: Vec<Choice>,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u32,
    ticks: Interval,
    next: usize,
    /// Where what it took is noted, and when it was asked for.
    tally: Option<(Arc<Tally>, Instant)>,
}

impl Answer {
    /// Has an answer made; the form of `ask` is compiled.
    ///
    /// # Errors
    /// A setting is refused, it does not fit, or it would wait too long.
    pub(crate) fn begin(engine: &Engine, lease: Lease, ask: Ask) -> Result<Self, ApiError> {
        let live = &lease.live;
        ask.sampler
            .check()
            .map_err(|error| ApiError::new(Kind::Invalid, error.to_string()))?;
        if ask.prompt.is_empty() {
            return Err(ApiError::field(
                "prompt",
                "the prompt is empty, and this model adds no token that begins texts",
            ));
        }
        let prompt: Arc<[Token]> = ask.prompt.into();
        let prompt_tokens = prompt.len() as u32;
        let max_tokens = length(ask.max_tokens, prompt_tokens, live.context, live.fair_share);
        let seed = ask.sampler.with_seed().seed.unwrap_or_default();
        let calls = ask.tools.as_ref().and_then(ToolSet::parser);
        let mut choices = Vec::new();
        let mut first = None;
        for index in 0..ask.choices.max(1) as u32 {
            let request = Request {
                prompt: prompt.clone(),
                max_tokens,
                sampler: SamplerConfig {
                    // The largest number means any seed to llama.cpp.
                    seed: Some(seed.wrapping_add(index).min(u32::MAX - 1)),
                    ..ask.sampler
                },
                bias: ask.bias.clone(),
                stop: ask.stop.clone(),
                calls: calls.clone(),
                ignore_end: ask.ignore_end,
                strip_space: ask.strip_space,
                logprobs: ask.logprobs,
                prompt_logprobs: (ask.score_prompt && index == 0).then_some(0),
                constraint: ask.constraint.clone(),
                class: ask.class,
                namespace: ask.namespace,
                conversation: ask.conversation,
                follows: first,
                joined: ask.joined,
            };
            let events = engine
                .submit(live.slot, request)
                .map_err(|refusal| match refusal {
                    Some(refusal) => ApiError::refusal(&refusal),
                    None => ApiError::new(Kind::Loading, "the model was unloaded; try again")
                        .retry_after(Duration::from_secs(1)),
                })?;
            first.get_or_insert(events.id);
            choices.push(Choice {
                events,
                reader: calls.clone().map(|calls| Reader::new(calls, &ask.stop)),
                parts: std::collections::VecDeque::new(),
                called: false,
                ended: false,
                log: None,
            });
        }
        const FIRST: Duration = Duration::from_millis(900);
        let mut ticks = interval_at(Instant::now() + FIRST, Duration::from_secs(2));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Answer {
            lease,
            choices,
            prompt_tokens,
            ticks,
            next: 0,
            tally: None,
        })
    }

    /// Has what it takes noted for the log.
    pub(crate) fn note_in(&mut self, tally: Arc<Tally>) {
        tally.note(|work| {
            work.model = Some(self.lease.live.name.clone());
            work.prompt = Some((self.prompt_tokens as usize, 0));
        });
        self.tally = Some((tally, Instant::now()));
    }

    /// Has the prompt and every answer written to the log.
    pub(crate) fn log_in(&mut self, journal: &Arc<Journal>, prompt: &str) {
        journal.log(Level::Info, format_args!("prompt: {prompt}"));
        for choice in &mut self.choices {
            choice.log = Some(Log {
                journal: journal.clone(),
                text: String::new(),
            });
        }
    }

    /// Whether a choice has called a tool.
    pub(crate) fn has_called(&self, choice: usize) -> bool {
        self.choices[choice].called
    }

    /// What comes next, and of which choice; `None` after the last end.
    pub(crate) async fn next(&mut self) -> Option<(usize, Part)> {
        let next = self.part().await;
        if let (Some((tally, since)), Some((_, part))) = (&self.tally, &next) {
            tally.note(|work| note(work, part, since.elapsed()));
        }
        next
    }

    async fn part(&mut self) -> Option<(usize, Part)> {
        loop {
            // Choices take turns.
            let count = self.choices.len();
            for at in 0..count {
                let index = (self.next + at) % count;
                if let Some(part) = self.choices[index].parts.pop_front() {
                    return Some((index, part));
                }
            }
            if self.choices.iter().all(|choice| choice.ended) {
                return None;
            }
            let received = {
                let next = self.next;
                let choices = &mut self.choices;
                tokio::select! {
                    biased;
                    received = first_event(choices, next) => Some(received),
                    _ = self.ticks.tick() => None,
                }
            };
            match received {
                Some((index, event)) => {
                    self.next = (index + 1) % count;
                    self.ticks.reset();
                    self.choices[index].take(event);
                }
                None => {
                    let progress = self
                        .choices
                        .iter()
                        .find(|choice| !choice.ended)?
                        .events
                        .progress();
                    return Some((0, Part::Waiting(progress)));
                }
            }
        }
    }
}

/// Notes what a part tells of an answer's work.
fn note(work: &mut Work, part: &Part, since: Duration) {
    match part {
        Part::Waiting(_) | Part::Prompt(_) => {}
        Part::Text { .. } | Part::Call(_) => drop(work.first.get_or_insert(since)),
        Part::End(end) => {
            let Timings {
                cache_n,
                predicted_n,
                queue_ms,
                ..
            } = &end.timings;
            // Later choices find the first one's prompt: only the first tells what was known before.
            if work.end.is_none() {
                work.prompt = work.prompt.map(|(all, _)| (all, *cache_n as usize));
                work.queued = Duration::try_from_secs_f64(queue_ms / 1e3).ok();
            }
            work.answer = Some(work.answer.unwrap_or(0) + *predicted_n as usize);
            work.end = Some(match end.finish {
                Finish::Stop | Finish::StopString => "stop",
                Finish::Length => "length",
            });
        }
        Part::Failed(_) => work.end = Some("failed"),
    }
}

/// The next event of any choice that has not ended, from `start` on.
async fn first_event(choices: &mut [Choice], start: usize) -> (usize, Event) {
    use std::pin::pin;
    use std::task::Poll;
    let count = choices.len();
    std::future::poll_fn(|context| {
        for at in 0..count {
            let index = (start + at) % count;
            let choice = &mut choices[index];
            if choice.ended {
                continue;
            }
            // Receiving from a queue has no state that is lost if it is asked again.
            if let Poll::Ready(Some(event)) = pin!(choice.events.next()).poll(context) {
                return Poll::Ready((index, event));
            }
        }
        Poll::Pending
    })
    .await
}

impl Choice {
    fn take(&mut self, event: Event) {
        match event {
            Event::Prompt(scores) => self.parts.push_back(Part::Prompt(scores)),
            Event::Token(Drawn { text, scored }) => self.text(text, scored),
            Event::End(mut end) => {
                let rest = std::mem::take(&mut end.text);
                if !rest.is_empty() {
                    self.text(rest, None);
                }
                if let Some(reader) = &mut self.reader {
                    let events = reader.finish(end.finish);
                    self.calls(events, None);
                }
                self.ended = true;
                self.parts.push_back(Part::End(end));
            }
            Event::Failed(error) => {
                self.ended = true;
                self.parts.push_back(Part::Failed(error));
            }
        }
    }

    fn text(&mut self, text: String, scored: Option<Scored>) {
        if let Some(log) = &mut self.log {
            log.text += &text;
        }
        match &mut self.reader {
            None => self.parts.push_back(Part::Text { text, scored }),
            Some(reader) => {
                let events = reader.push(&text);
                self.calls(events, scored);
            }
        }
    }

    fn calls(&mut self, events: Vec<CallEvent>, mut scored: Option<Scored>) {
        for event in events {
            let part = match event {
                CallEvent::Text(text) => Part::Text {
                    text,
                    scored: scored.take(),
                },
                call => {
                    self.called = true;
                    Part::Call(call)
                }
            };
            self.parts.push_back(part);
        }
        if scored.is_some() {
            self.parts.push_back(Part::Text {
                text: String::new(),
                scored,
            });
        }
    }
}

/// Tokens that an answer may have: those that were asked for, if they fit after the prompt, and at least one. Without a
/// wish it is what is left of a fair share of the context, so that others find room beside it.
fn length(asked: Option<u32>, prompt: u32, context: u32, fair_share: u32) -> u32 {
    /// The fewest without a wish, if they fit.
    const LEAST: u32 = 512;
    let room = (context + 1).saturating_sub(prompt).max(1);
    let share = fair_share.saturating_sub(prompt).max(LEAST);
    asked.unwrap_or(share).clamp(1, room)
}

#[cfg(test)]
mod length_tests {
    use super::length;

    #[test]
    fn an_answer_fits_and_leaves_room_for_others() {
        // Asked, prompt, context, fair share, length.
        for (asked, prompt, context, share, want) in [
            (Some(10), 100, 4096, 2048, 10),
            (Some(3000), 2000, 4096, 2048, 2097),
            (Some(0), 100, 4096, 2048, 1),
            (None, 100, 4096, 2048, 1948),
            (None, 2000, 4096, 2048, 512),
            (None, 4000, 4096, 2048, 97),
            (None, 5000, 4096, 2048, 1),
            (None, 10, 256, 128, 247),
        ] {
            assert_eq!(length(asked, prompt, context, share), want, "{asked:?} {prompt}");
        }
    }
}
