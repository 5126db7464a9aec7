//! Requests without a socket, and strict readers of what comes back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use siskin_runtime::{Model, SamplerConfig};
use tower::ServiceExt;

use crate::app::{App, router};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::models::{ModelConfig, Models, Sharing};

/// Tokens of the context of the model of the tests.
pub(crate) const CONTEXT: u32 = 2048;

/// A service with the storyteller, named `storyteller`, of its own.
pub(crate) fn new_app() -> Arc<App> {
    let metrics = Arc::new(Metrics::new(Vec::new()));
    let engine = Engine::start(None, None, metrics.clone()).expect("a thread");
    let sharing = Sharing {
        parallel: 2,
        deterministic: false,
        max_wait: Duration::from_secs(600),
        stores: false,
        speculates: true,
        must_speculate: false,
    };
    let model = ModelConfig {
        name: "storyteller".into(),
        path: None,
        builder: Model::embedded().context(CONTEXT).threads(1),
        draft: None,
    };
    let models = Models::new(vec![model], engine.clone(), None, sharing).expect("the embedded model");
    let sampler = SamplerConfig {
        temp: 0.0,
        ..SamplerConfig::default()
    };
    Arc::new(App::new(engine, models, sampler, metrics))
}

/// The service that tests share.
pub(crate) fn app() -> Arc<App> {
    static APP: OnceLock<Arc<App>> = OnceLock::new();
    let opened = || {
        let app = new_app();
        app.opened.store(true, Ordering::Relaxed);
        app
    };
    APP.get_or_init(opened).clone()
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

/// Sends a request to a service.
pub(crate) async fn send_to(app: Arc<App>, request: Request<Body>) -> Reply {
    let response = router(app).oneshot(request).await.expect("a router cannot fail");
    let (parts, body) = response.into_parts();
    let bytes = body
        .collect()
        .await
        .expect("a body of pieces cannot fail")
        .to_bytes();
    Reply {
        status: parts.status,
        headers: parts.headers,
        bytes: bytes.to_vec(),
    }
}

/// Sends a request to the service that tests share.
pub(crate) async fn send(request: Request<Body>) -> Reply {
    send_to(app(), request).await
}

/// A request with a body of JSON.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    request.body(body.into()).expect("a request")
}

/// Posts JSON.
pub(crate) async fn post(path: &str, body: &Json) -> Reply {
    send(request("POST", path, body.to_string())).await
}

/// Gets a path.
pub(crate) async fn get(path: &str) -> Reply {
    send(request("GET", path, Body::empty())).await
}

impl Reply {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).expect("UTF-8")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The frames of a stream of events, without comments: the event's name, if it has one, and its data.
    pub(crate) fn frames(&self) -> Vec<(Option<String>, String)> {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("text/event-stream"));
        let text = self.text();
        let body = text
            .strip_suffix("\n\n")
            .unwrap_or_else(|| panic!("no empty line at the end of {text:?}"));
        let frames = body.split("\n\n").filter(|frame| !frame.starts_with(": "));
        frames
            .map(|frame| {
                let (name, data) = match frame.split_once('\n') {
                    Some((event, data)) => (event.strip_prefix("event: ").map(str::to_owned), data),
                    None => (None, frame),
                };
                let data = data
                    .strip_prefix("data: ")
                    .unwrap_or_else(|| panic!("no data in {frame:?}"));
                assert!(!data.contains('\n'), "{data:?}");
                (name, data.to_owned())
            })
            .collect()
    }

    /// The chunks of a stream of OpenAI's, which `[DONE]` ends.
    pub(crate) fn chunks(&self) -> Vec<Json> {
        let mut frames = self.frames();
        assert_eq!(frames.pop(), Some((None, "[DONE]".into())), "{}", self.text());
        let parse = |(name, data): (Option<String>, String)| {
            assert_eq!(name, None);
            serde_json::from_str(&data).expect("JSON")
        };
        frames.into_iter().map(parse).collect()
    }

    /// The lines of a stream of ollama's.
    pub(crate) fn lines(&self) -> Vec<Json> {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/x-ndjson"));
        let text = self.text();
        assert!(text.ends_with('\n'), "{text:?}");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

/// The value at a JSON pointer.
pub(crate) fn at<'a>(body: &'a Json, pointer: &str) -> &'a Json {
    body.pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer} in {body}"))
}

/// Checks that each pointer has its value.
pub(crate) fn check(body: &Json, values: &[(&str, Json)]) {
    for (pointer, value) in values {
        assert_eq!(at(body, pointer), value, "{pointer} of {body}");
    }
}

/// The texts at a JSON pointer of chunks, put together.
pub(crate) fn joined(chunks: &[Json], pointer: &str) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk.pointer(pointer)?.as_str())
        .collect()
}
