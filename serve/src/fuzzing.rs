//! What strangers send, without sockets and without llama.cpp's contexts: the entry of the fuzz target `request`. It is
//! compiled for the fuzz targets and for tests only, and is not an interface.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, response};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value as Json;
use siskin_runtime::{Model, SamplerConfig};
use tokio::runtime::Runtime;

use crate::app::{App, router};
use crate::engine::Engine;
use crate::front::Front;
use crate::guard::Guard;
use crate::journal::{Journal, Level};
use crate::keys::{KeySet, Keys};
use crate::metrics::Metrics;
use crate::models::{ModelConfig, Models, Sharing};
use crate::store;

/// What an input is, by its first byte: `a` for the first. A path is that of a POST, whose body is the rest.
const KINDS: [&str; 17] = [
    "/api/chat",
    "/api/embed",
    "/api/embeddings",
    "/api/generate",
    "/api/show",
    "/apply-template",
    "/detokenize",
    "/tokenize",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
    "headers",
    "keys",
    "manifest",
];

/// A key for everything, and one for figures alone.
const KEY: &str = "sk-fuzz-admin-0";
const WATCHER: &str = "sk-fuzz-metrics-0";
/// The same as a file has them.
const KEYS: &str = "sk-fuzz-admin-0\n\
    watcher metrics sha256:b5b596343eeb63234dc465e46a5310ce2dcb6632e87a315f8fa89522dfd2278b\n";

/// Paths for which no key is asked.
const OPEN: [&str; 6] = ["/", "/favicon.ico", "/health", "/livez", "/readyz", "/v1/health"];

/// Bytes of an answer at most: it has a few tokens, and repeats what it was asked.
const MOST: usize = 64 << 20;

/// Takes an input; returns the status of the answer. What is no request is 200 if it is read and 400 if it is refused.
///
/// # Panics
/// What was found: a fault of the service, or an answer that no client could read.
pub fn take(data: &[u8]) -> u16 {
    let Some((choice, rest)) = data.split_first() else {
        return 400;
    };
    let kind = KINDS[usize::from(choice.wrapping_sub(b'a')) % KINDS.len()];
    let read = |good: bool| if good { 200 } else { 400 };
    match kind {
        "headers" => headers(rest),
        "keys" => read(keys(rest)),
        "manifest" => read(store::take_manifest(rest)),
        path => post(path, rest),
    }
}

/// A service behind its front, and what drives it.
struct Site {
    runtime: Runtime,
    router: Router,
}

/// A service with the storyteller, whose answers are noise.
fn site() -> std::sync::MutexGuard<'static, Site> {
    static SITE: OnceLock<Mutex<Site>> = OnceLock::new();
    let site = SITE.get_or_init(|| Mutex::new(Site::new()));
    site.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    fn new() -> Self {
        // As the service has it, so that what nests too deeply is found.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_stack_size(2 << 20)
            .build()
            .expect("a runtime");
        let metrics = Arc::new(Metrics::new(Vec::new()));
        let engine = Engine::scripted(metrics.clone()).expect("a thread");
        let sharing = Sharing {
            parallel: 2,
            deterministic: false,
            max_wait: Duration::MAX,
            stores: false,
            speculates: true,
            must_speculate: false,
        };
        let model = ModelConfig {
            name: "storyteller".into(),
            path: None,
            builder: Model::embedded().context(2048).threads(1),
            draft: None,
        };
        let models = Models::new(vec![model], engine.clone(), None, sharing).expect("the embedded model");
        let journal = Journal::to(Box::new(std::io::sink()), Level::Debug, true);
        let journal = Arc::new(journal);
        let mut app = App::new(engine, models, SamplerConfig::default(), metrics.clone());
        app.prompts = Some(journal.clone());
        app.background = vec!["### Task:".to_owned()];
        *app.opened.get_mut() = true;
        let origins = ["https://chat.example.org".to_owned(), "null".to_owned()];
        let hosts = ["*.example.org".to_owned(), "box".to_owned()];
        let bound = [([127, 0, 0, 1], 8080).into()];
        let guard = Guard::new(&bound, Some("pi.home"), &hosts, &origins).expect("a guard");
        let keys = Keys::fixed(KeySet::parse(KEYS).expect("keys"));
        let front = Front::new(guard, Arc::new(keys), metrics, journal);
        Site {
            runtime,
            router: front.wrap(router(Arc::new(app))),
        }
    }

    /// Sends a request; returns the head of the answer, the type of its body, and its body.
    fn send(&self, request: Request<Body>) -> (response::Parts, Vec<u8>) {
        let service = TowerToHyperService::new(self.router.clone());
        self.runtime.block_on(async {
            let Ok(response) = service.call(request).await;
            let (parts, body) = response.into_parts();
            assert!(body.size_hint().lower() <= MOST as u64);
            let bytes = axum::body::to_bytes(body, MOST).await;
            (parts, bytes.expect("an answer has an end").to_vec())
        })
    }
}

