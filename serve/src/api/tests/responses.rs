//! `/v1/responses` and `/v1/embeddings`.

use serde_json::{Value as Json, json};

use super::harness::{at, check, post};

const PATH: &str = "/v1/responses";

fn body(fields: Json) -> Json {
    let mut body = json!({"input": "Tell me a story.", "max_output_tokens": 8, "temperature": 0});
    body.as_object_mut()
        .expect("an object")
        .extend(fields.as_object().expect("an object").clone());
    body
}

fn weather() -> Json {
    json!({"type": "function", "name": "weather", "strict": true, "parameters": {"type": "object",
        "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false}})
}

/// The events of a stream: named, and numbered from 0.
async fn events(body: &Json) -> Vec<Json> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let frames = post(PATH, &body).await.frames();
    let event = |(at, (name, data)): (usize, (Option<String>, String))| {
        let event: Json = serde_json::from_str(&data).expect("JSON");
        assert_eq!(event.get("type"), name.map(Json::from).as_ref());
        assert_eq!(event["sequence_number"], at);
        event
    };
    frames.into_iter().enumerate().map(event).collect()
}

fn names(events: &[Json]) -> Vec<&str> {
    let names = events
        .iter()
        .filter_map(|event| event["type"].as_str()?.strip_prefix("response."));
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_stream_says_what_the_whole_response_says() {
    let whole = post(
        PATH,
        &body(json!({"instructions": "Be brief.", "metadata": {"a": "b"}})),
    )
    .await
    .json();
    check(
        &whole,
        &[
            ("/object", json!("response")),
            ("/status", json!("incomplete")),
            ("/incomplete_details/reason", json!("max_output_tokens")),
            ("/output/0/type", json!("message")),
            ("/output/0/role", json!("assistant")),
            ("/output/0/content/0/type", json!("output_text")),
            ("/output/0/content/0/annotations", json!([])),
            ("/usage/output_tokens", json!(8)),
            ("/store", json!(false)),
            ("/metadata/a", json!("b")),
            ("/instructions", json!("Be brief.")),
        ],
    );
    let events = events(&body(
        json!({"instructions": "Be brief.", "metadata": {"a": "b"}}),
    ))
    .await;
    assert_eq!(
        names(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "incomplete",
        ]
    );
    let deltas = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta");
    let text: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(json!(text), *at(&whole, "/output/0/content/0/text"));
    let last = at(events.last().expect("events"), "/response");
    assert_eq!(at(last, "/output/0/content"), at(&whole, "/output/0/content"));
    assert_eq!(at(last, "/usage/total_tokens"), at(&whole, "/usage/total_tokens"));
}

#[tokio::test]
async fn a_function_is_called_and_its_output_read() {
    let asked = body(
        json!({"tools": [weather()], "tool_choice": "required", "parallel_tool_calls": false,
        "max_output_tokens": 200}),
    );
    let whole = post(PATH, &asked).await.json();
    check(
        &whole,
        &[
            ("/status", json!("completed")),
            ("/output/0/type", json!("function_call")),
            ("/output/0/name", json!("weather")),
            ("/output/0/status", json!("completed")),
        ],
    );
    let arguments = at(&whole, "/output/0/arguments").as_str().expect("a text");
    assert!(at(&serde_json::from_str(arguments).expect("JSON"), "/ok").is_boolean());
    let events = events(&asked).await;
    assert_eq!(
        names(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    let call = at(&whole, "/output/0").clone();
    let output = json!({"type": "function_call_output", "call_id": at(&call, "/call_id"), "output": "sunny"});
    let input = json!([{"role": "user", "content": [{"type": "input_text", "text": "x"}]}, call, output]);
    let reply = post(PATH, &body(json!({"input": input, "tools": [weather()]}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_schema_is_kept() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "x", "strict": true, "schema": schema});
    let reply = post(
        PATH,
        &body(json!({"text": {"format": format}, "max_output_tokens": 60})),
    )
    .await
    .json();
    let text = at(&reply, "/output/0/content/0/text").as_str().expect("a text");
    assert!(at(&serde_json::from_str(text).expect("JSON"), "/a").is_boolean());
    check(&reply, &[("/status", json!("completed"))]);
}

#[tokio::test]
async fn what_needs_a_memory_is_refused_with_its_field() {
    for (fields, param) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"background": true}), "background"),
        (json!({"conversation": "c"}), "conversation"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"include": ["message.output_text.logprobs"]}), "include"),
        (json!({"input": []}), "input"),
        (json!({"input": [{"type": "item_reference", "id": "x"}]}), "input"),
        (json!({"input": [{"type": "function_call"}]}), "input"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"tools": [{"type": "web_search"}]}), "tools"),
        (json!({"text": {"format": {"type": "xml"}}}), "text"),
        (json!({"temperature": -1}), "temperature"),
    ] {
        let reply = post(PATH, &body(fields.clone())).await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        check(&reply.json(), &[("/error/param", json!(param))]);
    }
}

#[tokio::test]
async fn inputs_of_embeddings_are_checked() {
    for (path, fields) in [
        ("/v1/embeddings", json!({"input": []})),
        ("/v1/embeddings", json!({"input": "x", "dimensions": 8})),
        ("/v1/embeddings", json!({"input": "x", "encoding_format": "hex"})),
        ("/v1/embeddings", json!({"input": [99_999_999]})),
        ("/v1/embeddings", json!({"input": "word ".repeat(5000)})),
        (
            "/api/embed",
            json!({"model": "storyteller", "input": "word ".repeat(5000)}),
        ),
        (
            "/api/embed",
            json!({"model": "storyteller", "input": "x", "dimensions": 8}),
        ),
        ("/api/embeddings", json!({"model": "storyteller"})),
    ] {
        let reply = post(path, &fields).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
    }
}
