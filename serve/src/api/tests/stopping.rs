//! The service ends while answers are written.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::harness::{new_app, request};
use crate::app::{App, router};

/// An answer that takes far longer than this test, if nobody ends it.
fn endless(path: &str) -> Json {
    let messages = json!([{"role": "user", "content": "Once upon a time"}]);
    match path {
        "/v1/completions" => json!({"prompt": "Once upon a time", "max_tokens": 1900, "ignore_eos": true}),
        "/v1/chat/completions" => json!({"messages": messages, "max_tokens": 1900, "ignore_eos": true}),
        "/v1/messages" => json!({"model": "storyteller", "messages": messages, "max_tokens": 1900}),
        "/v1/responses" => {
            json!({"model": "storyteller", "input": "Once upon a time", "max_output_tokens": 1900})
        }
        "/api/chat" => json!({"model": "storyteller", "messages": messages,
            "options": {"num_predict": 1900, "ignore_eos": true}}),
        _ => json!({"model": "storyteller", "prompt": "Once upon a time", "raw": true,
            "options": {"num_predict": 1900, "ignore_eos": true}}),
    }
}

fn asked(path: &str, stream: bool) -> Request<Body> {
    let mut body = endless(path);
    body["stream"] = stream.into();
    request("POST", path, body.to_string())
}

/// The text of a stream during which the service ends.
async fn interrupted(app: &Arc<App>, path: &str) -> String {
    let response = router(app.clone())
        .oneshot(asked(path, true))
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("no failure");
    let mut text = String::from_utf8(first.into_data().expect("data").to_vec()).expect("UTF-8");
    app.engine.stop();
    let rest = body.collect().await.expect("no failure").to_bytes();
    text += std::str::from_utf8(&rest).expect("UTF-8");
    text
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_the_dialects_error() {
    const SAID: &str = "the service is shutting down";
    let openai =
        json!({"error": {"message": SAID, "type": "unavailable_error", "param": null, "code": "draining"}});
    let anthropic = json!({"type": "error", "error": {"type": "overloaded_error", "message": SAID}});
    for (path, begins, want) in [
        ("/v1/completions", "data: ", openai.clone()),
        ("/v1/chat/completions", "data: ", openai),
        ("/v1/messages", "event: error\ndata: ", anthropic),
        ("/api/chat", "", json!({"error": SAID})),
        ("/api/generate", "", json!({"error": SAID})),
    ] {
        let text = interrupted(&new_app(), path).await;
        assert!(!text.contains("[DONE]"), "{path}: {text}");
        let events = text
            .trim_end()
            .rsplit(if begins.is_empty() { "\n" } else { "\n\n" });
        let last = events.into_iter().next().expect("an event");
        let last = last
            .strip_prefix(begins)
            .unwrap_or_else(|| panic!("{path}: {last}"));
        assert_eq!(serde_json::from_str::<Json>(last).expect("JSON"), want, "{path}");
    }
    let text = interrupted(&new_app(), "/v1/responses").await;
    let last = text.trim_end().rsplit("\n\n").next().expect("an event");
    assert!(last.starts_with("event: response.failed\n"), "{last}");
    assert!(last.contains(SAID), "{last}");
}

#[tokio::test]
async fn an_answer_that_waits_when_the_service_ends_is_refused() {
    for path in [
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/messages",
        "/api/chat",
    ] {
        let app = new_app();
        // One fills the context, the others wait.
        let answers = (0..3).map(|_| {
            let answering = router(app.clone()).oneshot(asked(path, false));
            tokio::spawn(answering)
        });
        let answers: Vec<_> = answers.collect();
        let slot = loop {
            let loads = app.models.lease(None).await.map(|lease| lease.live.slot);
            let slot = loads.expect("the storyteller");
            let load = app.engine.load(slot);
            if load.active > 0 && load.active + load.queued == 3 {
                break slot;
            }
            tokio::task::yield_now().await;
        };
        assert!(app.engine.load(slot).queued > 0);
        app.engine.stop();
        for answer in answers {
            let response = answer.await.expect("no panic").expect("an answer");
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
    }
}
