//! `/api/generate`.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use siskin_runtime::Tokenize;

use super::chat::no_images;
use super::options::{self, Options};
use super::reply::Reply;
use crate::answer::Ask;
use crate::api::client::{Client, start};
use crate::api::dialog::Dialog;
use crate::api::openai::common;
use crate::api::openai::messages::{Content, Message};
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::Dialect;

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GenerateRequest {
    /// The model's name.
    model: String,
    /// What is answered; none to have the model loaded.
    #[serde(default)]
    prompt: String,
    /// The system prompt.
    system: Option<String>,
    /// The prompt is continued as it is, without the model's template.
    raw: Option<bool>,
    /// Must be empty: no model here sees.
    images: Option<Vec<Json>>,
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

impl Fields for GenerateRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }

    fn unknown_within(&self) -> Option<(&'static str, &Map<String, Json>)> {
        Some(("options", &self.options.as_ref()?.unknown))
    }
}

/// Fields that would change what the answer means, and are not known here.
const REFUSED: &[Refused] = &[("suffix", Neutral::None), ("template", Neutral::None)];

/// Answers a prompt.
pub(super) async fn generate(State(app): Shared, client: Client, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Ollama, bytes, async |request: GenerateRequest| {
        app.check_open()?;
        refused::check(&request.unknown, &[REFUSED])?;
        no_images(request.images.as_deref(), "images")?;
        let begun = Instant::now();
        let keep = options::keep_alive(request.keep_alive.as_ref())?;
        let lease = app.models.lease(Some(&request.model)).await?;
        let stream = request.stream.unwrap_or(true);
        let reply = Reply {
            model: request.model.clone(),
            chat: false,
            start: begun,
            load: begun.elapsed(),
            keep,
            logprobs: request.logprobs.unwrap_or(false),
            app: app.clone(),
        };
        options::check_think(request.think.as_ref(), &lease.live)?;
        if request.prompt.is_empty() {
            return Ok(reply.nothing(lease));
        }
        let sampler = app.sampler;
        let answer = start(&app, &client, lease, move |lease| {
            let live = &lease.live;
            let options = request.options.unwrap_or_default().check(live, &sampler)?;
            let top = common::likeliest("top_logprobs", request.top_logprobs)?;
            let form = options::form(request.format.as_ref())?;
            let ask = match request.raw.unwrap_or(false) {
                true => Ask {
                    form,
                    ..Ask::new(live.tokens(&request.prompt, Tokenize::PROMPT)?, options.sampler)
                },
                false => {
                    let system = request.system.filter(|system| !system.is_empty());
                    let said = system
                        .map(|text| ("system", text))
                        .into_iter()
                        .chain([("user", request.prompt)]);
                    let messages = said.map(|(role, text)| Message {
                        role: role.into(),
                        content: Some(Content::Text(text)),
                        ..Message::default()
                    });
                    let dialog = Dialog {
                        messages: messages.collect(),
                        form,
                        ..Dialog::default()
                    };
                    dialog.ask(live, options.sampler)?
                }
            };
            Ok(options.of(ask, request.logprobs.unwrap_or(false).then_some(top)))
        });
        reply.write(answer.await?, stream).await
    })
    .await
}
