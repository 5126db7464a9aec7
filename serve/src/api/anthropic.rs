//! Anthropic's API: messages, and how many tokens they have.

pub(crate) mod request;
mod stream;
pub(crate) mod turns;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use axum::routing::post;
use serde_json::{Value as Json, json};

use self::request::{CountRequest, MessagesRequest};
use crate::api::client::{Client, begin};
use crate::api::openai::chat::call_id;
use crate::api::parts::{Begun, Block, Choice, Usage, collect};
use crate::app::{self, App, Shared};
use crate::dialect::{Dialect, json_response};
use crate::models::blocking;
use crate::request::Finish;
use crate::stream_body::{Format, respond};

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count))
}

/// Answers a conversation.
async fn messages(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Anthropic, bytes, async |request: MessagesRequest| {
        let id = app.id("msg_");
        let (stream, model) = (request.stream(), request.model().to_owned());
        let sampler = app.sampler;
        let mut answer = begin(&app, &client, Some(&model), move |lease| {
            request.ask(&lease.live, &sampler)
        })
        .await?;
        if stream {
            let begun = Begun::new(answer).await?;
            return Ok(respond(Format::Events, |sink| stream::write(id, begun, sink)));
        }
        let collected = collect(&mut answer).await?;
        let choice = collected.choices.into_iter().next().unwrap_or_default();
        let (reason, sequence) = stop_reason(&choice);
        let mut message = message(&id, &answer.lease.live.name);
        message["content"] = content(&id, &choice);
        message["stop_reason"] = reason.into();
        message["stop_sequence"] = sequence;
        message["usage"] = usage(collected.usage);
        Ok(json_response(200, &message))
    })
    .await
}

/// Counts the tokens of a conversation.
async fn count(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Anthropic, bytes, async |request: CountRequest| {
        let lease = app.models.lease(Some(request.model())).await?;
        let sampler = app.sampler;
        let tokens = blocking(move || request.count(&lease.live, &sampler)).await??;
        Ok(json_response(200, &json!({ "input_tokens": tokens })))
    })
    .await
}

/// A message that has nothing yet.
fn message(id: &str, model: &str) -> Json {
    json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

/// Tokens of the prompt are those that were computed: those of the cache are told apart.
fn usage(usage: Usage) -> Json {
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    })
}

fn tool_id(message: &str, block: usize) -> String {
    call_id(message, 0, block).replace("call_", "toolu_")
}

/// The blocks of an answer; a call that broke off is none, since its input is no object.
fn content(id: &str, choice: &Choice) -> Json {
    let blocks = choice
        .blocks
        .iter()
        .enumerate()
        .filter_map(|(index, block)| match block {
            Block::Text(text) => Some(json!({ "type": "text", "text": text })),
            Block::Call {
                name,
                arguments,
                complete,
            } => {
                let input: Json = serde_json::from_str(arguments).ok().filter(|_| *complete)?;
                Some(json!({ "type": "tool_use", "id": tool_id(id, index), "name": name, "input": input }))
            }
        });
    blocks.collect()
}

/// Why an answer ended, and the stop sequence that ended it.
fn stop_reason(choice: &Choice) -> (&'static str, Json) {
    let stop = choice.end.as_ref().and_then(|end| end.stop.clone());
    match (choice.finish(), choice.has_called()) {
        (Finish::Length, _) => ("max_tokens", Json::Null),
        (_, true) => ("tool_use", Json::Null),
        // The plain template's own stop is a turn's end.
        (Finish::StopString, _) if stop.as_deref() != Some(crate::api::dialog::NEXT_SPEAKER) => {
            ("stop_sequence", stop.into())
        }
        _ => ("end_turn", Json::Null),
    }
}
