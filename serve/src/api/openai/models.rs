//! `/v1/models`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use serde_json::{Value as Json, json};

use crate::app::{App, Shared};
use crate::dialect::{Dialect, json_response};
use crate::models::Entry;

fn model(app: &App, entry: &Entry) -> Json {
    let created = if entry.facts.modified > 0 {
        entry.facts.modified
    } else {
        app.started
    };
    let live = entry.live();
    json!({
        "id": entry.name,
        "object": "model",
        "created": created,
        "owned_by": "siskin",
        "meta": {
            "n_vocab": entry.facts.vocabulary,
            "n_ctx_train": entry.facts.training_context,
            "n_ctx": live.as_ref().map(|live| live.context),
            "n_embd": entry.facts.width,
            "n_params": entry.facts.parameters,
            "size": entry.facts.bytes,
            "file_type": entry.facts.file_type,
            "loaded": live.is_some(),
        },
    })
}

/// Every model.
pub(super) async fn list(State(app): Shared) -> Response<Body> {
    let data: Vec<Json> = app
        .models
        .entries()
        .iter()
        .map(|entry| model(&app, entry))
        .collect();
    json_response(200, &json!({ "object": "list", "data": data }))
}

/// One model.
pub(super) async fn one(State(app): Shared, Path(id): Path<String>) -> Response<Body> {
    match app.models.find(Some(&id)) {
        Ok(entry) => json_response(200, &model(&app, entry)),
        Err(error) => Dialect::OpenAi.refuse(&error),
    }
}
