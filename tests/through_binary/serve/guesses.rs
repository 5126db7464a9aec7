//! What the service guesses changes no answer.

use serde_json::{Value as Json, json};
use siskin::device::settings::{Kernels, Values};

use super::client::{Reply, Service, write};

/// Paths and bodies of requests: greedy, with a seed, with penalties, with stops, several at once, with a form.
fn requests() -> Vec<(&'static str, Json)> {
    let twice = "The king said to the queen: the king said to the queen: the king";
    let schema = json!({"type": "json_schema", "json_schema": {"name": "tale", "strict": true, "schema": {
        "type": "object",
        "properties": {"beginning": {"type": "string", "maxLength": 20}, "length": {"type": "integer"}},
        "required": ["beginning", "length"],
        "additionalProperties": false,
    }}});
    let messages = json!([{"role": "user", "content": "Tell me of the king."}]);
    vec![
        (
            "/v1/completions",
            json!({"prompt": twice, "max_tokens": 60, "temperature": 0}),
        ),
        (
            "/v1/completions",
            json!({"prompt": twice, "max_tokens": 60, "temperature": 0.8, "seed": 5}),
        ),
        (
            "/v1/completions",
            json!({"prompt": "Once upon a time", "max_tokens": 50, "temperature": 1.1, "seed": 6,
                "frequency_penalty": 0.4, "presence_penalty": 0.2, "logprobs": 2}),
        ),
        (
            "/v1/completions",
            json!({"prompt": twice, "max_tokens": 60, "temperature": 0, "stop": ["queen"]}),
        ),
        (
            "/v1/completions",
            json!({"prompt": twice, "max_tokens": 20, "temperature": 0.9, "seed": 7, "n": 2}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": messages, "max_tokens": 60, "temperature": 0, "response_format": schema}),
        ),
    ]
}

/// What a service answers, one request after the other and two at a time, and how many tokens it guessed.
fn answers(how: &str) -> (Vec<Json>, f64) {
    let service = Service::start(&["--spec", how, "--deterministic"]);
    let ask = |(path, body): &(&'static str, Json)| {
        let reply = service.post(path, body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text);
        reply.json()["choices"].clone()
    };
    let requests = requests();
    let mut answers: Vec<Json> = requests.iter().map(ask).collect();
    let headers = format!("Host: {}\r\nContent-Type: application/json\r\n", service.address);
    for pair in requests.chunks(2) {
        let asked = pair.iter().map(|(path, body)| {
            let mut stream = service.connect();
            write(&mut stream, "POST", path, &headers, &body.to_string());
            stream
        });
        let asked: Vec<_> = asked.collect();
        let both = asked
            .into_iter()
            .map(|stream| Reply::read(stream).json()["choices"].clone());
        answers.extend(both);
    }
    let guessed = service.metric("siskin_tokens_drafted_total");
    service.stop();
    (answers, guessed)
}

#[test]
fn guesses_change_no_answer() {
    let (without, none) = answers("off");
    let (with, guessed) = answers("auto");
    assert_eq!(none, 0.0);
    for (at, (with, without)) in with.iter().zip(&without).enumerate() {
        assert_eq!(with, without, "answer {at}");
    }
    let status = siskin::ggml_hook::select(Kernels::Siskin, Values::default().prefetch_bytes);
    match status.kernels {
        Kernels::Siskin => assert!(guessed > 0.0, "nothing was guessed"),
        _ => siskin_testing::skip(&status.to_string()),
    }
}
