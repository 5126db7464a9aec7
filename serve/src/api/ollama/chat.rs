//! `/api/chat`.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, Options};
use super::reply::Reply;
use crate::api::client::{Client, start};
use crate::api::dialog::Dialog;
use crate::api::openai::common;
use crate::api::openai::messages::{Content, Message};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::Dialect;
use crate::error::ApiError;

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "OllamaChatRequest"))]
pub(crate) struct ChatRequest {
    /// The model's name.
    model: String,
    /// The conversation; none to have the model loaded.
    #[serde(default)]
    messages: Vec<Said>,
    /// Functions that may be called.
    tools: Option<Vec<Json>>,
    /// "json", or a schema.
    format: Option<Json>,
    /// How tokens are chosen, and how many.
    options: Option<Options>,
    /// Send lines as they come; true if it is not said.
    stream: Option<bool>,
    /// How long the model is kept: seconds, or a text such as "5m"; 0 for not at all.
    keep_alive: Option<Json>,
    /// Must be false: no model here thinks.
    think: Option<Json>,
    /// Tell probabilities.
    logprobs: Option<bool>,
    /// Likeliest tokens told with each, at most 20.
    top_logprobs: Option<i64>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// A message.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Said {
    /// system, user, assistant or tool.
    role: String,
    /// The text.
    #[serde(default)]
    content: Option<String>,
    /// Must be empty: no model here sees.
    #[serde(default)]
    images: Option<Vec<Json>>,
    /// Calls that the assistant made; their arguments are objects.
    #[serde(default)]
    tool_calls: Option<Vec<Json>>,
    /// The tool that a message of the role tool is from.
    #[serde(default)]
    tool_name: Option<String>,
}

impl Fields for ChatRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }

    fn unknown_within(&self) -> Option<(&'static str, &Map<String, Json>)> {
        Some(("options", &self.options.as_ref()?.unknown))
    }
}

impl Said {
    fn message(self, index: usize) -> Result<Message, ApiError> {
        no_images(self.images.as_deref(), "messages")?;
        let calls = self.tool_calls.map(|calls| {
            let calls = calls.into_iter().enumerate();
            calls
                .map(|(at, call)| openai_call(call, &format!("call_{index}_{at}")))
                .collect()
        });
        Ok(Message {
            role: self.role,
            content: self.content.map(Content::Text),
            tool_calls: calls,
            tool_call_id: None,
            name: self.tool_name,
        })
    }
}

/// A call as OpenAI writes it, as templates want it.
fn openai_call(mut call: Json, id: &str) -> Json {
    if let Some(call) = call.as_object_mut() {
        call.entry("id").or_insert_with(|| id.into());
        call.entry("type").or_insert_with(|| "function".into());
    }
    call
}

/// Refuses images.
///
/// # Errors
/// There is one.
pub(super) fn no_images(images: Option<&[Json]>, field: &str) -> Result<(), ApiError> {
    match images {
        None | Some([]) => Ok(()),
        Some(_) => Err(ApiError::field(
            field,
            "there are images; this model reads text only",
        )),
    }
}

/// Answers a conversation.
pub(super) async fn chat(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Ollama, bytes, async |request: ChatRequest| {
        app.check_open()?;
        let begun = Instant::now();
        let keep = options::keep_alive(request.keep_alive.as_ref())?;
        let lease = app.models.lease(Some(&request.model)).await?;
        let stream = request.stream.unwrap_or(true);
        let reply = Reply {
            model: request.model.clone(),
            chat: true,
            start: begun,
            load: begun.elapsed(),
            keep,
            logprobs: request.logprobs.unwrap_or(false),
            app: app.clone(),
        };
        options::check_think(request.think.as_ref(), &lease.live)?;
        if request.messages.is_empty() {
            return Ok(reply.nothing(lease));
        }
        let sampler = app.sampler;
        let answer = start(&app, &client, lease, move |lease| {
            let live = &lease.live;
            let options = request.options.unwrap_or_default().check(live, &sampler)?;
            let top = common::likeliest("top_logprobs", request.top_logprobs)?;
            let messages = request.messages.into_iter().enumerate();
            let dialog = Dialog {
                messages: messages
                    .map(|(index, said)| said.message(index))
                    .collect::<Result<_, _>>()?,
                tools: request.tools,
                choice: None,
                single_call: false,
                form: options::form(request.format.as_ref())?,
            };
            let ask = dialog.ask(live, options.sampler)?;
            Ok(options.of(ask, request.logprobs.unwrap_or(false).then_some(top)))
        });
        reply.write(answer.await?, stream).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_become_openais() {
        let call = json!({"function": {"name": "f", "arguments": {"a": 1}}});
        let expected =
            json!({"function": {"name": "f", "arguments": {"a": 1}}, "id": "call_1_0", "type": "function"});
        assert_eq!(openai_call(call, "call_1_0"), expected);
        assert_eq!(openai_call(json!(7), "x"), json!(7));
    }
}
