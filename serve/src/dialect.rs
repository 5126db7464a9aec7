//! How each dialect writes a refusal.

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use serde_json::{Map, Value as Json, json};

use crate::error::{ApiError, Kind};

/// Whose API a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's, and llama-server's.
    OpenAi,
    /// ollama's.
    Ollama,
    /// Anthropic's.
    Anthropic,
}

impl Dialect {
    /// The dialect of a path.
    pub(crate) fn of_path(path: &str) -> Self {
        match path {
            path if path.starts_with("/api/") => Dialect::Ollama,
            path if path.starts_with("/v1/messages") => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }

    /// The body of a refusal.
    pub(crate) fn body(self, error: &ApiError) -> Json {
        match self {
            Dialect::OpenAi => {
                let mut body = Map::new();
                body.insert("message".into(), error.message.clone().into());
                body.insert("type".into(), error.kind.type_name().into());
                body.insert("param".into(), error.param.clone().into());
                body.insert("code".into(), error.kind.code().into());
                for (name, number) in &error.numbers {
                    body.insert((*name).into(), (*number).into());
                }
                json!({ "error": body })
            }
            Dialect::Ollama => {
                let mut body = Map::new();
                body.insert("error".into(), error.message.clone().into());
                for (name, number) in &error.numbers {
                    body.insert((*name).into(), (*number).into());
                }
                Json::Object(body)
            }
            Dialect::Anthropic => {
                let ty = match error.kind {
                    Kind::Unauthorized => "authentication_error",
                    Kind::Forbidden => "permission_error",
                    Kind::NotFound => "not_found_error",
                    Kind::TooLarge => "request_too_large",
                    Kind::TooMany => "rate_limit_error",
                    Kind::QueueFull | Kind::Loading | Kind::Draining | Kind::NoMemory => "overloaded_error",
                    Kind::Internal => "api_error",
                    _ => "invalid_request_error",
                };
                json!({ "type": "error", "error": { "type": ty, "message": error.message } })
            }
        }
    }

    /// The response to a request that is refused.
    pub(crate) fn refuse(self, error: &ApiError) -> Response<Body> {
        let mut response = json_response(error.kind.status(), &self.body(error));
        let headers = response.headers_mut();
        if error.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(time) = error.retry_after {
            let seconds = time.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            // Clients wait no longer than a minute by themselves; then they would only come too early.
            if seconds > 60 {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
        } else if error.kind.status() < 500 {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

/// A response of JSON.
pub(crate) fn json_response(status: u16, body: &impl serde::Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = axum::http::StatusCode::from_u16(status).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
