//! `/v1/chat/completions`.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_grammar::CallEvent;
use siskin_runtime::SamplerConfig;

use super::common::{self, Envelope, Sampling, Stop, StreamOptions};
use super::messages::{self, Message};
use super::scores;
use crate::answer::{Ask, Part};
use crate::api::client::{Client, begin, conversation};
use crate::api::dialog::Dialog;
use crate::api::parts::{Begun, Choice, Usage, collect, waiting};
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::Dialect;
use crate::error::ApiError;
use crate::live::Live;
use crate::request::{Finish, Scored};
use crate::stream_body::{Format, Sink, respond};

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ChatRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// The conversation.
    messages: Vec<Message>,
    #[serde(flatten)]
    sampling: Sampling,
    /// Tokens to draw at most.
    max_tokens: Option<i64>,
    /// The same.
    max_completion_tokens: Option<i64>,
    /// The same, as llama-server names it.
    n_predict: Option<i64>,
    /// Answers to make, at most 8.
    n: Option<i64>,
    /// Texts that end an answer.
    stop: Option<Stop>,
    /// Send pieces as they come.
    stream: Option<bool>,
    /// What a stream tells besides.
    stream_options: Option<StreamOptions>,
    /// Tell probabilities.
    logprobs: Option<bool>,
    /// Likeliest tokens told with each, at most 20.
    top_logprobs: Option<i64>,
    /// text, json_object or json_schema.
    response_format: Option<Json>,
    /// A grammar in GBNF.
    grammar: Option<String>,
    /// A schema, as llama-server has it.
    json_schema: Option<Json>,
    /// Functions that may be called.
    tools: Option<Vec<Json>>,
    /// auto, none, required, or a function.
    tool_choice: Option<Json>,
    /// Whether there may be several calls.
    parallel_tool_calls: Option<bool>,
    /// Who asks, or which conversation it is: the same one finds its prefix again.
    user: Option<String>,
    /// The same.
    prompt_cache_key: Option<String>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

impl Fields for ChatRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// Fields that would change what the answer means, and are not known here.
const REFUSED: &[Refused] = &[
    ("audio", Neutral::None),
    ("function_call", Neutral::Text("none")),
    ("functions", Neutral::None),
    ("modalities", Neutral::Text("text")),
    ("prediction", Neutral::None),
    ("web_search_options", Neutral::None),
];

/// Answers a conversation.
pub(super) async fn complete(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |request: ChatRequest| {
        refused::check(&request.unknown, &[REFUSED, refused::SAMPLERS])?;
        let stream = request.stream.unwrap_or(false);
        let mut told = Envelope {
            id: app.id("chatcmpl-"),
            created: app::unix_time(),
            model: String::new(),
            object: if stream {
                "chat.completion.chunk"
            } else {
                "chat.completion"
            },
            usage: request
                .stream_options
                .as_ref()
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
        };
        let logprobs = request.logprobs.unwrap_or(false);
        let (model, sampler) = (request.model.clone(), app.sampler);
        let mut answer = begin(&app, &client, model.as_deref(), move |lease| {
            ask(&lease.live, request, &sampler)
        })
        .await?;
        told.model = answer.lease.live.name.clone();
        if stream {
            let begun = Begun::new(answer).await?;
            return Ok(respond(Format::Events, |sink| pieces(told, begun, sink)));
        }
        let collected = collect(&mut answer).await?;
        let choices = collected.choices.iter().enumerate();
        let choices =
            choices.map(|(index, choice)| whole(&told.id, &answer.lease.live, index, choice, logprobs));
        Ok(told.whole(choices.collect(), collected.usage, &collected.timings))
    })
    .await
}

fn ask(live: &Live, request: ChatRequest, sampler: &SamplerConfig) -> Result<Ask, ApiError> {
    let form = messages::form(
        request.response_format.as_ref(),
        request.grammar.as_deref(),
        request.json_schema.as_ref(),
    )?;
    let max_tokens = common::max_tokens(&[
        ("max_completion_tokens", request.max_completion_tokens),
        ("max_tokens", request.max_tokens),
        ("n_predict", request.n_predict),
    ])?;
    let choices = common::choices(request.n)?;
    let top = common::likeliest("top_logprobs", request.top_logprobs)?;
    let logprobs = request.logprobs.unwrap_or(false);
    if request.top_logprobs.is_some_and(|top| top > 0) && !logprobs {
        return Err(ApiError::field(
            "top_logprobs",
            "top_logprobs needs logprobs to be true",
        ));
    }
    let stop = common::stops(request.stop)?;
    let config = request.sampling.config(sampler)?;
    let bias = request.sampling.bias(live)?;
    let dialog = Dialog {
        messages: request.messages,
        tools: request.tools,
        choice: request.tool_choice,
        single_call: request.parallel_tool_calls == Some(false),
        form,
    };
    let ask = dialog.ask(live, config)?;
    Ok(Ask {
        choices,
        max_tokens,
        bias,
        stop: [stop, ask.stop].concat(),
        ignore_end: request.sampling.ignore_eos.unwrap_or(false),
        logprobs: logprobs.then_some(top),
        conversation: conversation(&[request.prompt_cache_key.as_deref(), request.user.as_deref()]),
        ..ask
    })
}

