//! Byte-level BPE: converts `tokenizer.json` to GGUF's `gpt2` keys.

use super::hf::{Merge, Processing, Tokenizer};
use super::{ContentError, Tokens, looks_special};
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::TokenType;

/// Returns the keys of the vocabulary and merges, and the parts of the file that the special tokens need.
pub(super) fn keys(json: Tokenizer, pre: &str, rows: u64) -> Result<(Metadata, Processing), ContentError> {
    let Tokenizer {
        model,
        added_tokens,
        post_processor,
        ..
    } = json;
    let processing = Processing {
        added_tokens,
        post_processor,
    };
    if model.kind.as_deref().is_some_and(|kind| kind != "BPE") || model.byte_fallback {
        return Err(ContentError::Unsupported(
            "not a byte-level BPE; a SentencePiece model needs its tokenizer.model in the same folder".into(),
        ));
    }
    let mut tokens = Tokens::padding(rows);
    let mut taken = vec![false; rows as usize];
    for (text, id) in model.vocab {
        let slot = take(&mut taken, id, &text)?;
        tokens.set(slot, text, TokenType::Normal);
    }
    for added in &processing.added_tokens {
        let slot = usize::try_from(added.id).ok().filter(|id| *id < taken.len());
        let slot = slot.ok_or_else(|| out_of_range(added.id, &added.content, rows))?;
        if taken[slot] && tokens.texts[slot] != added.content {
            return Err(twice(added.id, &tokens.texts[slot], &added.content).into());
        }
        taken[slot] = true;
        let special = added.special || looks_special(&added.content);
        let (ty, text) = if special {
            (TokenType::Control, added.content.clone())
        } else {
            (TokenType::UserDefined, added.content.replace('\u{2581}', " "))
        };
        tokens.set(slot, text, ty);
    }
    let mut keys = Metadata::new();
    keys.set("tokenizer.ggml.model", "gpt2");
    keys.set("tokenizer.ggml.pre", pre);
    keys.set("tokenizer.ggml.tokens", tokens.texts);
    keys.set("tokenizer.ggml.token_type", tokens.types);
    if !model.merges.is_empty() {
        keys.set(
            "tokenizer.ggml.merges",
            model.merges.into_iter().map(merge).collect::<Vec<_>>(),
        );
    }
    Ok((keys, processing))
}

/// Marks the slot of token `id` as taken.
fn take(taken: &mut [bool], id: u64, text: &str) -> Result<usize, String> {
    let rows = taken.len() as u64;
    let slot = usize::try_from(id).ok().filter(|slot| *slot < taken.len());
    let slot = slot.ok_or_else(|| out_of_range(id, text, rows))?;
    if std::mem::replace(&mut taken[slot], true) {
        return Err(format!(
            "two tokens have id {id}, one of them {text:?}; the file is damaged"
        ));
    }
    Ok(slot)
}

fn out_of_range(id: u64, text: &str, rows: u64) -> String {
    format!(
        "token {text:?} has id {id}, but vocab_size of config.json is {rows}; one of the two files is not this model's"
    )
}

fn twice(id: u64, first: &str, second: &str) -> String {
    format!("tokens {first:?} and {second:?} both have id {id}; the file is damaged")
}

/// A merge as GGUF writes it: the parts are separated by a space, and spaces within a part become U+0120.
fn merge(merge: Merge) -> String {
    match merge {
        Merge::Text(text) => text,
        Merge::Pair(a, b) => [a, b].map(|part| part.replace(' ', "\u{120}")).join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use siskin_model::gguf::{Array, Value};

    fn tokenizer(merges: serde_json::Value, added: serde_json::Value) -> Tokenizer {
        serde_json::from_value(json!({
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": merges},
            "added_tokens": added
        }))
        .expect("a tokenizer")
    }

    #[test]
    fn tokens_merges_and_padding() {
        let added = json!([
            {"id": 3, "content": "<s>", "special": true},
            {"id": 4, "content": "<|im_end|>", "special": false},
            {"id": 5, "content": "\u{2581}x", "special": false},
        ]);
        for merges in [json!(["a b"]), json!([["a", "b"]])] {
            let (keys, _) = keys(tokenizer(merges, added.clone()), "gpt-2", 8).expect("keys");
            let texts = ["a", "b", "ab", "<s>", "<|im_end|>", " x", "[PAD6]", "[PAD7]"]
                .map(str::to_owned)
                .to_vec();
            assert_eq!(keys.get("tokenizer.ggml.tokens"), Some(&Value::from(texts)));
            let types = Value::Array(Array::I32(vec![1, 1, 1, 3, 3, 4, 5, 5]));
            assert_eq!(keys.get("tokenizer.ggml.token_type"), Some(&types));
            assert_eq!(
                keys.get("tokenizer.ggml.merges"),
                Some(&Value::from(vec!["a b".to_owned()]))
            );
        }
        assert_eq!(merge(Merge::Pair("a ".into(), "b".into())), "a\u{120} b");
    }

    #[test]
    fn vocabularies_that_do_not_fit_are_refused() {
        let one = |id: u64, content: &str| json!([{"id": id, "content": content}]);
        let cases = [
            (one(8, "x"), 8, "token \"x\" has id 8, but vocab_size"),
            (one(1, "x"), 8, "tokens \"b\" and \"x\" both have id 1"),
            (json!([]), 2, "token \"ab\" has id 2"),
        ];
        for (added, rows, want) in cases {
            let error = keys(tokenizer(json!([]), added), "gpt-2", rows)
                .expect_err(want)
                .to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
