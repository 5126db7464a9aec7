//! Byte-level BPE: the vocabulary and merges of `tokenizer.json` for GGUF's `gpt2` keys.

use std::collections::HashSet;

use super::ContentError;
use super::hf::{AddedToken, Merge, Model};
use super::tokens::Tokens;
use siskin_model::tokenizer::TokenType;

/// Returns the vocabulary with its added tokens, and the merges as GGUF writes them.
pub(super) fn read(
    model: Model,
    added: &[AddedToken],
    rows: u64,
) -> Result<(Tokens, Vec<String>), ContentError> {
    let affixes = [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ];
    for (name, affix) in affixes {
        if let Some(affix) = affix.as_ref().filter(|affix| !affix.is_empty()) {
            return Err(ContentError::Unsupported(format!(
                "the model's {name} {affix:?} is not supported"
            )));
        }
    }
    let mut tokens = Tokens::padding(rows);
    for (text, id) in model.vocab {
        let slot = slot(&tokens, id, &text)?;
        if let Some(before) = tokens.get(id) {
            return Err(twice(id, before, &text).into());
        }
        tokens.set(slot, text, TokenType::Normal);
    }
    for added in added {
        slot(&tokens, added.id, &added.content)?;
        match tokens.get(added.id) {
            Some(before) if before != added.content => {
                return Err(twice(added.id, before, &added.content).into());
            }
            _ => {}
        }
    }
    let merges = model.merges.into_iter().map(merge).collect();
    Ok((tokens, without_repeats(merges)))
}

/// Of a merge that is listed twice, the last place is its rank for the tokenizers library, the first for llama.cpp: only
/// the last stays.
fn without_repeats(mut merges: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::with_capacity(merges.len());
    let is_last: Vec<bool> = merges
        .iter()
        .rev()
        .map(|merge| seen.insert(merge.as_str()))
        .collect();
    let mut is_last = is_last.into_iter().rev();
    merges.retain(|_| is_last.next().unwrap_or(true));
    merges
}

/// The place of token `id`.
fn slot(tokens: &Tokens, id: u64, text: &str) -> Result<usize, String> {
    let rows = tokens.rows();
    if id >= rows {
        return Err(format!(
            "token {text:?} has id {id}, but vocab_size of config.json is {rows}; one of the two files is not this model's"
        ));
    }
    Ok(id as usize)
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

    fn read_json(
        merges: serde_json::Value,
        added: serde_json::Value,
        rows: u64,
    ) -> Result<(Tokens, Vec<String>), ContentError> {
        let model = json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": merges});
        let added: Vec<AddedToken> = serde_json::from_value(added).expect("added tokens");
        read(serde_json::from_value(model).expect("a model"), &added, rows)
    }

    #[test]
    fn of_a_merge_that_is_listed_twice_the_last_counts() {
        let merges = ["a b", "c d", "a b", "e f"].map(String::from).to_vec();
        assert_eq!(without_repeats(merges), ["c d", "a b", "e f"]);
    }

    #[test]
    fn tokens_merges_and_padding() {
        for merges in [json!(["a b"]), json!([["a", "b"]])] {
            let (tokens, merges) = read_json(merges, json!([]), 4).expect("a vocabulary");
            assert_eq!(tokens.texts, ["a", "b", "ab", "[PAD3]"]);
            assert_eq!(merges, ["a b"]);
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
            let error = read_json(json!([]), added, rows).expect_err(want).to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn affixes_are_refused_by_name() {
        for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
            for (affix, refused) in [("", false), ("##", true)] {
                let model = json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], name: affix});
                let model = serde_json::from_value(model).expect("a model");
                let got = read(model, &[], 4).map_err(|e| e.to_string());
                assert_eq!(
                    got.is_err_and(|error| error.contains(name)),
                    refused,
                    "{name} {affix:?}"
                );
            }
        }
    }
}
