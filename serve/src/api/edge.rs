//! What every response passes: each has an id, and what HTTP itself refuses has the dialect's form.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::middleware::Next;

use crate::app::App;
use crate::dialect::Dialect;
use crate::error::{ApiError, Kind};

/// Names the request, and writes refusals that are not JSON in the dialect of its path.
pub(crate) async fn edge(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response<Body> {
    let dialect = Dialect::of_path(request.uri().path());
    let id = own_id(request.headers());
    let id = id.or_else(|| HeaderValue::from_str(&app.id("req_")).ok());
    let mut response = translate(dialect, next.run(request).await);
    if let Some(id) = id {
        if dialect == Dialect::Anthropic {
            response.headers_mut().insert("request-id", id.clone());
        }
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// The id that a client gave its request, if it can be in a log.
pub(crate) fn own_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get("x-request-id").filter(|id| is_sane(id)).cloned()
}

/// Ids go to logs and back to clients.
fn is_sane(id: &HeaderValue) -> bool {
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The refusal of a status, if it is one and has not the dialect's form yet.
fn translate(dialect: Dialect, response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|ty| ty.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (kind, message) = refusal(status);
    let mut refused = dialect.refuse(&ApiError::new(kind, message));
    *refused.status_mut() = status;
    for name in [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = response.headers().get(&name) {
            refused.headers_mut().insert(name, value.clone());
        }
    }
    refused
}

fn refusal(status: StatusCode) -> (Kind, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => (Kind::Unauthorized, "a key is needed"),
        StatusCode::FORBIDDEN => (Kind::Forbidden, "this is not allowed"),
        StatusCode::NOT_FOUND => (Kind::NotFound, "there is no such path"),
        StatusCode::METHOD_NOT_ALLOWED => (Kind::Method, "the path does not take this method"),
        StatusCode::REQUEST_TIMEOUT => (Kind::SlowBody, "the body came too slowly"),
        StatusCode::PAYLOAD_TOO_LARGE => (Kind::TooLarge, "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (Kind::MediaType, "the body must be application/json"),
        StatusCode::TOO_MANY_REQUESTS => (Kind::TooMany, "there are too many requests"),
        StatusCode::SERVICE_UNAVAILABLE => (Kind::QueueFull, "the service is busy"),
        status if status.is_client_error() => (Kind::Invalid, "the request cannot be read"),
        _ => (Kind::Internal, "the service failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_status_in_every_dialect() {
        for dialect in [Dialect::OpenAi, Dialect::Ollama, Dialect::Anthropic] {
            for status in [400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503] {
                let mut response = Response::new(Body::from("text"));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                let refused = translate(dialect, response);
                assert_eq!(refused.status(), status);
                assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/json");
            }
            let fine = translate(dialect, Response::new(Body::from("text")));
            assert!(
                !fine.headers().contains_key(header::CONTENT_TYPE),
                "what is no refusal stays"
            );
        }
    }

    #[test]
    fn ids_are_short_and_printable() {
        for (id, sane) in [
            ("a-b_1", true),
            ("", false),
            ("a b", false),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(
                is_sane(&HeaderValue::from_str(id).expect("a header")),
                sane,
                "{id:?}"
            );
        }
    }
}
