//! `/v1/completions`.

use serde_json::{Value as Json, json};
use siskin_runtime::{Model, Token, Tokenize};

use super::harness::{CONTEXT, at, check, joined, post};

const PATH: &str = "/v1/completions";
const PROMPT: &str = "Once upon a time";

async fn complete(body: Json) -> Json {
    let reply = post(PATH, &body).await;
    assert_eq!(reply.status, 200, "{body}: {}", reply.text());
    reply.json()
}

fn model() -> Model {
    Model::embedded()
        .context(CONTEXT)
        .threads(1)
        .load()
        .expect("the embedded model")
}

fn ids(model: &Model, text: &str) -> Vec<i32> {
    model
        .tokenize(text, Tokenize::PROMPT)
        .into_iter()
        .map(|token| token.0)
        .collect()
}

#[tokio::test]
async fn a_text_and_its_tokens_have_the_same_continuation() {
    let text = complete(json!({"prompt": PROMPT, "max_tokens": 8})).await;
    check(
        &text,
        &[
            ("/object", json!("text_completion")),
            ("/model", json!("storyteller")),
            ("/choices/0/index", json!(0)),
            ("/choices/0/finish_reason", json!("length")),
            ("/choices/0/logprobs", Json::Null),
            ("/usage/completion_tokens", json!(8)),
        ],
    );
    let tokens = complete(json!({"prompt": ids(&model(), PROMPT), "max_tokens": 8})).await;
    assert_eq!(at(&text, "/choices/0/text"), at(&tokens, "/choices/0/text"));
    assert!(
        at(&text, "/choices/0/text")
            .as_str()
            .is_some_and(|text| text.starts_with(' '))
    );
}

#[tokio::test]
async fn a_batch_has_its_choices_in_the_order_of_its_prompts() {
    let one = |prompt: &str| json!({"prompt": prompt, "max_tokens": 5, "seed": 1});
    let texts = ["Once upon", "The dog", "Lily was"];
    let mut expected = Vec::new();
    for text in texts {
        expected.push(at(&complete(one(text)).await, "/choices/0/text").clone());
    }
    let batch = complete(json!({"prompt": texts, "max_tokens": 5, "n": 2, "seed": 1})).await;
    let choices = at(&batch, "/choices").as_array().expect("a list");
    assert_eq!(choices.len(), 6);
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(at(choice, "/index"), &json!(index));
        // Greedy: all choices of a prompt are the same.
        assert_eq!(at(choice, "/text"), &expected[index / 2]);
    }
    let model = model();
    let lists: Vec<Vec<i32>> = texts.iter().map(|text| ids(&model, text)).collect();
    let batch = complete(json!({"prompt": lists, "max_tokens": 5})).await;
    for (index, text) in expected.iter().enumerate() {
        assert_eq!(at(&batch, &format!("/choices/{index}/text")), text);
    }
}

#[tokio::test]
async fn log_likelihoods_are_the_models_own() {
    let model = model();
    let tokens = ids(&model, "Once upon a time there was a little girl named Lily. She");
    let mut session = model.session().expect("a session");
    let all: Vec<Token> = tokens.iter().map(|id| Token(*id)).collect();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    session
        .decode_rows(&all, |row| rows.push(row.to_vec()))
        .expect("decodes");
    // As programs that score texts ask: the tokens, one more, and the prompt's probabilities.
    let body = json!({"prompt": [tokens], "max_tokens": 1, "temperature": 0, "logprobs": 1, "seed": 1234, "echo": true});
    let answer = complete(body).await;
    let list = |name: &str| {
        at(&answer, &format!("/choices/0/logprobs/{name}"))
            .as_array()
            .expect("a list")
            .clone()
    };
    let (logprobs, top) = (list("token_logprobs"), list("top_logprobs"));
    assert_eq!(
        [
            list("tokens").len(),
            logprobs.len(),
            top.len(),
            list("text_offset").len()
        ],
        [tokens.len() + 1; 4]
    );
    assert_eq!((&logprobs[0], &top[0]), (&Json::Null, &Json::Null));
    for at in 1..tokens.len() {
        let row = &rows[at - 1];
        let most = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|logit| f64::from(logit - most).exp()).sum();
        let expected = f64::from(row[tokens[at] as usize] - most) - sum.ln();
        let told = logprobs[at].as_f64().expect("a number");
        assert!(
            (told - expected).abs() < 1e-3,
            "token {at}: {told} and {expected}"
        );
        let best = top[at]
            .as_object()
            .expect("a table")
            .values()
            .filter_map(Json::as_f64)
            .fold(f64::MIN, f64::max);
        assert!((best + sum.ln()).abs() < 1e-3, "the likeliest at {at}: {best}");
        // Whether the token is the greedy choice is told by equality.
        assert_eq!(told == best, row[tokens[at] as usize] == most, "token {at}");
    }
}