/// Why an answer ended, in OpenAI's words.
fn finish_reason(finish: Finish, called: bool) -> &'static str {
    match (finish, called) {
        (Finish::Length, _) => "length",
        (_, true) => "tool_calls",
        (Finish::Stop | Finish::StopString, false) => "stop",
    }
}

/// The id of a call of a choice.
pub(crate) fn call_id(answer: &str, choice: usize, call: usize) -> String {
    let tail = answer.get(answer.len().saturating_sub(12)..).unwrap_or_default();
    format!("call_{choice}{tail}{call:02}")
}

/// A choice in one piece.
fn whole(id: &str, live: &Live, index: usize, choice: &Choice, logprobs: bool) -> Json {
    let text = choice.all_text();
    let content = if text.is_empty() && choice.has_called() {
        Json::Null
    } else {
        text.into()
    };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
    if choice.has_called() {
        let calls = choice.calls().enumerate().map(|(at, (name, arguments, _))| {
            let function = json!({ "name": name, "arguments": arguments });
            json!({ "id": call_id(id, index, at), "type": "function", "function": function })
        });
        message["tool_calls"] = calls.collect();
    }
    let logprobs = if logprobs {
        scored(live, &choice.scores)
    } else {
        Json::Null
    };
    let reason = finish_reason(choice.finish(), choice.has_called());
    json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": reason })
}

fn scored(live: &Live, scores: &[Scored]) -> Json {
    let content: Vec<Json> = scores.iter().map(|scored| scores::chat(live, scored)).collect();
    json!({ "content": content, "refusal": null })
}

/// The answer piece by piece.
async fn pieces(told: Envelope, mut begun: Begun, sink: Sink) {
    let delta = |index: usize, delta: Json, logprobs: Json, finish: Option<&str>| json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
    let role = json!({ "role": "assistant", "content": "", "refusal": null });
    let open = |index: usize| sink.json(&told.chunk(delta(index, role.clone(), Json::Null, None), None));
    let mut usage = Usage {
        prompt: begun.answer.prompt_tokens,
        ..Usage::default()
    };
    open(0);
    let mut opened = vec![0];
    while let Some((index, part)) = begun.next().await {
        if let Part::Waiting(progress) = part {
            sink.comment(&waiting(progress));
            continue;
        }
        if !opened.contains(&index) {
            opened.push(index);
            open(index);
        }
        match part {
            Part::Waiting(_) | Part::Prompt(_) => {}
            Part::Text { text, scored: None } if text.is_empty() => {}
            Part::Text { text, scored: score } => {
                let logprobs = score.map_or(Json::Null, |score| scored(begun.live(), &[score]));
                sink.json(&told.chunk(delta(index, json!({ "content": text }), logprobs, None), None));
            }
            Part::Call(event) => {
                if let Some(call) = call_delta(event, |call| call_id(&told.id, index, call)) {
                    let piece = delta(index, json!({ "tool_calls": [call] }), Json::Null, None);
                    sink.json(&told.chunk(piece, None));
                }
            }
            Part::End(end) => {
                usage.add(index, &end.timings);
                let reason = finish_reason(end.finish, begun.answer.has_called(index));
                let piece = delta(index, json!({}), Json::Null, Some(reason));
                sink.json(&told.chunk(piece, Some(&end.timings)));
            }
            Part::Failed(error) => {
                sink.json(&Dialect::OpenAi.body(&error));
                return;
            }
        }
    }
    told.end(&sink, usage);
}

/// A call's piece: its id and name first, then its arguments; never two calls in one.
fn call_delta(event: CallEvent, id: impl Fn(usize) -> String) -> Option<Json> {
    match event {
        CallEvent::Begin { index, name } => Some(json!({
            "index": index,
            "id": id(index),
            "type": "function",
            "function": { "name": name, "arguments": "" },
        })),
        CallEvent::Arguments { index, piece } => {
            Some(json!({ "index": index, "function": { "arguments": piece } }))
        }
        CallEvent::Text(_) | CallEvent::End { .. } => None,
    }
}
