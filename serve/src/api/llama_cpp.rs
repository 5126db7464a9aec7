//! llama-server's paths: state, tokens. None of them waits for the thread that computes.

pub(crate) mod state;
pub(crate) mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/props", get(state::props))
        .route("/slots", get(state::slots))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/apply-template", post(tokens::apply_template))
        .route("/tokenizer_info", get(tokens::tokenizer_info))
}