/// A body for a path, with headers that let it pass.
fn post(path: &str, body: &[u8]) -> u16 {
    let request = Request::post(path)
        .header(header::HOST, "localhost:8080")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-api-key", KEY)
        .body(Body::from(body.to_vec()))
        .expect("a request");
    let (parts, bytes) = site().send(request);
    let status = check(&parts, &bytes);
    assert!(status < 500, "{path} answers {status}: {}", text(&bytes));
    status
}

/// A head as HTTP/1.1 writes it, an empty line and a body; without a version, and with any ends of lines.
fn headers(data: &[u8]) -> u16 {
    let Some(request) = request(data) else {
        return 400;
    };
    let path = request.uri().path().to_owned();
    let has = |key: &str| data.windows(key.len()).any(|part| part == key.as_bytes());
    let knows = has(KEY) || has(WATCHER);
    let (parts, bytes) = site().send(request);
    let status = check(&parts, &bytes);
    // Those that this service does not do, by design.
    assert!(
        status < 500 || status == 501,
        "{path} answers {status}: {}",
        text(&bytes)
    );
    let denied = matches!(status, 204 | 400 | 401 | 403 | 415);
    let open = OPEN.contains(&path.as_str());
    assert!(knows || denied || open, "{path} answers {status} to nobody");
    status
}

fn request(data: &[u8]) -> Option<Request<Body>> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, more) = rest.split_at(end);
        rest = more.get(1..).unwrap_or_default();
        line.trim_ascii()
    };
    let first = std::str::from_utf8(line()).ok()?;
    let (method, path) = first.split_once(' ')?;
    let mut headers = HeaderMap::new();
    loop {
        let field = line();
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&field[..colon]).ok()?;
        let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii()).ok()?;
        headers.try_append(name, value).ok()?;
    }
    let mut request = Request::new(Body::from(rest.to_vec()));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = path.parse::<Uri>().ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// Checks that an answer has the form that its head promises.
fn check(parts: &response::Parts, bytes: &[u8]) -> u16 {
    let status = parts.status.as_u16();
    let ty = parts.headers.get(header::CONTENT_TYPE);
    let ty = ty.and_then(|ty| ty.to_str().ok()).unwrap_or_default();
    match ty {
        "application/json" => {
            let body: Json = serde_json::from_slice(bytes).expect("JSON");
            let wrong = body.get("error").is_some_and(|error| !error.is_null());
            assert_eq!(wrong, status >= 400, "{status}: {body}");
        }
        "text/event-stream" => {
            assert_eq!(status, 200);
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            let body = text.strip_suffix("\n\n").expect("an empty line at the end");
            for data in body.split('\n').filter_map(|line| line.strip_prefix("data: ")) {
                check_piece(data);
            }
        }
        "application/x-ndjson" => {
            assert_eq!(status, 200);
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            text.strip_suffix('\n')
                .expect("lines")
                .split('\n')
                .for_each(check_piece);
        }
        _ => assert!(status < 400, "{status} has the type {ty:?}"),
    }
    status
}

/// A piece of a stream is JSON, and no failure: the engine here has none.
fn check_piece(data: &str) {
    if data != "[DONE]" {
        let piece: Json = serde_json::from_str(data).expect("JSON");
        let wrong = piece.get("error").is_some_and(|error| !error.is_null());
        assert!(!wrong, "{piece}");
    }
}

/// The text of a file of keys.
fn keys(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match KeySet::parse(text) {
        Ok(set) => {
            assert!(!set.is_empty());
            let mut words = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.contains(char::is_whitespace));
            // A line that is one word is a key.
            if let Some(key) = words.find(|line| !line.is_empty() && !line.starts_with(['#', '\u{feff}'])) {
                assert!(set.find(key.as_bytes()).is_some());
            }
            true
        }
        Err(error) => {
            // Lines may have keys: no text of theirs is shown.
            let shown = error.to_string();
            let words = text.split_whitespace().filter(|word| word.len() >= 24);
            words.for_each(|word| assert!(!shown.contains(word), "{shown}"));
            false
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(500).collect()
}

#[cfg(test)]
mod tests;
