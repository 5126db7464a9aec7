//! Answers to pages of allowed origins (Fetch standard, CORS protocol).

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

use super::authority::Origin;
use super::{Guard, one};

const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What a page may send: keys, JSON, and the headers of the OpenAI and Anthropic libraries.
const REQUEST_HEADERS: &str = "authorization, content-type, x-api-key, x-session-id, x-siskin-class, \
    anthropic-version, openai-beta, x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, \
    x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout";

/// What a page may read of an answer.
const ANSWER_HEADERS: &str = "retry-after, x-request-id, x-should-retry, x-siskin-ignored";

impl Guard {
    /// Headers that let a page of an allowed origin read an answer; none for other requests. Give them after
    /// [`Guard::check`] has passed. Credentials of browsers (cookies) are never allowed: keys are sent as headers.
    pub fn cors(&self, headers: &HeaderMap) -> HeaderMap {
        let mut answer = HeaderMap::new();
        if self.origins.is_empty() {
            return answer;
        }
        // A cache must not give one origin's answer to another.
        answer.insert(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(headers) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(ANSWER_HEADERS),
            );
        }
        answer
    }

    /// The headers of the answer (204, no body) to a browser that asks whether a page may send a request; `None` if
    /// the request is not such a question or the origin is not allowed.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<HeaderMap> {
        let asks = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed(headers).is_none() {
            return None;
        }
        let mut answer = self.cors(headers);
        answer.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        let fixed = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        for (name, value) in fixed {
            answer.insert(name, HeaderValue::from_static(value));
        }
        if headers.contains_key(REQUEST_PRIVATE) {
            answer.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
        }
        Some(answer)
    }

    /// The value of `Origin`, if it is one of the allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let text = one(headers, &ORIGIN).ok()??;
        let origin = Origin::parse(text).ok()?;
        self.origins
            .contains(&origin)
            .then(|| headers.get(ORIGIN).cloned())?
    }
}
