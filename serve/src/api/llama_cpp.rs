//! llama-server's paths: health, state, tokens.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::get;
use serde_json::json;

use crate::app::{App, Shared};
use crate::dialect::json_response;

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route("/health", get(health)).route("/v1/health", get(health))
}

async fn health(State(_app): Shared) -> Response<Body> {
    json_response(200, &json!({ "status": "ok" }))
}
