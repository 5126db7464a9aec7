//! `/openapi.json`: what the service takes and answers, for programs that make or test clients. A test makes the document
//! of the types of the requests and compares it with the file that is served.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::routing::get;

use crate::app::App;

/// The document.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

/// The path.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> Response<Body> {
    let mut response = Response::new(Body::from(DOCUMENT));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
