//! llama-server's paths.

use serde_json::{Value as Json, json};

use super::harness::{CONTEXT, at, check, get, post};

#[tokio::test]
async fn tokens_and_texts_lead_to_each_other() {
    for text in ["Once upon a time", "Ünïcödé 🦜 text", "", "  two  spaces "] {
        let tokens = post("/tokenize", &json!({"content": text})).await.json();
        let again = post("/detokenize", &json!({"tokens": at(&tokens, "/tokens")}))
            .await
            .json();
        // SentencePiece writes a space before the first word.
        let content = at(&again, "/content").as_str().expect("a text");
        assert_eq!(content.strip_prefix(' ').unwrap_or(content), text);
        assert_eq!(at(&again, "/prompt"), at(&again, "/content"));
    }
}

#[tokio::test]
async fn both_names_of_the_text_and_of_the_beginning_are_known() {
    let count = async |body: Json| {
        let reply = post("/tokenize", &body).await.json();
        assert_eq!(
            at(&reply, "/tokens")
                .as_array()
                .map(Vec::len)
                .map(Json::from)
                .as_ref(),
            Some(at(&reply, "/count"))
        );
        at(&reply, "/count").as_u64().expect("a number")
    };
    let plain = count(json!({"content": "Once upon"})).await;
    for (body, more) in [
        (json!({"content": "Once upon", "add_special": true}), 1),
        (json!({"content": "Once upon", "add_special": false}), 0),
        (json!({"prompt": "Once upon"}), 1),
        (json!({"prompt": "Once upon", "add_special_tokens": false}), 0),
    ] {
        assert_eq!(count(body.clone()).await, plain + more, "{body}");
    }
    let pieces = post("/tokenize", &json!({"content": "Once é", "with_pieces": true}))
        .await
        .json();
    for piece in at(&pieces, "/tokens").as_array().expect("a list") {
        assert!(
            at(piece, "/id").is_number()
                && (at(piece, "/piece").is_string() || at(piece, "/piece").is_array())
        );
    }
    for body in [json!({}), json!({"content": "a", "prompt": "b"})] {
        assert_eq!(post("/tokenize", &body).await.status, 400);
    }
}

#[tokio::test]
async fn programs_that_score_texts_find_their_tokens() {
    let info = get("/tokenizer_info").await.json();
    let eos = at(&info, "/eos_token").as_str().expect("a text");
    let tokens = post("/tokenize", &json!({"prompt": eos, "add_special_tokens": false}))
        .await
        .json();
    assert_eq!(
        at(&tokens, "/tokens").as_array().map(Vec::len),
        Some(1),
        "{eos} is one token: {tokens}"
    );
    let text = post("/detokenize", &json!({"tokens": at(&tokens, "/tokens")}))
        .await
        .json();
    check(&text, &[("/prompt", json!(eos))]);
    assert_eq!(
        post("/detokenize", &json!({"tokens": [99_999_999]})).await.status,
        400
    );
}

#[tokio::test]
async fn a_conversation_is_written_as_its_prompt() {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let reply = post("/apply-template", &json!({"messages": messages}))
        .await
        .json();
    check(&reply, &[("/prompt", json!("User: Hello\nAssistant:"))]);
}

#[tokio::test]
async fn state_is_told_but_no_prompts_or_places() {
    // Something is computed first.
    assert_eq!(
        post(
            "/v1/completions",
            &json!({"prompt": "secret words", "max_tokens": 1})
        )
        .await
        .status,
        200
    );
    for path in ["/health", "/v1/health", "/readyz", "/livez"] {
        check(&get(path).await.json(), &[("/status", json!("ok"))]);
    }
    let props = get("/props").await.json();
    check(
        &props,
        &[
            ("/total_slots", json!(2)),
            ("/model_alias", json!("storyteller")),
            ("/default_generation_settings/n_ctx", json!(CONTEXT)),
            ("/modalities/vision", json!(false)),
        ],
    );
    assert!(!props.to_string().contains("/work/"));
    let slots = get("/slots").await;
    assert!(!slots.text().contains("secret"));
    let slots = slots.json();
    assert_eq!(slots.as_array().map(Vec::len), Some(2));
    for (index, slot) in slots.as_array().into_iter().flatten().enumerate() {
        check(slot, &[("/id", json!(index)), ("/n_ctx", json!(CONTEXT))]);
        assert!(at(slot, "/is_processing").is_boolean());
    }
}
