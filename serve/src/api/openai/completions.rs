//! `/v1/completions`: texts that are continued, and scored.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_runtime::SamplerConfig;

use super::classic::{Classic, Echo};
use super::common::{self, Envelope, Sampling, Stop, StreamOptions};
use super::messages;
use super::prompts::{self, Given, Prompts};
use crate::answer::{Answer, Ask, Part};
use crate::api::client::{Client, begin, conversation};
use crate::api::parts::{Begun, Choice, Usage, collect, waiting};
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::Dialect;
use crate::error::{ApiError, Kind};
use crate::live::Live;
use crate::request::{Finish, Timings};
use crate::stream_body::{Format, Sink, respond};

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CompletionRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// What is continued: a text, texts, or their tokens.
    prompt: Prompts,
    #[serde(flatten)]
    sampling: Sampling,
    /// Tokens to draw at most; 0 with echo to have a text scored only.
    max_tokens: Option<i64>,
    /// The same, as llama-server names it.
    n_predict: Option<i64>,
    /// Continuations of each prompt, at most 8.
    n: Option<i64>,
    /// Must be 1 or n: no continuation is thrown away.
    best_of: Option<i64>,
    /// Begin the answer with the prompt; with logprobs the prompt's tokens have theirs.
    echo: Option<bool>,
    /// Tell probabilities, and those of so many of the likeliest tokens, at most 20.
    logprobs: Option<i64>,
    /// Texts that end a continuation.
    stop: Option<Stop>,
    /// Send pieces as they come.
    stream: Option<bool>,
    /// What a stream tells besides.
    stream_options: Option<StreamOptions>,
    /// text, json_object or json_schema.
    response_format: Option<Json>,
    /// A grammar in GBNF.
    grammar: Option<String>,
    /// A schema, as llama-server has it.
    json_schema: Option<Json>,
    /// Who asks, or which conversation it is.
    user: Option<String>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

impl Fields for CompletionRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// Fields that would change what the answer means, and are not known here.
const REFUSED: &[Refused] = &[
    ("suffix", Neutral::None),
    ("messages", Neutral::None),
    ("tools", Neutral::None),
];

/// A prompt with what is asked of it.
struct Job {
    answer: Answer,
    echo: Option<Echo>,
}

/// What is the same for every prompt.
struct Told {
    envelope: Envelope,
    choices: usize,
    logprobs: bool,
    /// Nothing is to be drawn: the token that the engine draws is left out.
    scores_only: bool,
}

/// Continues texts.
pub(super) async fn complete(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |mut request: CompletionRequest| {
        refused::check(&request.unknown, &[REFUSED, refused::SAMPLERS])?;
        let stream = request.stream.unwrap_or(false);
        let prompts = std::mem::replace(&mut request.prompt, Prompts::Text(String::new())).list("prompt")?;
        let max_tokens = common::max_tokens_or_none(&[
            ("max_tokens", request.max_tokens),
            ("n_predict", request.n_predict),
        ])?;
        let mut told = Told {
            envelope: Envelope {
                id: app.id("cmpl-"),
                created: app::unix_time(),
                model: String::new(),
                object: "text_completion",
                usage: request
                    .stream_options
                    .as_ref()
                    .and_then(|options| options.include_usage)
                    .unwrap_or(false),
            },
            choices: common::choices(request.n)?,
            logprobs: request.logprobs.is_some(),
            scores_only: max_tokens == Some(0),
        };
        let echo = request.echo.unwrap_or(false);
        if told.scores_only && !echo {
            return Err(ApiError::field(
                "max_tokens",
                "max_tokens is 0, which needs echo: nothing would be answered",
            ));
        }
        if request
            .best_of
            .is_some_and(|best| best != 1 && Ok(best) != i64::try_from(told.choices))
        {
            return Err(ApiError::field(
                "best_of",
                "best_of must be 1 or n: every continuation is given",
            ));
        }
        if prompts.len() * told.choices > prompts::MOST {
            let message = format!(
                "{} prompts times n are more than {} answers",
                prompts.len(),
                prompts::MOST
            );
            return Err(ApiError::field("prompt", message));
        }
        let mut jobs = Vec::new();
        for given in prompts {
            let (model, sampler, fields) = (request.model.clone(), app.sampler, request.clone());
            let shown = given.clone();
            let answer = begin(&app, &client, model.as_deref(), move |lease| {
                ask(&lease.live, &given, fields, &sampler)
            });
            let answer = answer.await?;
            let echo = echo.then(|| Echo::new(&answer.lease.live, &shown)).transpose()?;
            jobs.push(Job { answer, echo });
        }
        let first = jobs.first().map(|job| job.answer.lease.live.name.clone());
        told.envelope.model = first.unwrap_or_default();
        if stream {
            let mut begun = Vec::new();
            for Job { answer, echo } in jobs {
                // Only the first is waited for: the others may wait for it.
                let answer = if begun.is_empty() {
                    Begun::new(answer).await?
                } else {
                    Begun::later(answer)
                };
                begun.push((answer, echo));
            }
            return Ok(respond(Format::Events, |sink| told.pieces(begun, sink)));
        }
        told.whole(jobs).await
    })
    .await
}

fn ask(
    live: &Live,
    given: &Given,
    request: CompletionRequest,
    sampler: &SamplerConfig,
) -> Result<Ask, ApiError> {
    let prompt = given.tokens(live, "prompt")?;
    let max_tokens = common::max_tokens_or_none(&[
        ("max_tokens", request.max_tokens),
        ("n_predict", request.n_predict),
    ])?;
    let logprobs = request
        .logprobs
        .map(|count| common::likeliest("logprobs", Some(count)))
        .transpose()?;
    Ok(Ask {
        choices: common::choices(request.n)?,
        // The engine draws one at least.
        max_tokens: max_tokens.map(|most| most.max(1)),
        bias: request.sampling.bias(live)?,
        stop: common::stops(request.stop)?,
        ignore_end: request.sampling.ignore_eos.unwrap_or(false),
        // A text that begins here begins without SentencePiece's space.
        strip_space: live.model.adds_space_prefix() && *given == Given::Text(String::new()),
        logprobs,
        score_prompt: logprobs.is_some() && request.echo.unwrap_or(false),
        form: messages::form(
            request.response_format.as_ref(),
            request.grammar.as_deref(),
            request.json_schema.as_ref(),
        )?,
        conversation: conversation(&[request.user.as_deref()]),
        ..Ask::new(prompt, request.sampling.config(sampler)?)
    })
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::Stop | Finish::StopString => "stop",
    }
}

impl Told {
    /// All answers in one piece.
    async fn whole(self, jobs: Vec<Job>) -> Result<Response<Body>, ApiError> {
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
    async fn pieces(self, jobs: Vec<(Begun, Option<Echo>)>, sink: Sink) {
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
                Part::Failed(reason) => return Err(ApiError::new(Kind::Internal, reason)),
            }
        }
        Ok(usage)
    }
}
