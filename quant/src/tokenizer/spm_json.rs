//! A SentencePiece vocabulary that comes as `tokenizer.json` alone.
//!
//! tokenizers writes such a model as BPE with byte fallback: a list of merges instead of scores. Both give the same
//! tokens if every pair of tokens that spells a token is a merge, and if the merges into one token follow each other:
//! the token's score is then the place of its merges.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::ContentError;
use super::hf::{Merge, Tokenizer};
use super::tokens::Tokens;
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::{PREFIX_AFTER_SPECIAL, TokenType};

/// What SentencePiece writes for a space.
const SPACE: &str = "\u{2581}";

/// True for a BPE that spells unknown characters in bytes, as SentencePiece does.
pub(super) fn is_one(json: &Tokenizer) -> bool {
    json.model.kind.as_deref().unwrap_or("BPE") == "BPE" && json.model.byte_fallback
}

/// Returns the vocabulary, padded to `rows` tokens, and the keys of its settings.
pub(super) fn read(json: &Tokenizer, rows: u64) -> Result<(Tokens, Metadata), ContentError> {
    let unknown = json.model.unk_token.as_deref();
    let mut tokens = Tokens::padding(rows).with_scores();
    let (scores, halves) = scores(&json.model.merges)?;
    for (text, &id) in &json.model.vocab {
        if id >= rows {
            return Err(ContentError::Damaged(format!(
                "token {text:?} has id {id}, but vocab_size of config.json is {rows}; one of the two files is not this model's"
            )));
        }
        if let Some(before) = tokens.get(id) {
            return Err(ContentError::Damaged(format!(
                "tokens {before:?} and {text:?} both have id {id}; the file is damaged"
            )));
        }
        let ty = match text.as_str() {
            text if Some(text) == unknown => TokenType::Unknown,
            text if is_byte(text) => TokenType::Byte,
            _ => TokenType::Normal,
        };
        tokens.set(id as usize, text.clone(), ty);
        tokens.set_score(
            id as usize,
            scores.get(text.as_str()).copied().unwrap_or_default(),
        );
    }
    let missing = (0..=u8::MAX).find(|byte| !json.model.vocab.contains_key(&format!("<0x{byte:02X}>")));
    if let Some(byte) = missing {
        return Err(unlike(&format!("has no token for byte {byte}")));
    }
    let added: HashSet<&str> = json
        .added_tokens
        .iter()
        .map(|token| token.content.as_str())
        .collect();
    let is_piece =
        |text: &str| json.model.vocab.contains_key(text) && !added.contains(text) && !is_byte(text);
    for text in json.model.vocab.keys().filter(|text| is_piece(text)) {
        let cuts = text.char_indices().map(|(at, _)| at).skip(1);
        let mut pairs = cuts
            .map(|at| text.split_at(at))
            .filter(|pair| is_piece(pair.0) && is_piece(pair.1));
        if let Some((left, right)) = pairs.find(|pair| !halves.contains(pair)) {
            return Err(unlike(&format!(
                "has the token {text:?}, but no merge of {left:?} and {right:?}"
            )));
        }
    }
    let inner_space = |text: &&String| is_piece(text) && text.chars().skip(1).any(|c| SPACE.starts_with(c));
    let keys = settings(json, json.model.vocab.keys().find(inner_space).is_some())?;
    Ok((tokens, keys))
}

/// Pairs of tokens that are merged.
type Halves<'a> = HashSet<(&'a str, &'a str)>;

/// The scores of the tokens that merges make, and all merges.
fn scores(merges: &[Merge]) -> Result<(HashMap<String, f32>, Halves<'_>), ContentError> {
    let mut scores: HashMap<String, f32> = HashMap::new();
    let mut halves = HashSet::with_capacity(merges.len());
    let mut last = String::new();
    for (rank, merge) in merges.iter().enumerate() {
        let pair = match merge {
            Merge::Pair(left, right) => Some((left.as_str(), right.as_str())),
            Merge::Text(text) => text.split_once(' '),
        };
        let Some((left, right)) = pair else {
            return Err(ContentError::Damaged(format!("merge {rank} has no two halves")));
        };
        halves.insert((left, right));
        let both = [left, right].concat();
        if both == last {
            continue;
        }
        // Ranks below 2^24 are exact as f32; `validate` allows fewer tokens.
        if scores.insert(both.clone(), -(rank as f32)).is_some() {
            return Err(unlike(&format!(
                "makes {both:?} in two places of its list of merges"
            )));
        }
        last = both;
    }
    Ok((scores, halves))
}

/// The keys for how spaces are written. `inner_spaces` is true if tokens have spaces after other text.
fn settings(json: &Tokenizer, inner_spaces: bool) -> Result<Metadata, ContentError> {
    let mut prefix = false;
    let mut escapes = false;
    let mut first_only = false;
    for step in steps(&json.normalizer, "normalizers") {
        match step["type"].as_str() {
            Some("Prepend") if step["prepend"] == SPACE => prefix = true,
            Some("Replace") if step["pattern"]["String"] == " " && step["content"] == SPACE => escapes = true,
            _ => return Err(unlike(&format!("has the normalizer {}", named(step)))),
        }
    }
    for step in steps(&json.pre_tokenizer, "pretokenizers") {
        let is_metaspace = step["type"] == "Metaspace" && step["replacement"] == SPACE;
        if !is_metaspace {
            return Err(unlike(&format!("has the pre-tokenizer {}", named(step))));
        }
        // If words are split, no token may go across a space.
        if step["split"] != false && inner_spaces {
            return Err(unlike(
                "splits words before its tokens with inner spaces could be found",
            ));
        }
        escapes = true;
        first_only = step["prepend_scheme"] == "first";
        prefix |= match step["prepend_scheme"].as_str() {
            Some(scheme) => scheme != "never",
            None => step["add_prefix_space"] != false,
        };
    }
    if !escapes {
        return Err(unlike("does not replace spaces"));
    }
    let mut keys = Metadata::new();
    if !prefix {
        keys.set("tokenizer.ggml.add_space_prefix", false);
    }
    if prefix && first_only {
        keys.set(PREFIX_AFTER_SPECIAL, false);
    }
    Ok(keys)
}

