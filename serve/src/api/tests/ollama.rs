//! ollama's paths.

use axum::body::Body;
use serde_json::{Value as Json, json};

use super::harness::{at, check, get, joined, new_app, post, request, send, send_to};

const DURATIONS: [&str; 6] = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
];

fn chat(fields: Json) -> Json {
    let mut body = json!({"model": "storyteller", "messages": [{"role": "user", "content": "Tell me a story."}],
        "options": {"num_predict": 8, "temperature": 0}});
    body.as_object_mut()
        .expect("an object")
        .extend(fields.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn models_are_listed_and_described() {
    assert_eq!(send(request("HEAD", "/", Body::empty())).await.status, 200);
    assert!(at(&get("/api/version").await.json(), "/version").is_string());
    let tags = get("/api/tags").await.json();
    check(
        &tags,
        &[
            ("/models/0/name", json!("storyteller:latest")),
            ("/models/0/model", json!("storyteller:latest")),
            ("/models/0/details/format", json!("gguf")),
        ],
    );
    for name in ["model", "name"] {
        let show = post("/api/show", &json!({name: "storyteller:latest"}))
            .await
            .json();
        let family = at(&show, "/details/family").as_str().expect("a text");
        assert!(
            at(&show, "/model_info")
                .get(format!("{family}.context_length"))
                .is_some()
        );
        assert!(
            at(&show, "/capabilities")
                .as_array()
                .is_some_and(|list| list.contains(&json!("tools")))
        );
    }
    assert_eq!(post("/api/show", &json!({"model": "nobody"})).await.status, 404);
    assert_eq!(
        post("/api/chat", &chat(json!({"stream": false}))).await.status,
        200
    );
    let ps = get("/api/ps").await.json();
    check(&ps, &[("/models/0/name", json!("storyteller:latest"))]);
    let expires = at(&ps, "/models/0/expires_at").as_str().expect("a text");
    assert!(expires.parse::<jiff::Timestamp>().is_ok(), "{expires}");
}

#[tokio::test]
async fn an_answer_comes_in_lines_unless_it_is_asked_for_at_once() {
    let whole = post("/api/chat", &chat(json!({"stream": false}))).await.json();
    let lines = post("/api/chat", &chat(json!({}))).await.lines();
    assert_eq!(
        json!(joined(&lines, "/message/content")),
        *at(&whole, "/message/content")
    );
    for last in [&whole, lines.last().expect("lines")] {
        check(
            last,
            &[
                ("/model", json!("storyteller")),
                ("/message/role", json!("assistant")),
                ("/done", json!(true)),
                ("/done_reason", json!("length")),
                ("/eval_count", json!(8)),
            ],
        );
        for name in DURATIONS {
            assert!(at(last, &format!("/{name}")).is_u64(), "{name}: {last}");
        }
        assert!(
            at(last, "/created_at")
                .as_str()
                .is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok())
        );
    }
    assert!(
        lines[..lines.len() - 1]
            .iter()
            .all(|line| at(line, "/done") == false)
    );
    let body = |fields: Json| {
        let mut body = json!({"model": "storyteller", "prompt": "Once upon", "raw": true,
            "options": {"num_predict": 6, "temperature": 0}});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        body
    };
    let whole = post("/api/generate", &body(json!({"stream": false})))
        .await
        .json();
    let lines = post("/api/generate", &body(json!({}))).await.lines();
    assert_eq!(json!(joined(&lines, "/response")), *at(&whole, "/response"));
    let raw = post(
        "/v1/completions",
        &json!({"prompt": "Once upon", "max_tokens": 6}),
    )
    .await
    .json();
    assert_eq!(at(&raw, "/choices/0/text"), at(&whole, "/response"));
}

#[tokio::test]
async fn forms_are_kept_and_calls_come_whole() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
        "additionalProperties": false});
    let options = json!({"num_predict": 100, "temperature": 0});
    let reply = post(
        "/api/chat",
        &chat(json!({"format": schema, "stream": false, "options": options})),
    )
    .await
    .json();
    let text = at(&reply, "/message/content").as_str().expect("a text");
    assert!(at(&serde_json::from_str(text).expect("JSON"), "/a").is_boolean());
    check(&reply, &[("/done_reason", json!("stop"))]);
    // An earlier call has its arguments as an object.
    let call = json!({"function": {"name": "f", "arguments": {"a": 1}}});
    let messages = json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_name": "f"},
    ]);
    let reply = post("/api/chat", &chat(json!({"messages": messages, "stream": false}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_model_is_loaded_and_unloaded_by_asking_nothing() {
    let app = new_app();
    let ask = async |path: &str, fields: Json| {
        let mut body = json!({"model": "storyteller"});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        let reply = send_to(app.clone(), request("POST", path, body.to_string())).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    for path in ["/api/chat", "/api/generate"] {
        check(
            &ask(path, json!({})).await,
            &[("/done", json!(true)), ("/done_reason", json!("load"))],
        );
        assert!(app.models.entries()[0].live().is_some());
        check(
            &ask(path, json!({"keep_alive": 0})).await,
            &[("/done_reason", json!("unload"))],
        );
        assert!(app.models.entries()[0].live().is_none());
    }
    let text = json!({"prompt": "x", "stream": false, "keep_alive": 0, "options": {"num_predict": 1}});
    check(
        &ask("/api/generate", text).await,
        &[("/done_reason", json!("length"))],
    );
    assert!(
        app.models.entries()[0].live().is_none(),
        "it is freed after the answer"
    );
}

#[tokio::test]
async fn what_is_not_done_is_refused_in_a_text() {
    for (method, path) in [
        ("POST", "/api/pull"),
        ("POST", "/api/push"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("HEAD", "/api/blobs/sha256:0"),
    ] {
        let reply = send(request(method, path, "{}")).await;
        assert_eq!(reply.status, 501, "{path}");
        if method != "HEAD" {
            assert!(
                at(&reply.json(), "/error")
                    .as_str()
                    .is_some_and(|text| text.contains("siskin convert"))
            );
        }
    }
    for fields in [
        json!({"options": {"temperature": -1}}),
        json!({"options": {"mirostat": 1}}),
        json!({"options": {"top_k": "x"}}),
        json!({"think": true}),
        json!({"format": "xml"}),
        json!({"format": {"type": "nothing"}}),
        json!({"keep_alive": "soon"}),
        json!({"messages": [{"role": "user", "content": "x", "images": ["aa"]}]}),
    ] {
        let reply = post("/api/chat", &chat(fields.clone())).await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        assert!(at(&reply.json(), "/error").is_string());
    }
    let options = json!({"num_ctx": 16, "num_thread": 4, "num_predict": 1});
    let reply = post(
        "/api/chat",
        &chat(json!({"stream": false, "options": options, "other": 1})),
    )
    .await;
    assert_eq!(
        reply.header("x-siskin-ignored"),
        Some("other, options.num_ctx, options.num_thread"),
        "{}",
        reply.text()
    );
    for fields in [json!({"suffix": "x"}), json!({"template": "x"})] {
        let mut body = json!({"model": "storyteller", "prompt": "x"});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        assert_eq!(post("/api/generate", &body).await.status, 400, "{fields}");
    }
}
