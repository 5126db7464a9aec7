//! `/v1/chat/completions`.

use std::collections::HashMap;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_grammar::CallEvent;
use siskin_runtime::scheduler::Progress;

use super::common::{self, Sampling, Stop, StreamOptions};
use super::messages::{self, Message};
use super::scores;
use crate::answer::{Answer, Ask, Part};
use crate::app::{self, App, Caller, Shared};
use crate::body::Fields;
use crate::dialect::{Dialect, json_response};
use crate::error::{ApiError, Kind};
use crate::models::{Lease, blocking};
use crate::request::{Finish, Timings};
use crate::stream_body::{Format, Sink, respond};

/// The turn of another speaker ends an answer on the plain template.
const NEXT_SPEAKER: &str = "\nUser:";

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
    n: Option<usize>,
    /// Texts that end an answer.
    stop: Option<Stop>,
    /// Send pieces as they come.
    stream: Option<bool>,
    /// What a stream tells besides.
    stream_options: Option<StreamOptions>,
    /// Tell probabilities.
    logprobs: Option<bool>,
    /// Likeliest tokens told with each, at most 20.
    top_logprobs: Option<usize>,
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
const REFUSED: [&str; 6] = [
    "functions",
    "function_call",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
];

/// Answers a conversation.
pub(super) async fn complete(
    State(app): Shared,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response<Body> {
    let caller = caller.map(|Extension(caller)| caller).unwrap_or_default();
    app::answer(Dialect::OpenAi, bytes, async |request: ChatRequest| {
        let told = Told {
            id: app.id("chatcmpl-"),
            created: app::unix_time(),
            usage: request
                .stream_options
                .clone()
                .unwrap_or_default()
                .include_usage
                .unwrap_or(false),
            logprobs: request.logprobs.unwrap_or(false),
        };
        let stream = request.stream.unwrap_or(false);
        let answer = begin(&app, request, &caller, &headers).await?;
        match stream {
            true => Ok(respond(Format::Events, |sink| told.stream(answer, sink))),
            false => told.collect(answer).await,
        }
    })
    .await
}

/// Reads a request and has it computed.
async fn begin(
    app: &App,
    request: ChatRequest,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Answer, ApiError> {
    app.check_open()?;
    if let Some(name) = REFUSED
        .iter()
        .find(|name| request.unknown.get(**name).is_some_and(|value| !value.is_null()))
    {
        return Err(ApiError::field(
            *name,
            format!("{name} is not known here and would change the answer"),
        ));
    }
    let lease = app.models.lease(request.model.as_deref()).await?;
    let (sampler, class) = (app.sampler, common::class(headers));
    let session = common::session(headers).map(str::to_owned);
    let namespace = caller.namespace;
    let (lease, ask) = blocking(move || {
        let ask = ask(&lease, request, &sampler, session.as_deref());
        (lease, ask)
    })
    .await?;
    let ask = Ask {
        class,
        namespace,
        ..ask?
    };
    Answer::begin(&app.engine, lease, ask)
}

fn ask(
    lease: &Lease,
    request: ChatRequest,
    sampler: &siskin_runtime::SamplerConfig,
    session: Option<&str>,
) -> Result<Ask, ApiError> {
    let live = &lease.live;
    let parallel = request.parallel_tool_calls.unwrap_or(true);
    let tools = messages::tools(
        live,
        request.tools.as_deref(),
        request.tool_choice.as_ref(),
        parallel,
    )?;
    let form = messages::form(
        request.response_format.as_ref(),
        request.grammar.as_deref(),
        request.json_schema.as_ref(),
    )?;
    let mut prompt = messages::prompt(request.messages)?;
    let known = tools
        .as_ref()
        .and_then(|tools| messages::with_tools(&mut prompt, tools));
    let mut stop = common::stops(request.stop)?;
    if live.is_plain() {
        stop.push(NEXT_SPEAKER.into());
    }
    let choices = request.n.unwrap_or(1);
    if !(1..=8).contains(&choices) {
        return Err(ApiError::field(
            "n",
            format!("n is {choices}; it must be from 1 to 8"),
        ));
    }
    let top = request.top_logprobs.unwrap_or(0);
    if top > 20 {
        return Err(ApiError::field(
            "top_logprobs",
            format!("top_logprobs is {top}; it must be from 0 to 20"),
        ));
    }
    Ok(Ask {
        prompt: live.chat_tokens(&prompt, known.as_ref())?,
        choices,
        max_tokens: common::max_tokens(&[
            ("max_completion_tokens", request.max_completion_tokens),
            ("max_tokens", request.max_tokens),
            ("n_predict", request.n_predict),
        ])?,
        sampler: request.sampling.config(sampler)?,
        bias: request.sampling.bias(live)?,
        stop,
        ignore_end: request.sampling.ignore_eos.unwrap_or(false),
        strip_space: live.is_plain(),
        logprobs: request.logprobs.unwrap_or(false).then_some(top),
        score_prompt: false,
        form,
        tools,
        class: Default::default(),
        namespace: 0,
        conversation: common::conversation(&[
            session,
            request.prompt_cache_key.as_deref(),
            request.user.as_deref(),
        ]),
    })
}

/// What is the same in all pieces of an answer.
struct Told {
    id: String,
    created: u64,
    usage: bool,
    logprobs: bool,
}

/// Why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(finish: Finish, called: bool) -> &'static str {
    match (finish, called) {
        (Finish::Length, _) => "length",
        (_, true) => "tool_calls",
        (Finish::Stop | Finish::StopString, false) => "stop",
    }
}

/// What a client is told while it waits.
pub(crate) fn waiting(progress: Option<Progress>) -> String {
    match progress {
        Some(Progress::Queued { ahead, wait }) => format!("queue {ahead}, about {} s", wait.as_secs()),
        Some(Progress::Prompt { done, total }) => format!("prompt {done}/{total}"),
        Some(Progress::Decode) | None => "computing".into(),
    }
}

impl Told {
    fn piece(&self, model: &str, object: &str) -> Map<String, Json> {
        let mut piece = Map::new();
        piece.insert("id".into(), self.id.clone().into());
        piece.insert("object".into(), object.into());
        piece.insert("created".into(), self.created.into());
        piece.insert("model".into(), model.into());
        piece.insert(
            "system_fingerprint".into(),
            concat!("siskin-", env!("CARGO_PKG_VERSION")).into(),
        );
        piece
    }

    /// The answer in one piece.
    async fn collect(self, mut answer: Answer) -> Result<Response<Body>, ApiError> {
        let live = answer.lease.live.clone();
        let mut choices: HashMap<usize, Collected> = HashMap::new();
        let mut timings: Option<Timings> = None;
        let mut completion = 0;
        while let Some((index, part)) = answer.next().await {
            let called = answer.has_called(index);
            let choice = choices.entry(index).or_default();
            match part {
                Part::Waiting(_) | Part::Prompt(_) => {}
                Part::Text { text, scored } => {
                    choice.text += &text;
                    choice
                        .scores
                        .extend(scored.map(|scored| scores::chat(&live, &scored)));
                }
                Part::Call(event) => choice.call(event, || self.call_id(index)),
                Part::End(end) => {
                    choice.finish = finish_reason(end.finish, called);
                    completion += end.timings.predicted_n;
                    timings.get_or_insert(end.timings);
                }
                Part::Failed(reason) => return Err(ApiError::new(Kind::Internal, reason)),
            }
        }
        let mut indices: Vec<usize> = choices.keys().copied().collect();
        indices.sort_unstable();
        let list = indices
            .into_iter()
            .filter_map(|index| Some((index, choices.remove(&index)?)));
        let list: Vec<Json> = list
            .map(|(index, choice)| choice.json(index, self.logprobs))
            .collect();
        let timings = timings.unwrap_or_default();
        let mut body = self.piece(&live.name, "chat.completion");
        body.insert("choices".into(), list.into());
        body.insert(
            "usage".into(),
            common::usage(answer.prompt_tokens, completion, timings.cache_n),
        );
        body.insert("timings".into(), json!(timings));
        Ok(json_response(200, &body))
    }

    /// The answer piece by piece.
    async fn stream(self, mut answer: Answer, sink: Sink) {
        let model = answer.lease.live.name.clone();
        let live = answer.lease.live.clone();
        let chunk = |choices: Json, usage: Json, timings: Option<&Timings>| {
            let mut piece = self.piece(&model, "chat.completion.chunk");
            piece.insert("choices".into(), choices);
            if self.usage {
                piece.insert("usage".into(), usage);
            }
            piece.extend(timings.map(|timings| ("timings".to_owned(), json!(timings))));
            Json::Object(piece)
        };
        let delta = |index: usize, delta: Json, logprobs: Json, finish: Json| json!([{ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish }]);
        let mut begun = Vec::new();
        let (mut completion, mut cached) = (0, 0);
        let role = json!({ "role": "assistant", "content": "" });
        sink.json(&chunk(
            delta(0, role.clone(), Json::Null, Json::Null),
            Json::Null,
            None,
        ));
        begun.push(0);
        while let Some((index, part)) = answer.next().await {
            if let Part::Waiting(progress) = part {
                sink.comment(&waiting(progress));
                continue;
            }
            if !begun.contains(&index) {
                begun.push(index);
                sink.json(&chunk(
                    delta(index, role.clone(), Json::Null, Json::Null),
                    Json::Null,
                    None,
                ));
            }
            match part {
                Part::Waiting(_) | Part::Prompt(_) => {}
                Part::Text { text, scored } => {
                    if text.is_empty() && scored.is_none() {
                        continue;
                    }
                    let logprobs = match scored.filter(|_| self.logprobs) {
                        Some(scored) => json!({ "content": [scores::chat(&live, &scored)] }),
                        None => Json::Null,
                    };
                    let piece = delta(index, json!({ "content": text }), logprobs, Json::Null);
                    sink.json(&chunk(piece, Json::Null, None));
                }
                Part::Call(event) => {
                    if let Some(call) = call_delta(event, || self.call_id(index)) {
                        let piece = delta(index, json!({ "tool_calls": [call] }), Json::Null, Json::Null);
                        sink.json(&chunk(piece, Json::Null, None));
                    }
                }
                Part::End(end) => {
                    completion += end.timings.predicted_n;
                    cached = cached.max(end.timings.cache_n);
                    let reason = finish_reason(end.finish, answer.has_called(index));
                    let piece = delta(index, json!({}), Json::Null, reason.into());
                    sink.json(&chunk(piece, Json::Null, Some(&end.timings)));
                }
                Part::Failed(reason) => {
                    sink.json(&Dialect::OpenAi.body(&ApiError::new(Kind::Internal, reason)));
                    return;
                }
            }
        }
        if self.usage {
            let usage = common::usage(answer.prompt_tokens, completion, cached);
            sink.json(&chunk(json!([]), usage, None));
        }
        sink.done();
    }

    fn call_id(&self, choice: usize) -> String {
        let tail = self
            .id
            .get(self.id.len().saturating_sub(12)..)
            .unwrap_or_default();
        format!("call_{choice}{tail}")
    }
}

/// A call's piece.
fn call_delta(event: CallEvent, id: impl Fn() -> String) -> Option<Json> {
    match event {
        CallEvent::Begin { index, name } => Some(json!({
            "index": index,
            "id": format!("{}{index:02}", id()),
            "type": "function",
            "function": { "name": name, "arguments": "" },
        })),
        CallEvent::Arguments { index, piece } => {
            Some(json!({ "index": index, "function": { "arguments": piece } }))
        }
        CallEvent::Text(_) | CallEvent::End { .. } => None,
    }
}

/// A choice as it grows.
#[derive(Default)]
struct Collected {
    text: String,
    scores: Vec<Json>,
    calls: Vec<(String, String, String)>,
    finish: &'static str,
}

impl Collected {
    fn call(&mut self, event: CallEvent, id: impl Fn() -> String) {
        match event {
            CallEvent::Begin { index, name } => {
                self.calls
                    .push((format!("{}{index:02}", id()), name, String::new()))
            }
            CallEvent::Arguments { piece, .. } => {
                if let Some((.., arguments)) = self.calls.last_mut() {
                    *arguments += &piece;
                }
            }
            CallEvent::Text(text) => self.text += &text,
            CallEvent::End { .. } => {}
        }
    }

    fn json(self, index: usize, logprobs: bool) -> Json {
        let content = match self.text.is_empty() && !self.calls.is_empty() {
            true => Json::Null,
            false => self.text.into(),
        };
        let mut message = json!({ "role": "assistant", "content": content });
        if !self.calls.is_empty() {
            let calls = self.calls.into_iter().map(|(id, name, arguments)| {
                json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
            });
            message["tool_calls"] = calls.collect();
        }
        let logprobs = if logprobs {
            json!({ "content": self.scores })
        } else {
            Json::Null
        };
        json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish })
    }
}
