//! `/v1/embeddings`.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::prompts::Prompts;
use crate::api::embed;
use crate::api::refused::{self, Neutral, Refused};
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::{Dialect, json_response};

/// Texts to embed.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EmbeddingsRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// A text, texts, or their tokens.
    input: Prompts,
    /// How vectors are written.
    #[serde(default)]
    encoding_format: Option<Encoding>,
    /// Who asks.
    #[allow(dead_code, reason = "known, so that it is not told as ignored")]
    user: Option<String>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As numbers.
    Float,
    /// As the bytes of numbers of 32 bits.
    Base64,
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
    app::answer(Dialect::OpenAi, bytes, async |request: EmbeddingsRequest| {
        refused::check(&request.unknown, &[REFUSED])?;
        let inputs = request.input.list("input")?;
        app.check_open()?;
        let lease = app.models.lease(request.model.as_deref()).await?;
        let model = lease.live.name.clone();
        let embedded = embed::compute(&app, lease, inputs, "input").await?;
        let vectors = embedded.vectors.into_iter().enumerate();
        let data: Vec<Json> = vectors
            .map(|(index, vector)| {
                let vector = match request.encoding_format {
                    Some(Encoding::Base64) => embed::base64(&vector).into(),
                    Some(Encoding::Float) | None => json!(vector),
                };
                json!({ "object": "embedding", "index": index, "embedding": vector })
            })
            .collect();
        let usage = json!({ "prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens });
        Ok(json_response(
            200,
            &json!({ "object": "list", "data": data, "model": model, "usage": usage }),
        ))
    })
    .await
}
