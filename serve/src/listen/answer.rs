//! Answers that are given before a handler is asked, in the form of the API that the path belongs to.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::Limits;
use super::body::Failure;

/// The whole answer to a connection that is one too many.
pub(super) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    retry-after: 1\r\n\
    content-length: 116\r\n\
    connection: close\r\n\r\n\
    {\"error\":{\"message\":\"too many connections\",\"type\":\"unavailable_error\",\"param\":null,\"code\":\"too_many_connections\"}}\r\n";

/// The answer to a body that was not read to its end.
pub(super) fn failed(failure: Failure, path: &str, limits: &Limits) -> Response<Body> {
    let (status, code, message) = match failure {
        Failure::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {} bytes, the limit", limits.body_bytes),
        ),
        Failure::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body did not come within {} s", limits.body.as_secs_f64()),
        ),
    };
    let body = if path.starts_with("/api/") {
        json!({ "error": message })
    } else {
        json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } })
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::REQUEST_TIMEOUT {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_one_too_many_is_whole() {
        let text = std::str::from_utf8(FULL).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(length, Some(body.len().to_string().as_str()));
        let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(json["error"]["code"], "too_many_connections");
    }
}