#[tokio::test]
async fn max_tokens_0_with_echo_scores_and_draws_nothing() {
    let answer = complete(json!({"prompt": PROMPT, "max_tokens": 0, "logprobs": 0, "echo": true})).await;
    check(
        &answer,
        &[
            ("/choices/0/text", json!(PROMPT)),
            ("/choices/0/finish_reason", json!("length")),
            ("/usage/completion_tokens", json!(0)),
        ],
    );
    let tokens = at(&answer, "/choices/0/logprobs/tokens")
        .as_array()
        .expect("a list")
        .len();
    assert_eq!(json!(tokens), *at(&answer, "/usage/prompt_tokens"));
}

#[tokio::test]
async fn offsets_point_at_the_tokens_in_the_text() {
    let answer = complete(json!({"prompt": PROMPT, "max_tokens": 6, "logprobs": 2, "echo": true})).await;
    let text: Vec<char> = at(&answer, "/choices/0/text")
        .as_str()
        .expect("a text")
        .chars()
        .collect();
    let tokens = at(&answer, "/choices/0/logprobs/tokens")
        .as_array()
        .expect("a list");
    let offsets = at(&answer, "/choices/0/logprobs/text_offset")
        .as_array()
        .expect("a list");
    for (index, (token, offset)) in tokens.iter().zip(offsets).enumerate().skip(2) {
        let (token, offset) = (
            token.as_str().expect("a text"),
            offset.as_u64().expect("a number") as usize,
        );
        let there: String = text[offset..].iter().take(token.chars().count()).collect();
        assert_eq!(there, token, "token {index} at {offset}");
    }
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    for body in [
        json!({"prompt": PROMPT, "max_tokens": 6}),
        json!({"prompt": [PROMPT, "The dog"], "max_tokens": 6, "n": 2, "echo": true}),
        json!({"prompt": PROMPT, "max_tokens": 6, "logprobs": 1, "echo": true}),
        json!({"prompt": PROMPT, "max_tokens": 0, "logprobs": 1, "echo": true}),
    ] {
        let whole = complete(body.clone()).await;
        let mut streamed = body.clone();
        streamed["stream"] = true.into();
        streamed["stream_options"] = json!({"include_usage": true});
        let reply = post(PATH, &streamed).await;
        let mut chunks = reply.chunks();
        let last = chunks.pop().expect("a chunk with the usage");
        check(&last, &[("/choices", json!([]))]);
        assert_eq!(
            at(&last, "/usage/total_tokens"),
            at(&whole, "/usage/total_tokens"),
            "{body}"
        );
        assert!(chunks.iter().all(|chunk| at(chunk, "/usage").is_null()));
        for choice in at(&whole, "/choices").as_array().expect("a list") {
            let own: Vec<Json> = chunks
                .iter()
                .filter(|chunk| at(chunk, "/choices/0/index") == at(choice, "/index"))
                .cloned()
                .collect();
            assert_eq!(
                json!(joined(&own, "/choices/0/text")),
                *at(choice, "/text"),
                "{body}"
            );
            let reasons: Vec<&Json> = own
                .iter()
                .map(|chunk| at(chunk, "/choices/0/finish_reason"))
                .collect();
            assert_eq!(reasons.last().copied(), Some(at(choice, "/finish_reason")));
            assert_eq!(reasons.iter().filter(|reason| !reason.is_null()).count(), 1);
            for list in ["tokens", "token_logprobs", "text_offset"] {
                let pointer = format!("/logprobs/{list}");
                let whole = choice
                    .pointer(&pointer)
                    .and_then(Json::as_array)
                    .cloned()
                    .unwrap_or_default();
                let pieces = own
                    .iter()
                    .filter_map(|chunk| chunk.pointer(&format!("/choices/0{pointer}"))?.as_array());
                assert_eq!(
                    pieces.flatten().cloned().collect::<Vec<Json>>().len(),
                    whole.len(),
                    "{list}: {body}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_empty_text_is_a_beginning() {
    let answer = complete(json!({"prompt": "", "max_tokens": 4})).await;
    check(&answer, &[("/usage/prompt_tokens", json!(1))]);
    assert!(
        !at(&answer, "/choices/0/text")
            .as_str()
            .expect("a text")
            .starts_with(' ')
    );
}

#[tokio::test]
async fn forms_and_stops_are_kept() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
        "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": true}});
    let answer = complete(json!({"prompt": PROMPT, "max_tokens": 40, "response_format": format})).await;
    let text = at(&answer, "/choices/0/text").as_str().expect("a text");
    let value: Json = serde_json::from_str(text).expect("JSON");
    assert!(at(&value, "/a").is_boolean());
    let grammar = r#"root ::= " yes" | " no""#;
    let answer = complete(json!({"prompt": PROMPT, "max_tokens": 9, "grammar": grammar})).await;
    let text = at(&answer, "/choices/0/text").as_str().expect("a text");
    assert!([" yes", " no"].contains(&text), "{text:?}");
    let answer = complete(json!({"prompt": PROMPT, "max_tokens": 60, "stop": [",", "."]})).await;
    let text = at(&answer, "/choices/0/text").as_str().expect("a text");
    assert!(!text.contains([',', '.']), "{text:?}");
    check(&answer, &[("/choices/0/finish_reason", json!("stop"))]);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_field() {
    for (fields, param) in [
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": [1, "a"]}), "prompt"),
        (json!({"prompt": [99_999_999]}), "prompt"),
        (json!({"prompt": [-1]}), "prompt"),
        (json!({"prompt": {"a": 1}}), "prompt"),
        (json!({"max_tokens": -2}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": "x"}), "max_tokens"),
        (json!({"n": 0}), "n"),
        (json!({"n": 9}), "n"),
        (json!({"n": 2, "best_of": 3}), "best_of"),
        (json!({"suffix": "end"}), "suffix"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": -1}), "logprobs"),
        (json!({"temperature": 1e308}), "temperature"),
        (json!({"temperature": -0.1}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"min_p": -1}), "min_p"),
        (json!({"repeat_last_n": -2}), "repeat_last_n"),
        (json!({"frequency_penalty": 3}), "frequency_penalty"),
        (json!({"logit_bias": {"5": 1e308}}), "logit_bias"),
        (json!({"logit_bias": {"x": 1}}), "logit_bias"),
        (json!({"stop": vec!["a"; 17]}), "stop"),
        (json!({"mirostat": 2}), "mirostat"),
        (json!({"grammar": "root ::= ("}), "grammar"),
        (json!({"response_format": {"type": "xml"}}), "response_format"),
        (json!({"model": "nobody"}), "model"),
    ] {
        let mut body = json!({"prompt": PROMPT});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        let reply = post(PATH, &body).await;
        assert_eq!(
            reply.status,
            if param == "model" { 404 } else { 400 },
            "{body}: {}",
            reply.text()
        );
        check(&reply.json(), &[("/error/param", json!(param))]);
    }
}
