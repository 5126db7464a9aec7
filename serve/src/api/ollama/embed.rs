//! `/api/embed` and `/api/embeddings`.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::options;
use crate::api::embed::{self, Embeddings};
use crate::api::openai::prompts::{Given, Prompts};
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::{Dialect, json_response};

/// Texts to embed.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EmbedRequest {
    /// The model's name.
    model: String,
    /// A text, or texts.
    input: Prompts,
    /// A text that is too long is refused either way: nothing is cut.
    #[allow(dead_code, reason = "known, so that it is not told as ignored")]
    truncate: Option<bool>,
    /// How long the model is kept: seconds, or a text such as "5m".
    keep_alive: Option<Json>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// A text to embed, as older clients ask.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename = "OllamaEmbeddingsRequest")
)]
pub(crate) struct EmbeddingsRequest {
    /// The model's name.
    model: String,
    /// The text.
    prompt: String,
    /// How long the model is kept: seconds, or a text such as "5m".
    keep_alive: Option<Json>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

impl Fields for EmbedRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

impl Fields for EmbeddingsRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// Fields that would change what the answer means, and are not known here.
const REFUSED: &[Refused] = &[("dimensions", Neutral::None)];

/// Embeds texts; the vectors have the length 1.
pub(super) async fn embed(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Ollama, bytes, async |request: EmbedRequest| {
        refused::check(&request.unknown, &[REFUSED])?;
        let begun = Instant::now();
        let keep = options::keep_alive(request.keep_alive.as_ref())?;
        let inputs = request.input.list("input")?;
        app.check_open()?;
        let lease = app.models.lease(Some(&request.model)).await?;
        let load = begun.elapsed();
        keep.into_iter().for_each(|keep| lease.keep_for(keep));
        let Embeddings { vectors, tokens } = embed::compute(&app, lease, inputs, "input").await?;
        Ok(json_response(
            200,
            &json!({
                "model": request.model,
                "embeddings": vectors,
                "total_duration": begun.elapsed().as_nanos() as u64,
                "load_duration": load.as_nanos() as u64,
                "prompt_eval_count": tokens,
            }),
        ))
    })
    .await
}

/// Embeds a text; the vector has the length 1.
pub(super) async fn embeddings(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Ollama, bytes, async |request: EmbeddingsRequest| {
        refused::check(&request.unknown, &[REFUSED])?;
        let keep = options::keep_alive(request.keep_alive.as_ref())?;
        app.check_open()?;
        let lease = app.models.lease(Some(&request.model)).await?;
        keep.into_iter().for_each(|keep| lease.keep_for(keep));
        let embedded = embed::compute(&app, lease, vec![Given::Text(request.prompt)], "prompt").await?;
        Ok(json_response(
            200,
            &json!({ "embedding": embedded.vectors.into_iter().next() }),
        ))
    })
    .await
}
