//! `/v1/responses`, without a memory: every request brings its whole conversation.

pub(crate) mod request;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use axum::routing::post;
use serde_json::{Map, Value as Json, json};

use self::request::ResponsesRequest;
use crate::api::client::{Client, begin};
use crate::api::openai::chat::call_id;
use crate::api::parts::{Begun, Block, Choice, Usage, collect};
use crate::app::{self, App, Shared};
use crate::dialect::{Dialect, json_response};
use crate::request::Finish;
use crate::stream_body::{Format, respond};

/// The path.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/responses", post(answer))
}

/// Answers a conversation.
async fn answer(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |request: ResponsesRequest| {
        let stream = request.stream();
        let mut told = Told {
            id: app.id("resp_"),
            fields: request.echoed(&app.sampler),
            created: app::unix_time(),
            model: String::new(),
        };
        let (model, sampler) = (request.model().map(str::to_owned), app.sampler);
        let mut answer = begin(&app, &client, model.as_deref(), move |lease| {
            request.ask(&lease.live, &sampler)
        })
        .await?;
        told.model = answer.lease.live.name.clone();
        if stream {
            let begun = Begun::new(answer).await?;
            return Ok(respond(Format::Events, |sink| stream::write(told, begun, sink)));
        }
        let collected = collect(&mut answer).await?;
        let choice = collected.choices.into_iter().next().unwrap_or_default();
        Ok(json_response(200, &told.ended(&choice, collected.usage)))
    })
    .await
}

/// What is the same in all events of a response.
struct Told {
    id: String,
    created: u64,
    model: String,
    /// Fields of the request that are told again.
    fields: Map<String, Json>,
}

impl Told {
    /// The response as it is at some time.
    fn response(&self, status: &str, output: Vec<Json>, usage: Json) -> Json {
        let mut response = Map::new();
        response.insert("id".into(), self.id.clone().into());
        response.insert("object".into(), "response".into());
        response.insert("created_at".into(), self.created.into());
        response.insert("status".into(), status.into());
        response.insert("error".into(), Json::Null);
        response.insert("incomplete_details".into(), Json::Null);
        response.insert("model".into(), self.model.clone().into());
        response.insert("output".into(), output.into());
        response.extend(self.fields.clone());
        response.insert("usage".into(), usage);
        Json::Object(response)
    }

    /// The response at its end.
    fn ended(&self, choice: &Choice, usage: Usage) -> Json {
        let cut = choice.finish() == Finish::Length;
        let output = (0..choice.blocks.len()).filter_map(|index| self.item(choice, index, true));
        let usage = json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": { "cached_tokens": usage.cached },
            "output_tokens": usage.completion,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": usage.prompt + usage.completion,
        });
        let status = if cut { "incomplete" } else { "completed" };
        let mut response = self.response(status, output.collect(), usage);
        if cut {
            response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        response
    }

    /// An item of the output.
    fn item(&self, choice: &Choice, index: usize, ended: bool) -> Option<Json> {
        let last = index + 1 == choice.blocks.len();
        let status = match (ended, choice.finish()) {
            (false, _) => "in_progress",
            (true, Finish::Length) if last && choice.end.is_some() => "incomplete",
            (true, _) => "completed",
        };
        Some(match choice.blocks.get(index)? {
            Block::Text(text) => {
                let content = if ended { vec![text_part(text)] } else { Vec::new() };
                json!({ "id": self.item_id("msg", index), "type": "message", "status": status, "role": "assistant",
                    "content": content })
            }
            Block::Call { name, arguments, .. } => {
                let arguments = if ended { arguments.as_str() } else { "" };
                json!({ "id": self.item_id("fc", index), "type": "function_call", "status": status,
                    "call_id": call_id(&self.id, 0, index), "name": name, "arguments": arguments })
            }
        })
    }

    fn item_id(&self, prefix: &str, index: usize) -> String {
        format!("{prefix}_{}{index:02}", self.id.trim_start_matches("resp_"))
    }
}

fn text_part(text: &str) -> Json {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}
