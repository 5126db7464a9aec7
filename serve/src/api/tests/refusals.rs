//! What is refused has the form of its dialect, whoever refuses it.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

use super::harness::{CONTEXT, Reply, at, get, new_app, post, request, send, send_to};
use crate::dialect::Dialect;

/// A path of each dialect, with a request that fails for a reason only.
const PATHS: [(&str, Dialect); 5] = [
    ("/v1/chat/completions", Dialect::OpenAi),
    ("/v1/completions", Dialect::OpenAi),
    ("/v1/responses", Dialect::OpenAi),
    ("/v1/messages", Dialect::Anthropic),
    ("/api/chat", Dialect::Ollama),
];

fn check_form(dialect: Dialect, reply: &Reply) {
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    let message = match dialect {
        Dialect::OpenAi => {
            assert!(at(&body, "/error/type").is_string());
            assert!(body.pointer("/error/param").is_some() && body.pointer("/error/code").is_some());
            at(&body, "/error/message")
        }
        Dialect::Ollama => at(&body, "/error"),
        Dialect::Anthropic => {
            assert_eq!(at(&body, "/type"), "error");
            assert!(at(&body, "/error/type").is_string());
            at(&body, "/error/message")
        }
    };
    let message = message.as_str().expect("a text");
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
}

/// A request that each of the paths takes.
fn fine(text: &str) -> Json {
    json!({"model": "storyteller", "messages": [{"role": "user", "content": text}], "prompt": text, "input": text,
        "max_tokens": 4, "max_output_tokens": 4, "stream": false, "options": {"num_predict": 4}})
}

/// The same without what a path would refuse.
fn fine_at(path: &str, text: &str) -> Json {
    match path {
        "/v1/completions" => without("messages", fine(text)),
        "/v1/responses" => without("prompt", fine(text)),
        _ => fine(text),
    }
}

fn without(field: &str, mut body: Json) -> Json {
    body.as_object_mut().expect("an object").remove(field);
    body
}

#[tokio::test]
async fn refusals_have_the_status_and_form_of_their_dialect() {
    for (path, dialect) in PATHS {
        let fine = |text: &str| fine_at(path, text);
        let mut nobody = fine("x");
        nobody["model"] = "nobody".into();
        let mut hot = fine("x");
        hot["temperature"] = json!(1e308);
        hot["options"] = json!({"temperature": 1e308});
        let long = fine(&"word ".repeat(CONTEXT as usize + 10));
        for (body, status) in [
            ("".to_owned(), 400),
            ("{".to_owned(), 400),
            ("[]".to_owned(), 400),
            ("{}".to_owned(), 400),
            ("[".repeat(100_000), 400),
            ("{\"a\":1e999}".to_owned(), 400),
            (nobody.to_string(), 404),
            (hot.to_string(), 400),
            (long.to_string(), 400),
            (fine("x").to_string(), 200),
        ] {
            let reply = send(request("POST", path, body.clone())).await;
            let shown: String = body.chars().take(200).collect();
            assert_eq!(reply.status, status, "{path} {shown}: {}", reply.text());
            if status != 200 {
                check_form(dialect, &reply);
            }
        }
        let reply = send(request("GET", path, Body::empty())).await;
        assert_eq!(reply.status, 405, "{path}");
        check_form(dialect, &reply);
        let reply = send(request("POST", path, vec![b' '; 3 << 20])).await;
        assert_eq!(reply.status, 413, "{path}");
        check_form(dialect, &reply);
        let reply = get(&format!("{path}/nowhere")).await;
        assert_eq!(reply.status, 404, "{path}");
        check_form(dialect, &reply);
    }
}

#[tokio::test]
async fn a_service_that_ends_begins_nothing() {
    let app = new_app();
    app.draining.store(true, Ordering::Relaxed);
    for (path, dialect) in PATHS {
        let reply = send_to(app.clone(), request("POST", path, fine_at(path, "x").to_string())).await;
        assert_eq!(reply.status, 503, "{path}: {}", reply.text());
        check_form(dialect, &reply);
    }
    let reply = send_to(app, request("GET", "/health", Body::empty())).await;
    assert_eq!(reply.status, 503);
}

#[tokio::test]
async fn ids_of_requests_come_back() {
    let with_id = |id: &str| {
        let request = Request::builder().uri("/livez").header("x-request-id", id);
        request.body(Body::empty()).expect("a request")
    };
    assert_eq!(send(with_id("abc-1")).await.header("x-request-id"), Some("abc-1"));
    let other = send(with_id("a b")).await;
    assert!(
        other
            .header("x-request-id")
            .is_some_and(|id| id.starts_with("req_"))
    );
    let reply = post("/v1/messages", &json!({})).await;
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
}

#[tokio::test]
async fn nothing_is_loaded_until_it_is_asked_for() {
    let app = new_app();
    for path in [
        "/health",
        "/v1/models",
        "/api/tags",
        "/api/ps",
        "/props",
        "/slots",
    ] {
        let reply = send_to(app.clone(), request("GET", path, Body::empty())).await;
        assert_eq!(reply.status, if path == "/health" { 503 } else { 200 }, "{path}");
    }
    assert!(app.models.entries()[0].live().is_none());
}
