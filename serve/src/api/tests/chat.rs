//! `/v1/chat/completions`.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::harness::{CONTEXT, at, check, joined, new_app, post, request, send_to};

const PATH: &str = "/v1/chat/completions";

fn body(fields: Json) -> Json {
    let mut body = json!({"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 8});
    body.as_object_mut()
        .expect("an object")
        .extend(fields.as_object().expect("an object").clone());
    body
}

fn weather() -> Json {
    json!({"type": "function", "function": {"name": "weather", "description": "", "parameters": {
        "type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
        "additionalProperties": false}}})
}

#[tokio::test]
async fn an_answer_has_openais_shape() {
    let reply = post(PATH, &body(json!({"unheard_of": 1, "user": "me"}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-siskin-ignored"), Some("unheard_of"));
    let answer = reply.json();
    check(
        &answer,
        &[
            ("/object", json!("chat.completion")),
            ("/model", json!("storyteller")),
            ("/choices/0/index", json!(0)),
            ("/choices/0/message/role", json!("assistant")),
            ("/choices/0/message/refusal", Json::Null),
            ("/choices/0/logprobs", Json::Null),
            ("/choices/0/finish_reason", json!("length")),
            ("/usage/completion_tokens", json!(8)),
        ],
    );
    let number = |pointer: &str| at(&answer, pointer).as_u64().expect("a number");
    assert_eq!(number("/usage/total_tokens"), number("/usage/prompt_tokens") + 8);
    assert!(
        at(&answer, "/id")
            .as_str()
            .is_some_and(|id| id.starts_with("chatcmpl-"))
    );
    for pointer in [
        "/created",
        "/timings/predicted_ms",
        "/usage/prompt_tokens_details/cached_tokens",
    ] {
        assert!(at(&answer, pointer).is_number(), "{pointer}");
    }
}

#[tokio::test]
async fn a_stream_has_role_pieces_end_usage_and_done() {
    for n in [1, 3] {
        let whole = post(PATH, &body(json!({"n": n, "logprobs": true, "top_logprobs": 2})))
            .await
            .json();
        let fields = json!({"n": n, "logprobs": true, "top_logprobs": 2, "stream": true,
            "stream_options": {"include_usage": true}});
        let mut chunks = post(PATH, &body(fields)).await.chunks();
        let usage = chunks.pop().expect("the usage");
        check(
            &usage,
            &[
                ("/choices", json!([])),
                ("/usage/completion_tokens", json!(8 * n)),
            ],
        );
        for choice in at(&whole, "/choices").as_array().expect("a list") {
            let own: Vec<Json> = chunks
                .iter()
                .filter(|chunk| at(chunk, "/choices/0/index") == at(choice, "/index"))
                .cloned()
                .collect();
            check(
                &own[0],
                &[
                    ("/object", json!("chat.completion.chunk")),
                    ("/choices/0/delta/role", json!("assistant")),
                    ("/choices/0/delta/content", json!("")),
                    ("/choices/0/finish_reason", Json::Null),
                    ("/usage", Json::Null),
                ],
            );
            let last = own.last().expect("chunks");
            check(
                last,
                &[
                    ("/choices/0/delta", json!({})),
                    ("/choices/0/finish_reason", json!("length")),
                ],
            );
            assert_eq!(
                own.iter()
                    .filter(|chunk| chunk.pointer("/choices/0/delta/role").is_some())
                    .count(),
                1
            );
            assert_eq!(
                json!(joined(&own, "/choices/0/delta/content")),
                *at(choice, "/message/content")
            );
            let scores = own
                .iter()
                .filter_map(|chunk| chunk.pointer("/choices/0/logprobs/content")?.as_array());
            let scores: Vec<Json> = scores.flatten().cloned().collect();
            assert_eq!(scores.len(), 8);
            assert_eq!(
                at(choice, "/logprobs/content/0/top_logprobs")
                    .as_array()
                    .map(Vec::len),
                Some(2)
            );
        }
    }
    let chunks = post(PATH, &body(json!({"stream": true}))).await.chunks();
    assert!(
        chunks.iter().all(|chunk| chunk.get("usage").is_none()),
        "no usage is told unasked"
    );
}

#[tokio::test]
async fn a_required_call_is_a_call_whole_and_in_pieces() {
    for choice in [
        json!("required"),
        json!({"type": "function", "function": {"name": "weather"}}),
    ] {
        let fields = json!({"tools": [weather()], "tool_choice": choice, "max_tokens": 200, "parallel_tool_calls": false});
        let answer = post(PATH, &body(fields.clone())).await.json();
        check(
            &answer,
            &[
                ("/choices/0/finish_reason", json!("tool_calls")),
                ("/choices/0/message/content", Json::Null),
                ("/choices/0/message/tool_calls/0/type", json!("function")),
                ("/choices/0/message/tool_calls/0/function/name", json!("weather")),
            ],
        );
        let arguments = at(&answer, "/choices/0/message/tool_calls/0/function/arguments")
            .as_str()
            .expect("a text");
        let parsed: Json = serde_json::from_str(arguments).expect("JSON");
        assert!(at(&parsed, "/ok").is_boolean());
        let mut streamed = body(fields);
        streamed["stream"] = true.into();
        let chunks = post(PATH, &streamed).await.chunks();
        let calls: Vec<&Json> = chunks
            .iter()
            .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls"))
            .collect();
        assert!(
            calls
                .iter()
                .all(|calls| calls.as_array().map(Vec::len) == Some(1)),
            "one call a delta"
        );
        check(
            calls[0],
            &[("/0/index", json!(0)), ("/0/function/name", json!("weather"))],
        );
        assert!(at(calls[0], "/0/id").is_string());
        assert_eq!(
            joined(&chunks, "/choices/0/delta/tool_calls/0/function/arguments"),
            arguments
        );
        check(
            chunks.last().expect("chunks"),
            &[("/choices/0/finish_reason", json!("tool_calls"))],
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_field() {
    let schema = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}});
    for (fields, param) in [
        (json!({"messages": []}), "messages"),
        (json!({"messages": "x"}), "messages"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages",
        ),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_completion_tokens": -5}), "max_completion_tokens"),
        (json!({"n": 0}), "n"),
        (json!({"n": "one"}), "n"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"functions": [{}]}), "functions"),
        (json!({"modalities": ["audio"]}), "modalities"),
        (json!({"seed": "x"}), "seed"),
        (json!({"tools": [{"type": "web"}]}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": [weather()], "tool_choice": "perhaps"}),
            "tool_choice",
        ),
        (
            json!({"tools": [weather()], "response_format": {"type": "json_object"}}),
            "tools",
        ),
        (json!({"response_format": schema}), "response_format"),
    ] {
        let reply = post(PATH, &body(fields.clone())).await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        check(
            &reply.json(),
            &[
                ("/error/param", json!(param)),
                ("/error/type", json!("invalid_request_error")),
            ],
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_numbers() {
    let reply = post(
        PATH,
        &body(json!({"messages": [{"role": "user", "content": "word ".repeat(5000)}]})),
    )
    .await;
    assert_eq!(reply.status, 400);
    check(
        &reply.json(),
        &[
            ("/error/type", json!("exceed_context_size_error")),
            ("/error/code", json!("context_length_exceeded")),
            ("/error/n_ctx", json!(CONTEXT)),
        ],
    );
    assert!(at(&reply.json(), "/error/n_prompt_tokens").is_number());
}

#[tokio::test]
async fn energy_is_told_if_the_machine_tells_power() {
    let app = new_app();
    let ask = || {
        let body = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8});
        send_to(
            app.clone(),
            request("POST", "/v1/chat/completions", body.to_string()),
        )
    };
    let without = ask().await.json();
    assert!(without.pointer("/timings/joules").is_none(), "{without}");
    let heat = |watts| crate::engine::Heat {
        watts,
        ..Default::default()
    };
    app.engine.set_heat(heat(Some(5.0)));
    let begun = std::time::Instant::now();
    let with = ask().await.json();
    let most = 5.0 * begun.elapsed().as_secs_f64();
    let joules = at(&with, "/timings/joules").as_f64().expect("a number");
    assert!(joules > 0.0 && joules <= most, "{joules} of {most}");
}

#[tokio::test]
async fn requests_that_begin_as_configured_are_of_the_background_class() {
    let mut app = new_app();
    Arc::get_mut(&mut app).expect("only here").background = vec!["### Task:".into()];
    let chat = |said: &str| json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": said}]);
    let cases = [
        ("Tell a story", 0),
        ("### Task:\nGenerate a title", 1),
        ("a ### Task:", 1),
    ];
    for (said, counted) in cases {
        let body = json!({"messages": chat(said), "max_tokens": 1});
        let reply = send_to(
            app.clone(),
            request("POST", "/v1/chat/completions", body.to_string()),
        )
        .await;
        assert_eq!(
            (reply.status.as_u16(), app.metrics.background.get()),
            (200, counted),
            "{said}"
        );
    }
}
