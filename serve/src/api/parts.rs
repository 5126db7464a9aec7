//! The parts of an answer, put together: blocks of text and calls of tools, whatever the dialect.

use siskin_grammar::CallEvent;
use siskin_runtime::scheduler::Progress;

use crate::answer::{Answer, Part};
use crate::error::ApiError;
use crate::live::Live;
use crate::request::{End, Finish, Scored, Timings};

/// An answer whose first part is known, so that an answer that fails at once is refused with a status.
pub(crate) struct Begun {
    first: Option<(usize, Part)>,
    /// The answer.
    pub(crate) answer: Answer,
}

impl Begun {
    /// Waits for the first part: a second at most.
    ///
    /// # Errors
    /// The answer cannot be computed.
    pub(crate) async fn new(mut answer: Answer) -> Result<Self, ApiError> {
        match answer.next().await {
            Some((_, Part::Failed(error))) => Err(*error),
            first => Ok(Begun { first, answer }),
        }
    }

    /// An answer that is not waited for: another comes before it.
    pub(crate) fn later(answer: Answer) -> Self {
        Begun { first: None, answer }
    }

    /// What comes next, and of which choice.
    pub(crate) async fn next(&mut self) -> Option<(usize, Part)> {
        match self.first.take() {
            None => self.answer.next().await,
            first => first,
        }
    }

    /// The model.
    pub(crate) fn live(&self) -> &Live {
        &self.answer.lease.live
    }
}

/// A piece of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// Text.
    Text(String),
    /// A call of a tool.
    Call {
        /// The tool.
        name: String,
        /// JSON; not all of it if the answer broke off.
        arguments: String,
        /// Whether it is all.
        complete: bool,
    },
}

/// What a part has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A block of text begins.
    Text(usize),
    /// A call begins.
    Call(usize, String),
    /// More of a block.
    More(usize, String),
    /// A block is complete.
    Closed(usize),
}

/// A choice as it grows.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Its blocks.
    pub(crate) blocks: Vec<Block>,
    /// Probabilities of its tokens.
    pub(crate) scores: Vec<Scored>,
    /// Probabilities of the prompt's tokens.
    pub(crate) prompt: Vec<Option<Scored>>,
    /// How it ended.
    pub(crate) end: Option<Box<End>>,
    open: bool,
}

impl Choice {
    /// Adds a part; says what that changed.
    ///
    /// # Errors
    /// The part is a failure.
    pub(crate) fn add(&mut self, part: Part) -> Result<Vec<Change>, ApiError> {
        let mut changes = Vec::new();
        match part {
            Part::Waiting(_) => {}
            Part::Prompt(scores) => self.prompt.extend(scores),
            Part::Text { text, scored } => {
                self.scores.extend(scored);
                self.text(text, &mut changes);
            }
            Part::Call(CallEvent::Text(text)) => self.text(text, &mut changes),
            Part::Call(CallEvent::Begin { name, .. }) => {
                self.close(&mut changes);
                changes.push(Change::Call(self.blocks.len(), name.clone()));
                self.blocks.push(Block::Call {
                    name,
                    arguments: String::new(),
                    complete: false,
                });
                self.open = true;
            }
            Part::Call(CallEvent::Arguments { piece, .. }) => {
                let index = self.blocks.len().saturating_sub(1);
                if let Some(Block::Call { arguments, .. }) = self.blocks.last_mut() {
                    *arguments += &piece;
                    changes.push(Change::More(index, piece));
                }
            }
            Part::Call(CallEvent::End { .. }) => {
                if let Some(Block::Call { complete, .. }) = self.blocks.last_mut() {
                    *complete = true;
                }
                self.close(&mut changes);
            }
            Part::End(end) => {
                self.close(&mut changes);
                self.end = Some(end);
            }
            Part::Failed(error) => return Err(*error),
        }
        Ok(changes)
    }

    fn text(&mut self, text: String, changes: &mut Vec<Change>) {
        if text.is_empty() {
            return;
        }
        match self.blocks.last_mut() {
            Some(Block::Text(all)) if self.open => *all += &text,
            _ => {
                self.close(changes);
                changes.push(Change::Text(self.blocks.len()));
                self.blocks.push(Block::Text(text.clone()));
                self.open = true;
            }
        }
        changes.push(Change::More(self.blocks.len() - 1, text));
    }

    fn close(&mut self, changes: &mut Vec<Change>) {
        if std::mem::take(&mut self.open) {
            changes.push(Change::Closed(self.blocks.len() - 1));
        }
    }

