//! `/v1/completions`: texts that are continued, and scored.

mod reply;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use siskin_runtime::SamplerConfig;

use self::reply::{Job, Told};
use super::classic::Echo;
use super::common::{self, Envelope, Sampling, Stop, StreamOptions};
use super::messages;
use super::prompts::{self, Given, Prompts};
use crate::answer::Ask;
use crate::api::client::{Client, begin, conversation};
use crate::api::parts::Begun;
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::Dialect;
use crate::error::ApiError;
use crate::live::Live;
use crate::stream_body::{Format, respond};

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
        for (index, given) in prompts.into_iter().enumerate() {
            let (model, sampler, fields) = (request.model.clone(), app.sampler, request.clone());
            let shown = given.clone();
            let answer = begin(&app, &client, model.as_deref(), move |lease| {
                let ask = ask(&lease.live, &given, fields, &sampler)?;
                Ok(Ask {
                    joined: index > 0,
                    ..ask
                })
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
