//! llama-server's paths: state, tokens.

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
}