    /// All text.
    pub(crate) fn all_text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            Block::Call { .. } => None,
        });
        texts.collect()
    }

    /// The calls: name, arguments, and whether these are all.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Text(_) => None,
            Block::Call {
                name,
                arguments,
                complete,
            } => Some((name.as_str(), arguments.as_str(), *complete)),
        })
    }

    /// Whether it calls a tool.
    pub(crate) fn has_called(&self) -> bool {
        self.calls().next().is_some()
    }

    /// Why it ended.
    pub(crate) fn finish(&self) -> Finish {
        self.end.as_ref().map_or(Finish::Stop, |end| end.finish)
    }
}

/// Choices that have ended.
#[derive(Debug)]
pub(crate) struct Collected {
    /// The choices, in order.
    pub(crate) choices: Vec<Choice>,
    /// Tokens.
    pub(crate) usage: Usage,
    /// What the first choice took.
    pub(crate) timings: Timings,
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of the prompt.
    pub(crate) prompt: u32,
    /// Of all choices.
    pub(crate) completion: u32,
    /// Of the prompt that need not be computed.
    pub(crate) cached: u32,
}

impl Usage {
    /// Adds what a choice took. Later choices find the first one's prompt: that is no earlier request's.
    pub(crate) fn add(&mut self, index: usize, timings: &Timings) {
        self.completion += timings.predicted_n;
        if index == 0 {
            self.cached += timings.cache_n;
        }
    }
}

/// Waits for the end of all choices.
///
/// # Errors
/// One cannot be computed.
pub(crate) async fn collect(answer: &mut Answer) -> Result<Collected, ApiError> {
    let mut choices: Vec<Choice> = Vec::new();
    while let Some((index, part)) = answer.next().await {
        if choices.len() <= index {
            choices.resize_with(index + 1, Choice::default);
        }
        choices[index].add(part)?;
    }
    let mut usage = Usage {
        prompt: answer.prompt_tokens,
        ..Usage::default()
    };
    let ends = choices.iter().enumerate();
    for (index, end) in ends.filter_map(|(index, choice)| Some((index, choice.end.as_ref()?))) {
        usage.add(index, &end.timings);
    }
    let timings = choices
        .first()
        .and_then(|choice| Some(choice.end.as_ref()?.timings.clone()));
    Ok(Collected {
        choices,
        usage,
        timings: timings.unwrap_or_default(),
    })
}

/// What a client is told while it waits.
pub(crate) fn waiting(progress: Option<Progress>) -> String {
    match progress {
        Some(Progress::Queued { ahead, wait }) => format!("queue {ahead}, about {} s", wait.as_secs()),
        Some(Progress::Prompt { done, total }) => format!("prompt {done}/{total}"),
        Some(Progress::Decode) | None => "computing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text {
            text: text.into(),
            scored: None,
        }
    }

    fn call(event: CallEvent) -> Part {
        Part::Call(event)
    }

    #[test]
    fn blocks_open_grow_and_close_in_order() {
        let mut choice = Choice::default();
        let parts = [
            text(""),
            text("a"),
            text("b"),
            call(CallEvent::Begin {
                index: 0,
                name: "f".into(),
            }),
            call(CallEvent::Arguments {
                index: 0,
                piece: "{}".into(),
            }),
            call(CallEvent::End { index: 0 }),
            text("c"),
            Part::End(Box::new(End {
                finish: Finish::Length,
                stop: None,
                text: String::new(),
                timings: Timings::default(),
            })),
        ];
        let changes: Vec<Change> = parts
            .into_iter()
            .flat_map(|part| choice.add(part).expect("no failure"))
            .collect();
        let more = |index, text: &str| Change::More(index, text.into());
        assert_eq!(
            changes,
            [
                Change::Text(0),
                more(0, "a"),
                more(0, "b"),
                Change::Closed(0),
                Change::Call(1, "f".into()),
                more(1, "{}"),
                Change::Closed(1),
                Change::Text(2),
                more(2, "c"),
                Change::Closed(2),
            ]
        );
        assert_eq!(choice.all_text(), "abc");
        assert_eq!(choice.calls().collect::<Vec<_>>(), [("f", "{}", true)]);
        assert_eq!(choice.finish(), Finish::Length);
        let failed = Part::Failed(Box::new(ApiError::draining()));
        assert_eq!(choice.add(failed), Err(ApiError::draining()));
    }
}