/// The steps of a sequence, or the one step.
fn steps<'a>(json: &'a Option<Value>, list: &str) -> impl Iterator<Item = &'a Value> {
    let json = json.as_ref().filter(|json| !json.is_null());
    let sequence = json.and_then(|json| json[list].as_array());
    let one = json.filter(|_| sequence.is_none());
    sequence.into_iter().flatten().chain(one)
}

fn named(step: &Value) -> &str {
    step["type"].as_str().unwrap_or("of an unknown type")
}

fn is_byte(text: &str) -> bool {
    let hex = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok())
}

fn unlike(what: &str) -> ContentError {
    ContentError::Unsupported(format!(
        "this SentencePiece vocabulary {what}, so it cannot be converted from tokenizer.json; get the model's tokenizer.model"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn tokenizer(merges: Value, more: &[&str], normalizer: Value, pre: Value) -> Tokenizer {
        let texts = ["<unk>", "<s>"].into_iter().map(str::to_owned);
        let texts = texts.chain((0..256).map(|byte| format!("<0x{byte:02X}>")));
        let texts = texts.chain(["\u{2581}", "a", "b", "ab", "\u{2581}ab", "\u{2581}a"].map(str::to_owned));
        let texts = texts.chain(more.iter().map(|&text| text.to_owned()));
        let vocab: Map<String, Value> = texts.zip(0u64..).map(|(text, id)| (text, id.into())).collect();
        serde_json::from_value(json!({
            "normalizer": normalizer, "pre_tokenizer": pre,
            "added_tokens": [{"id": 1, "content": "<s>", "special": true}],
            "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "vocab": vocab, "merges": merges}
        }))
        .expect("a tokenizer")
    }

    fn all() -> Value {
        json!([
            ["a", "b"],
            ["\u{2581}a", "b"],
            ["\u{2581}", "ab"],
            ["\u{2581}", "a"]
        ])
    }

    fn metaspace(scheme: &str, split: bool) -> Value {
        json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split})
    }

    #[test]
    fn both_forms_are_read() {
        let prepend = json!({"type": "Prepend", "prepend": SPACE});
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let both = json!({"type": "Sequence", "normalizers": [prepend, replace]});
        let cases = [
            (both, Value::Null, true),
            (replace, Value::Null, false),
            (Value::Null, metaspace("first", false), true),
            (Value::Null, metaspace("always", true), true),
            (Value::Null, metaspace("never", false), false),
            (
                Value::Null,
                json!({"type": "Metaspace", "replacement": SPACE, "add_prefix_space": false}),
                false,
            ),
        ];
        for (normalizer, pre, prefix) in cases {
            let first = pre["prepend_scheme"] == "first";
            let json = tokenizer(all(), &[], normalizer.clone(), pre.clone());
            let (tokens, keys) = read(&json, 300).expect("a vocabulary");
            let prefixes = keys.get("tokenizer.ggml.add_space_prefix").is_none();
            let only_first = keys.get(PREFIX_AFTER_SPECIAL).is_some();
            assert_eq!((prefixes, only_first), (prefix, first), "{normalizer} {pre}");
            assert!(tokens.is_a(0, TokenType::Unknown) && tokens.is_a(2, TokenType::Byte));
            let mut keys = Metadata::new();
            let id = |text: &str| usize::try_from(tokens.find(text).expect(text)).expect("an id");
            let order = ["ab", "\u{2581}ab", "\u{2581}a"].map(id);
            tokens.into_keys(&mut keys);
            let Some(siskin_model::gguf::Value::Array(siskin_model::gguf::Array::F32(scores))) =
                keys.get("tokenizer.ggml.scores")
            else {
                panic!("no scores");
            };
            assert!(order.map(|id| scores[id]).is_sorted_by(|a, b| a > b));
        }
    }

    #[test]
    fn what_scores_cannot_say_is_refused() {
        let first = || metaspace("first", false);
        let lower = json!({"type": "Lowercase"});
        let cases = [
            (
                json!([["a", "b"], ["\u{2581}", "a"]]),
                vec![],
                Value::Null,
                first(),
                "no merge of",
            ),
            (
                json!([
                    ["a", "b"],
                    ["\u{2581}a", "b"],
                    ["\u{2581}", "a"],
                    ["\u{2581}", "ab"]
                ]),
                vec![],
                Value::Null,
                first(),
                "two places",
            ),
            (json!(["ab"]), vec![], Value::Null, first(), "two halves"),
            (all(), vec![], lower, first(), "normalizer Lowercase"),
            (
                all(),
                vec![],
                Value::Null,
                json!({"type": "ByteLevel"}),
                "pre-tokenizer ByteLevel",
            ),
            (all(), vec![], Value::Null, Value::Null, "does not replace spaces"),
            (
                all(),
                vec!["x\u{2581}y"],
                Value::Null,
                metaspace("first", true),
                "inner spaces",
            ),
        ];
        for (merges, more, normalizer, pre, want) in cases {
            let json = tokenizer(merges, &more, normalizer, pre);
            let error = read(&json, 300).expect_err(want).to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
