//! Anthropic's paths.

use serde_json::{Value as Json, json};

use super::harness::{at, check, post};

const PATH: &str = "/v1/messages";

fn body(fields: Json) -> Json {
    let mut body = json!({"model": "storyteller", "max_tokens": 8, "temperature": 0,
        "messages": [{"role": "user", "content": "Tell me a story."}]});
    body.as_object_mut()
        .expect("an object")
        .extend(fields.as_object().expect("an object").clone());
    body
}

fn tool() -> Json {
    json!({"name": "weather", "input_schema": {"type": "object", "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"], "additionalProperties": false}})
}

/// The events of a stream; each says its own name.
async fn events(body: &Json) -> Vec<Json> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let frames = post(PATH, &body).await.frames();
    let event = |(name, data): (Option<String>, String)| {
        let event: Json = serde_json::from_str(&data).expect("JSON");
        assert_eq!(event.get("type"), name.map(Json::from).as_ref());
        event
    };
    frames.into_iter().map(event).collect()
}

/// Names of events, without repetitions.
fn names(events: &[Json]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_stream_says_what_the_whole_message_says() {
    let whole = post(PATH, &body(json!({}))).await.json();
    check(
        &whole,
        &[
            ("/type", json!("message")),
            ("/role", json!("assistant")),
            ("/model", json!("storyteller")),
            ("/content/0/type", json!("text")),
            ("/stop_reason", json!("max_tokens")),
            ("/stop_sequence", Json::Null),
            ("/usage/output_tokens", json!(8)),
        ],
    );
    let events = events(&body(json!({}))).await;
    assert_eq!(
        names(&events),
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let text: String = events
        .iter()
        .filter_map(|event| event.pointer("/delta/text")?.as_str())
        .collect();
    assert_eq!(json!(text), *at(&whole, "/content/0/text"));
    check(
        &events[0],
        &[
            ("/message/content", json!([])),
            ("/message/stop_reason", Json::Null),
        ],
    );
    let delta = &events[events.len() - 2];
    check(
        delta,
        &[
            ("/delta/stop_reason", json!("max_tokens")),
            ("/usage/output_tokens", json!(8)),
        ],
    );
}

#[tokio::test]
async fn a_tool_is_used_whole_and_in_pieces() {
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "weather"})] {
        let mut choice = choice;
        choice["disable_parallel_tool_use"] = true.into();
        let asked = body(json!({"tools": [tool()], "tool_choice": choice, "max_tokens": 200}));
        let whole = post(PATH, &asked).await.json();
        check(
            &whole,
            &[
                ("/stop_reason", json!("tool_use")),
                ("/content/0/type", json!("tool_use")),
                ("/content/0/name", json!("weather")),
            ],
        );
        assert!(at(&whole, "/content/0/input/ok").is_boolean());
        let events = events(&asked).await;
        let pieces = events
            .iter()
            .filter_map(|event| event.pointer("/delta/partial_json")?.as_str());
        let input: Json = serde_json::from_str(&pieces.collect::<String>()).expect("JSON");
        assert_eq!(&input, at(&whole, "/content/0/input"));
        let start = events
            .iter()
            .find(|event| event["type"] == "content_block_start")
            .expect("a block");
        check(
            start,
            &[
                ("/content_block/type", json!("tool_use")),
                ("/content_block/input", json!({})),
            ],
        );
        check(
            &events[events.len() - 2],
            &[("/delta/stop_reason", json!("tool_use"))],
        );
    }
}

#[tokio::test]
async fn stop_sequences_and_systems_and_results_are_read() {
    let reply = post(
        PATH,
        &body(json!({"stop_sequences": [",", "."], "max_tokens": 100})),
    )
    .await
    .json();
    check(&reply, &[("/stop_reason", json!("stop_sequence"))]);
    assert!([json!(","), json!(".")].contains(at(&reply, "/stop_sequence")));
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "y"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"ok": true}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
            "content": [{"type": "text", "text": "sunny"}]}, {"type": "text", "text": "And?"}]},
    ]);
    let system = json!([{"type": "text", "text": "Be brief."}]);
    let asked = body(json!({"messages": messages, "system": system, "tools": [tool()],
        "tool_choice": {"type": "none"}, "metadata": {"user_id": "me"}, "thinking": {"type": "disabled"}}));
    let reply = post(PATH, &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut counted = asked.clone();
    for name in ["max_tokens", "temperature", "metadata"] {
        counted.as_object_mut().expect("an object").remove(name);
    }
    let count = post("/v1/messages/count_tokens", &counted).await.json();
    let number = |pointer: &str| at(&reply.json(), pointer).as_u64().expect("a number");
    let read = number("/usage/input_tokens") + number("/usage/cache_read_input_tokens");
    check(&count, &[("/input_tokens", json!(read))]);
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    for fields in [
        json!({"max_tokens": null}),
        json!({"max_tokens": 0}),
        json!({"max_tokens": -1}),
        json!({"messages": []}),
        json!({"messages": [{"role": "system", "content": "x"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        json!({"temperature": -1}),
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        json!({"tools": [tool()], "tool_choice": {"type": "perhaps"}}),
        json!({"tool_choice": {"type": "any"}}),
        json!({"stop_sequences": vec!["x"; 17]}),
    ] {
        let reply = post(PATH, &body(fields.clone())).await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        check(
            &reply.json(),
            &[
                ("/type", json!("error")),
                ("/error/type", json!("invalid_request_error")),
            ],
        );
    }
}
