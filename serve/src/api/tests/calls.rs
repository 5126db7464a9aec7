//! Calls of tools: what ends them, and what of them is text.

use serde_json::{Value as Json, json};

use super::harness::{at, check, joined, post};

const CHAT: &str = "/v1/chat/completions";

/// A request that must call a tool, and what it asks besides.
fn calling(more: Json) -> Json {
    let function = json!({"name": "weather", "description": "", "parameters": {"type": "object",
        "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false}});
    let mut body = json!({"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 200,
        "tools": [{"type": "function", "function": function}], "tool_choice": "required",
        "parallel_tool_calls": false});
    let fields = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(fields);
    body
}

/// Checks that a text is the arguments of a whole call.
fn check_arguments(arguments: &str, stop: &str) {
    let parsed: Json = serde_json::from_str(arguments).unwrap_or_else(|_| panic!("{stop}: {arguments}"));
    assert!(at(&parsed, "/ok").is_boolean(), "{stop}: {arguments}");
}

#[tokio::test]
async fn a_stop_string_within_a_call_does_not_end_it() {
    for stop in [
        "<tool_call>",
        "\"name\"",
        "weather",
        "{",
        "arguments",
        ":",
        "\"ok\"",
        "e",
    ] {
        let asked = calling(json!({"stop": [stop]}));
        let answer = post(CHAT, &asked).await.json();
        let reason = at(&answer, "/choices/0/finish_reason");
        assert_eq!(reason, "tool_calls", "{stop}: {answer}");
        check(
            &answer,
            &[
                ("/choices/0/message/content", Json::Null),
                ("/choices/0/message/tool_calls/0/function/name", json!("weather")),
            ],
        );
        let arguments = at(&answer, "/choices/0/message/tool_calls/0/function/arguments");
        check_arguments(arguments.as_str().expect("a text"), stop);
        let mut streamed = asked;
        streamed["stream"] = true.into();
        let chunks = post(CHAT, &streamed).await.chunks();
        let arguments = joined(&chunks, "/choices/0/delta/tool_calls/0/function/arguments");
        check_arguments(&arguments, stop);
        assert_eq!(joined(&chunks, "/choices/0/delta/content"), "", "{stop}");
    }
}

#[tokio::test]
async fn a_stop_string_ends_the_text_of_an_answer_that_might_have_called() {
    // Every story has these letters.
    let letters = ['e', 'a'];
    let stop = letters.map(String::from);
    let mut asked = calling(json!({"tool_choice": "auto", "stop": stop, "max_tokens": 60}));
    let answer = post(CHAT, &asked).await.json();
    let text = at(&answer, "/choices/0/message/content").as_str();
    assert!(text.is_some_and(|text| !text.contains(letters)), "{answer}");
    check(&answer, &[("/choices/0/finish_reason", json!("stop"))]);
    let tokens = at(&answer, "/usage/completion_tokens").as_u64();
    assert!(tokens.is_some_and(|tokens| tokens < 60), "{answer}");
    asked["stream"] = true.into();
    let chunks = post(CHAT, &asked).await.chunks();
    let text = joined(&chunks, "/choices/0/delta/content");
    assert!(!text.contains(letters), "{text}");
    check(
        chunks.last().expect("chunks"),
        &[("/choices/0/finish_reason", json!("stop"))],
    );
}

#[tokio::test]
async fn a_call_that_is_cut_before_its_name_is_no_text() {
    for tokens in 1..=12 {
        let cut = json!({"max_tokens": tokens});
        let answer = post(CHAT, &calling(cut)).await.json();
        check(&answer, &[("/choices/0/finish_reason", json!("length"))]);
        let content = at(&answer, "/choices/0/message/content").as_str().unwrap_or("");
        assert_eq!(content, "", "{tokens} tokens: {answer}");
        let streamed = calling(json!({"max_tokens": tokens, "stream": true}));
        let chunks = post(CHAT, &streamed).await.chunks();
        assert_eq!(joined(&chunks, "/choices/0/delta/content"), "", "{tokens} tokens");
        check(
            chunks.last().expect("chunks"),
            &[("/choices/0/finish_reason", json!("length"))],
        );
    }
}

#[tokio::test]
async fn a_call_that_is_cut_is_no_text_in_other_dialects_either() {
    let tool = json!({"name": "weather", "input_schema": {"type": "object"}});
    let messages = json!([{"role": "user", "content": "Tell me a story."}]);
    let asked = json!({"model": "storyteller", "max_tokens": 3, "messages": messages, "tools": [tool],
        "tool_choice": {"type": "any"}});
    let answer = post("/v1/messages", &asked).await.json();
    check(
        &answer,
        &[("/content", json!([])), ("/stop_reason", json!("max_tokens"))],
    );
    let tool =
        json!({"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}});
    let asked = json!({"model": "storyteller", "max_output_tokens": 3, "input": "Tell me a story.", "tools": [tool],
        "tool_choice": "required"});
    let answer = post("/v1/responses", &asked).await.json();
    check(
        &answer,
        &[("/output", json!([])), ("/status", json!("incomplete"))],
    );
}
