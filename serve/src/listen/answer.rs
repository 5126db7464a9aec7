//! Answers that are given before a handler is asked, in the form of the API that the path belongs to.

use axum::body::Body;
use axum::http::Response;

use super::Limits;
use super::body::Failure;
use crate::dialect::Dialect;
use crate::error::{ApiError, Kind};

/// The whole answer to a connection that is one too many.
pub(super) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    retry-after: 1\r\n\
    content-length: 116\r\n\
    connection: close\r\n\r\n\
    {\"error\":{\"message\":\"too many connections\",\"type\":\"unavailable_error\",\"param\":null,\"code\":\"too_many_connections\"}}\r\n";

/// The answer to a body that was not read to its end.
pub(super) fn failed(failure: Failure, path: &str, limits: &Limits) -> Response<Body> {
    let (kind, message) = match failure {
        Failure::TooLarge => (
            Kind::TooLarge,
            format!("the body is larger than {} bytes, the limit", limits.body_bytes),
        ),
        Failure::TooSlow => (
            Kind::SlowBody,
            format!("the body did not come within {} s", limits.body.as_secs_f64()),
        ),
    };
    Dialect::of_path(path).refuse(&ApiError::new(kind, message))
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
