//! Continuations as `/v1/completions` writes them, at once or piece by piece.

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value as Json, json};

use super::super::classic::{Classic, Echo};
use super::super::common::Envelope;
use crate::answer::{Answer, Part};
use crate::api::parts::{Begun, Choice, Usage, collect, waiting};
use crate::dialect::Dialect;
use crate::error::ApiError;
use crate::request::{Finish, Timings};
use crate::stream_body::Sink;

/// A prompt with what is asked of it.
pub(super) struct Job {
    /// The answers to it.
    pub(super) answer: Answer,
    /// The prompt, if it is told again.
    pub(super) echo: Option<Echo>,
}

/// What is the same for every prompt.
pub(super) struct Told {
    /// What every piece begins with.
    pub(super) envelope: Envelope,
    /// Answers to each prompt.
    pub(super) choices: usize,
    /// Tell probabilities.
    pub(super) logprobs: bool,
    /// Nothing is to be drawn: the token that the engine draws is left out.
    pub(super) scores_only: bool,
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::Stop | Finish::StopString => "stop",
    }
}

impl Told {
    /// All answers in one piece.
    ///
    /// # Errors
    /// One cannot be computed.
    pub(super) async fn whole(self, jobs: Vec<Job>) -> Result<Response<Body>, ApiError> {
        let mut choices = Vec::new();
        let mut usage = Usage::default();
        let mut timings: Option<Timings> = None;
        for Job { mut answer, echo } in jobs {
            let mut collected = collect(&mut answer).await?;
            // The prompt was scored once, for the first choice.
            let prompt = collected
                .choices
                .first_mut()
                .map(|choice| std::mem::take(&mut choice.prompt));
            let prompt = prompt.unwrap_or_default();
            for choice in &collected.choices {
                let text = self.text(choice, echo.as_ref());
                let logprobs = self.logprobs.then(|| {
                    let mut classic = Classic::default();
                    if let Some(echo) = &echo {
                        classic.prompt(&answer.lease.live, echo, &prompt);
                    }
                    let scores = if self.scores_only { &[][..] } else { &choice.scores };
                    scores
                        .iter()
                        .for_each(|scored| classic.drawn(&answer.lease.live, scored));
                    classic.json()
                });
                let reason = if self.scores_only {
                    "length"
                } else {
                    finish_reason(choice.finish())
                };
                choices.push(json!({
                    "text": text,
                    "index": choices.len(),
                    "logprobs": logprobs,
                    "finish_reason": reason,
                }));
            }
            usage = self.total(usage, collected.usage);
            timings.get_or_insert(collected.timings);
        }
        Ok(self.envelope.whole(choices, usage, &timings.unwrap_or_default()))
    }

    fn text(&self, choice: &Choice, echo: Option<&Echo>) -> String {
        let drawn = if self.scores_only {
            String::new()
        } else {
            choice.all_text()
        };
        echo.map_or_else(|| drawn.clone(), |echo| format!("{}{drawn}", echo.text))
    }

    /// Tokens of several prompts.
    fn total(&self, sum: Usage, one: Usage) -> Usage {
        Usage {
            prompt: sum.prompt + one.prompt,
            completion: sum.completion + if self.scores_only { 0 } else { one.completion },
            cached: sum.cached + one.cached,
        }
    }

    /// All answers piece by piece, prompt by prompt.
    pub(super) async fn pieces(self, jobs: Vec<(Begun, Option<Echo>)>, sink: Sink) {
        let mut usage = Usage::default();
        for (at, (begun, echo)) in jobs.into_iter().enumerate() {
            match self.piece(at * self.choices, begun, echo, &sink).await {
                Ok(one) => usage = self.total(usage, one),
                Err(error) => {
                    sink.json(&Dialect::OpenAi.body(&error));
                    return;
                }
            }
        }
        self.envelope.end(&sink, usage);
    }

    /// The choices of one prompt; the first has the number `base`.
    async fn piece(
        &self,
        base: usize,
        mut begun: Begun,
        echo: Option<Echo>,
        sink: &Sink,
    ) -> Result<Usage, ApiError> {
        let mut usage = Usage {
            prompt: begun.answer.prompt_tokens,
            ..Usage::default()
        };
        let send = |index: usize, text: &str, logprobs: Option<Json>, end: Option<(&str, &Timings)>| {
            let choice = json!({
                "text": text,
                "index": base + index,
                "logprobs": logprobs,
                "finish_reason": end.map(|(reason, _)| reason),
            });
            sink.json(&self.envelope.chunk(choice, end.map(|(_, timings)| timings)));
        };
        // With probabilities the prompt is told when all of them are known.
        let mut states: Vec<Classic> = Vec::new();
        states.resize_with(self.choices, Classic::default);
        let mut prompt = Vec::new();
        let mut told = false;
        while let Some((index, part)) = begun.next().await {
            let starts =
                matches!(part, Part::Text { .. } | Part::End(_)) && !std::mem::replace(&mut told, true);
            if let Some(echo) = echo.as_ref().filter(|_| starts) {
                for (choice, classic) in states.iter_mut().enumerate() {
                    let logprobs = self.logprobs.then(|| {
                        classic.prompt(begun.live(), echo, &prompt);
                        classic.take()
                    });
                    send(choice, &echo.text, logprobs, None);
                }
            }
            match part {
                Part::Waiting(progress) => drop(sink.comment(&waiting(progress))),
                Part::Prompt(scores) => prompt.extend(scores),
                Part::Text { .. } if self.scores_only => {}
                Part::Text { text, scored } if text.is_empty() && (scored.is_none() || !self.logprobs) => {}
                Part::Text { text, scored } => {
                    let logprobs = scored.filter(|_| self.logprobs).map(|scored| {
                        states[index].drawn(begun.live(), &scored);
                        states[index].take()
                    });
                    send(index, &text, logprobs, None);
                }
                Part::Call(_) => {}
                Part::End(end) => {
                    usage.add(index, &end.timings);
                    let reason = if self.scores_only {
                        "length"
                    } else {
                        finish_reason(end.finish)
                    };
                    send(index, "", None, Some((reason, &end.timings)));
                }
                Part::Failed(error) => return Err(*error),
            }
        }
        Ok(usage)
    }
}
