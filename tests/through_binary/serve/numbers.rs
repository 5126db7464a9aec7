//! Numbers with a fraction, in every field that takes one. serde_json reads them in another way if a crate of the build
//! turns its feature `arbitrary_precision` on, as one of these tests' does.

use serde_json::json;

use super::client::Service;

#[test]
fn numbers_with_a_fraction_are_taken_by_every_dialect() {
    let service = Service::start(&[]);
    let fractions = json!({"temperature": 0.7, "top_p": 0.95, "min_p": 5e-2, "repeat_penalty": 1.10,
        "frequency_penalty": -0.25, "presence_penalty": 0.5, "logit_bias": {"5": 0.5}, "typical_p": 1.0, "seed": 7});
    let messages = json!([{"role": "user", "content": "Once upon a time"}]);
    let tool = json!({"type": "object", "properties": {"x": {"type": "number", "minimum": 0.5}}});
    let of_openai = json!({"max_tokens": 2});
    let of_ollama = json!({"model": "storyteller", "stream": false, "keep_alive": 300.5});
    for (path, common, own) in [
        (
            "/v1/completions",
            &of_openai,
            json!({"prompt": "Once upon a time"}),
        ),
        (
            "/v1/chat/completions",
            &of_openai,
            json!({"messages": messages, "tool_choice": "none",
                "tools": [{"type": "function", "function": {"name": "f", "parameters": tool}}]}),
        ),
        ("/api/generate", &of_ollama, json!({"prompt": "Once upon a time"})),
        ("/api/chat", &of_ollama, json!({"messages": messages})),
        (
            "/v1/messages",
            &of_openai,
            json!({"model": "storyteller", "messages": messages, "tool_choice": {"type": "none"},
                "tools": [{"name": "f", "input_schema": tool}]}),
        ),
        (
            "/v1/responses",
            &json!({"max_output_tokens": 16}),
            json!({"model": "storyteller", "input": "Once upon a time"}),
        ),
    ] {
        let mut body = common.clone();
        let fields = body.as_object_mut().expect("an object");
        fields.extend(own.as_object().expect("an object").clone());
        let sampling = match path {
            "/v1/messages" | "/v1/responses" => json!({"temperature": 0.7, "top_p": 0.95}),
            _ => fractions.clone(),
        };
        if path.starts_with("/api/") {
            fields.insert("options".into(), sampling);
        } else {
            fields.extend(sampling.as_object().expect("an object").clone());
        }
        let reply = service.post(path, &body);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        // The settings arrive: one that is out of its range is refused.
        let place = if path.starts_with("/api/") {
            &mut body["options"]
        } else {
            &mut body
        };
        place["temperature"] = json!(-0.5);
        let reply = service.post(path, &body);
        assert_eq!(reply.status, 400, "{path}: {reply:?}");
        assert!(reply.text.contains("temperature is -0.5"), "{path}: {reply:?}");
    }
    service.stop();
}
