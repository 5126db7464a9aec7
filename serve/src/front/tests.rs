use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use axum::Extension;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::journal::Level;
use crate::keys::KeySource;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines so far, without numbers and times, which differ.
    fn lines(&self) -> Vec<String> {
        let text =
            String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        let fixed = |word: &&str| !word.starts_with("id=") && !word.starts_with("total=");
        let line = |line: &str| line.split(' ').filter(fixed).collect::<Vec<_>>().join(" ");
        text.lines().map(line).collect()
    }
}

/// A router behind a front with one key of each kind.
struct Site {
    router: Router,
    log: Log,
    metrics: Arc<Metrics>,
}

const KEY: &str = "sk-test-infer-000000";
const WATCHER: &str = "sk-test-metrics-0000";

fn site(keyed: bool) -> Site {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    let digest = |secret: &str| -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(secret);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let text = format!(
        "kitchen infer sha256:{}\nwatcher metrics sha256:{}\n",
        digest(KEY),
        digest(WATCHER)
    );
    std::fs::write(&path, text).expect("written");
    let source = if keyed {
        KeySource::Credential(path)
    } else {
        KeySource::Nowhere
    };
    let keys = Arc::new(Keys::load(source).expect("keys"));
    let origins = ["https://ui.example.org".to_owned()];
    let guard = Guard::new(&[([127, 0, 0, 1], 8080).into()], None, &[], &origins).expect("a guard");
    let (log, metrics) = (Log::default(), Arc::new(Metrics::default()));
    let journal = Arc::new(Journal::to(Box::new(log.clone()), Level::Info, false));
    let front = Front::new(guard, keys, Arc::clone(&metrics), journal);
    let chat = |Extension(caller): Extension<Caller>, Extension(tally): Extension<Arc<Tally>>| async move {
        tally.note(|work| {
            *work = Work {
                prompt: Some((20, 5)),
                answer: Some(3),
                end: Some("stop"),
                ..Work::default()
            }
        });
        format!("{} {}", caller.name, caller.namespace != 0)
    };
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models/{id}", get(|| async { "model" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/metrics", get(|| async { "figures" }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    Site {
        router: front.wrap(router),
        log,
        metrics,
    }
}

impl Site {
    /// The answer's status, headers and body.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("infallible");
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (parts.status.as_u16(), parts.headers, text)
        })
    }

    fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(method, path, headers).0
    }
}

const HOST: (&str, &str) = ("host", "localhost");

/// Method, path, headers, status.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

#[test]
fn a_request_needs_a_host_a_key_and_its_role() {
    let site = site(true);
    let key = ("x-api-key", KEY);
    let watcher = ("x-api-key", WATCHER);
    let cases: [Case<'_>; 14] = [
        ("GET", "/livez", &[HOST], 200),
        ("GET", "/livez", &[], 200),
        ("GET", "/v1/models", &[], 400),
        ("GET", "/livez", &[("host", "evil.example")], 403),
        ("POST", "/v1/chat/completions", &[HOST], 401),
        (
            "POST",
            "/v1/chat/completions",
            &[HOST, ("x-api-key", "wrong")],
            401,
        ),
        ("POST", "/v1/chat/completions", &[HOST, key], 200),
        ("POST", "/v1/chat/completions", &[HOST, watcher], 403),
        (
            "POST",
            "/v1/chat/completions",
            &[HOST, key, ("content-type", "text/plain")],
            415,
        ),
        ("GET", "/metrics", &[HOST, watcher], 200),
        ("GET", "/metrics", &[HOST, key], 403),
        ("GET", "/metrics", &[HOST], 401),
        ("GET", "/no/such/path", &[HOST], 401),
        ("GET", "/no/such/path", &[HOST, key], 404),
    ];
    for (method, path, headers, want) in cases {
        assert_eq!(
            site.status(method, path, headers),
            want,
            "{method} {path} {headers:?}"
        );
    }
    assert_eq!(site.metrics.refused.get(Reason::Key), 4);
    assert_eq!(site.metrics.refused.get(Reason::Guard), 3);
}

#[test]
fn handlers_know_who_asks() {
    let asked = |site: Site, headers| site.ask("POST", "/v1/chat/completions", headers).2;
    assert_eq!(asked(site(true), &[HOST, ("x-api-key", KEY)]), "kitchen true");
    assert_eq!(asked(site(false), &[HOST]), " false");
}

#[test]
fn refusals_are_written_in_the_dialect_and_name_no_key() {
    let site = site(true);
    let (_, headers, body) = site.ask("POST", "/api/chat", &[HOST, ("x-api-key", "wrong-secret")]);
    assert!(
        body.starts_with("{\"error\":\"") && !body.contains("wrong-secret"),
        "{body}"
    );
    assert!(headers.contains_key("www-authenticate") && headers.contains_key("x-request-id"));
}

#[test]
fn each_request_is_one_line_without_what_the_client_wrote() {
    let site = site(true);
    let key = ("x-api-key", KEY);
    site.ask("POST", "/v1/chat/completions?secret", &[HOST, key]);
    site.ask("GET", "/v1/models/secret", &[HOST, key]);
    site.ask("GET", "/secret", &[HOST, key]);
    site.ask("GET", "/livez", &[HOST]);
    site.ask("GET", "/broken", &[HOST, key]);
    site.ask("GET", "/broken", &[HOST]);
    let want = [
        "POST /v1/chat/completions 200 key=kitchen prompt=20 cached=5 answer=3 end=stop",
        "GET /v1/models/{id} 200 key=kitchen",
        "GET (no such path) 404 key=kitchen",
        "warning: GET /broken 500 key=kitchen",
        "GET /broken 401",
    ];
    assert_eq!(site.log.lines(), want);
}

#[test]
fn a_client_that_leaves_is_logged_too() {
    let site = site(false);
    let request = || {
        Request::builder()
            .uri("/v1/models/x")
            .header("host", "localhost")
            .body(Body::empty())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Before the answer begins, and before its body has been sent.
        drop(site.router.clone().oneshot(request().expect("a request")));
        let answer = site.router.clone().oneshot(request().expect("a request")).await;
        drop(answer.expect("infallible"));
    });
    assert_eq!(
        site.log.lines(),
        ["GET /v1/models/{id} 200 end=cut"],
        "a future that never ran asked nothing"
    );
}

#[test]
fn pages_of_allowed_origins_get_what_they_need() {
    let site = site(true);
    let origin = ("origin", "https://ui.example.org");
    let ask = ("access-control-request-method", "POST");
    let (status, headers, _) = site.ask("OPTIONS", "/v1/chat/completions", &[HOST, origin, ask]);
    assert_eq!(
        (status, headers.contains_key("access-control-allow-headers")),
        (204, true)
    );
    let (status, headers, _) = site.ask("GET", "/livez", &[HOST, origin]);
    assert_eq!(
        (status, headers.contains_key("access-control-allow-origin")),
        (200, true)
    );
    let rebound = ("host", "evil.example");
    assert_eq!(
        site.status("OPTIONS", "/v1/chat/completions", &[rebound, origin, ask]),
        403
    );
    let other = ("origin", "https://evil.example");
    assert_eq!(
        site.status("OPTIONS", "/v1/chat/completions", &[HOST, other, ask]),
        403
    );
}
