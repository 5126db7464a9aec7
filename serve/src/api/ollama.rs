//! ollama's API: the part that home automation and chat pages use.

pub(crate) mod chat;
pub(crate) mod embed;
pub(crate) mod generate;
pub(crate) mod models;
mod options;
mod reply;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::routing::{MethodRouter, any, delete, get, post};
use serde_json::json;

use crate::app::App;
use crate::dialect::{Dialect, json_response};
use crate::error::{ApiError, Kind};

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/version", get(version))
        .route("/api/tags", get(models::tags))
        .route("/api/ps", get(models::ps))
        .route("/api/show", post(models::show))
        .route("/api/chat", post(chat::chat))
        .route("/api/generate", post(generate::generate))
        .route("/api/embed", post(embed::embed))
        .route("/api/embeddings", post(embed::embeddings))
        .route("/api/pull", refused(post))
        .route("/api/push", refused(post))
        .route("/api/create", refused(post))
        .route("/api/copy", refused(post))
        .route("/api/delete", refused(delete))
        .route("/api/blobs/{digest}", any(not_here))
}

type Method = fn(fn() -> std::future::Ready<Response<Body>>) -> MethodRouter<Arc<App>>;

fn refused(method: Method) -> MethodRouter<Arc<App>> {
    method(not_here)
}

/// The version of the API that is spoken: clients look for one that knows tools and schemas.
async fn version() -> Response<Body> {
    json_response(
        200,
        &json!({ "version": "0.9.0", "siskin": env!("CARGO_PKG_VERSION") }),
    )
}

/// A service that downloads or deletes what strangers name is a hole.
fn not_here() -> std::future::Ready<Response<Body>> {
    let error = ApiError::new(
        Kind::NotSupported,
        "this service neither downloads, changes nor deletes models: make one from a checkpoint with `siskin convert`, \
         and name its file when the service is started",
    );
    std::future::ready(Dialect::Ollama.refuse(&error))
}
