//! Tiny vocabularies; `quant/tests/vocabularies.rs` has those of real models.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::gguf::{Array, Metadata, Value};
use crate::tokenizer::Outline;

/// Texts with a letter before each: `t`ext, `c`ontrol, `b`yte, `p`adding, `u`ser-defined, `?` unknown.
type Tokens = &'static [&'static str];

const WORDS: Tokens = &["?<unk>", "c<s>", "c</s>", "b<0x0A>", "ta", "tb", "tab"];

fn header(tokens: &[&str], more: &[(&str, Value)]) -> Metadata {
    let kind = |token: &&str| match &token[..1] {
        "t" => TokenType::Normal,
        "c" => TokenType::Control,
        "b" => TokenType::Byte,
        "p" => TokenType::Unused,
        "u" => TokenType::UserDefined,
        _ => TokenType::Unknown,
    };
    let mut metadata = Metadata::new();
    metadata.set("tokenizer.ggml.model", "llama");
    let texts = tokens.iter().map(|token| token[1..].to_owned());
    metadata.set("tokenizer.ggml.tokens", texts.collect::<Vec<_>>());
    let types = tokens.iter().map(|token| kind(token) as i32);
    metadata.set(
        "tokenizer.ggml.token_type",
        Value::Array(Array::I32(types.collect())),
    );
    for (key, value) in more {
        metadata.set(format!("tokenizer.ggml.{key}"), value.clone());
    }
    metadata
}

fn listed(tokens: &[&str], more: &[(&str, Value)]) -> Listed {
    Listed::from_metadata(&header(tokens, more)).expect("a vocabulary")
}

fn agree(common: u32, only_target: u32, only_draft: u32) -> Result<Agreement, String> {
    Ok(Agreement {
        common,
        only_target,
        only_draft,
    })
}

fn with(tokens: Tokens, more: &[&'static str]) -> Vec<&'static str> {
    tokens.iter().chain(more).copied().collect()
}

fn put(id: usize, token: &'static str) -> Vec<&'static str> {
    let mut tokens = WORDS.to_vec();
    tokens[id] = token;
    tokens
}

#[test]
fn texts_decide() {
    let no = |text: &str| Err(text.to_owned());
    let cases = [
        (WORDS.to_vec(), WORDS.to_vec(), agree(7, 0, 0)),
        // Padding of any length and spelling, at the end or in between.
        (
            with(WORDS, &["p[PAD7]", "p[PAD8]"]),
            WORDS.to_vec(),
            agree(7, 0, 0),
        ),
        (
            with(WORDS, &["t[PAD7]", "t[PAD8]]"]),
            with(WORDS, &["p<unused>"]),
            agree(7, 0, 0),
        ),
        (put(5, "p<hole>"), WORDS.to_vec(), agree(7, 0, 0)),
        (WORDS.to_vec(), put(5, "p<hole>"), agree(7, 0, 0)),
        // Tokens that a fine-tune adds, also in the place of padding.
        (
            with(WORDS, &["c<|user|>", "c<|bot|>"]),
            with(WORDS, &["p[PAD7]", "p[PAD8]", "p[PAD9]"]),
            agree(7, 2, 0),
        ),
        (WORDS.to_vec(), with(WORDS, &["t[PAD8]"]), agree(7, 0, 1)),
        (
            with(WORDS, &["c<|user|>"]),
            with(WORDS, &["c<|bot|>"]),
            no("token 7 is \"<|user|>\" in the target and \"<|bot|>\" in the draft; 1 of 8 tokens differ"),
        ),
        // The same text, drawn the same way, whatever a converter calls it.
        (put(4, "ua"), WORDS.to_vec(), agree(7, 0, 0)),
        (put(0, "c<unk>"), WORDS.to_vec(), agree(7, 0, 0)),
        (
            put(4, "ca"),
            WORDS.to_vec(),
            no(
                "token 4 is \"a\", a control token, in the target and \"a\", text, in the draft; 1 of 7 tokens \
                differ",
            ),
        ),
        (
            WORDS.to_vec(),
            put(3, "t<0x0A>"),
            no(
                "token 3 is \"<0x0A>\", a byte, in the target and \"<0x0A>\", text, in the draft; 1 of 7 tokens \
                differ",
            ),
        ),
        // Another order is another vocabulary.
        (
            WORDS.to_vec(),
            vec!["?<unk>", "c<s>", "c</s>", "b<0x0A>", "tb", "ta", "tab"],
            no("token 4 is \"a\" in the target and \"b\" in the draft; 2 of 7 tokens differ"),
        ),
        (
            WORDS.to_vec(),
            WORDS[..3].to_vec(),
            no("the target has 7 tokens and the draft 3; only 3 are in both"),
        ),
        (WORDS.to_vec(), WORDS[..4].to_vec(), agree(4, 3, 0)),
        (
            vec!["p", "p<s>", "p[PAD2]"],
            vec!["pa", "pb", "pc"],
            no("the target has 0 tokens and the draft 0; only 0 are in both"),
        ),
    ];
    for (target, draft, want) in cases {
        let found = agreement(&listed(&target, &[]), &listed(&draft, &[]));
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, want, "{target:?} {draft:?}");
    }
}

#[test]
fn ends_and_beginnings_must_agree() {
    /// The target's keys, and what comes of it.
    type Case<'a> = (&'a [(&'a str, Value)], Result<Agreement, String>);
    let cases: [Case<'_>; 6] = [
        (&[], agree(7, 0, 0)),
        (&[("eos_token_id", Value::U32(2))], agree(7, 0, 0)),
        (
            &[("eot_token_id", Value::U32(5))],
            Err("token 5 \"b\" ends a text in the target, and not in the draft".into()),
        ),
        (
            &[("bos_token_id", Value::U32(0))],
            Err("texts begin with token 0 in the target and with token 1 in the draft".into()),
        ),
        (
            &[("add_bos_token", Value::Bool(false))],
            Err("texts begin with no token in the target and with token 1 in the draft".into()),
        ),
        // Tokens for which the draft has none end no text in it.
        (&[("eot_token_id", Value::U32(7))], agree(7, 1, 0)),
    ];
    for (keys, want) in cases {
        let target = with(WORDS, &["c<|turn|>"]);
        let target = if want == agree(7, 1, 0) { &target } else { WORDS };
        let found = agreement(&listed(target, keys), &listed(WORDS, &[]));
        let found = found.map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Mismatch);
            error.to_string()
        });
        assert_eq!(found, want, "{keys:?}");
    }
    let (target, draft) = (
        listed(WORDS, &[]),
        listed(WORDS, &[("eot_token_id", Value::U32(5))]),
    );
    let error = agreement(&target, &draft).expect_err("another end");
    assert_eq!(
        error.to_string(),
        "token 5 \"b\" ends a text in the draft, and not in the target"
    );
}

/// A file's text is as long as it likes, and may steer a terminal.
#[test]
fn what_is_named_is_short_and_harmless() {
    let long = format!("t\u{1b}[2J{}", "x".repeat(4000));
    let mut tokens = WORDS.to_vec();
    tokens[4] = &long;
    let error = agreement(&listed(&tokens, &[]), &listed(WORDS, &[])).expect_err("another token");
    let text = error.to_string();
    assert!(text.len() < 200 && text.contains("\\u{1b}[2Jxxx"), "{text}");
}

#[test]
fn a_header_and_its_tokenizer_are_the_same_vocabulary() {
    let bytes: Vec<String> = (0..=255).map(|byte| format!("b<0x{byte:02X}>")).collect();
    let mut tokens = vec!["?<unk>", "c<s>", "c</s>"];
    tokens.extend(bytes.iter().map(String::as_str));
    tokens.extend(["ta", "t<|im_end|>", "p[PAD261]", "u<sep>", "p[PAD263]"]);
    let mut metadata = header(&tokens, &[]);
    let listed = Listed::from_metadata(&metadata).expect("a vocabulary");
    let outline = Outline::from_metadata(&metadata).expect("a vocabulary");
    let own = Tokenizer::new(outline, &mut metadata).expect("a vocabulary");
    assert_eq!(Vocabulary::len(&own), listed.len());
    assert_eq!(Vocabulary::bos(&own), listed.bos());
    for id in 0..=listed.len() {
        assert_eq!(Vocabulary::text(&own, id), listed.text(id));
        assert_eq!(Vocabulary::token_type(&own, id), listed.token_type(id));
        assert_eq!(Vocabulary::is_eog(&own, id), listed.is_eog(id));
    }
    assert!(listed.is_eog(260), "it is known by its spelling");
    for pair in [
        (&own as &dyn Vocabulary, &listed as &dyn Vocabulary),
        (&listed, &own),
    ] {
        assert_eq!(
            agreement(pair.0, pair.1).map_err(|error| error.to_string()),
            agree(263, 0, 0)
        );
    }
}

#[test]
fn headers_without_a_vocabulary_have_none() {
    let mut no_tokens = Metadata::new();
    no_tokens.set("tokenizer.ggml.model", "llama");
    let cases = [
        Metadata::new(),
        no_tokens,
        header(&["ta"], &[]),
        header(WORDS, &[("model", Value::U32(1))]),
        header(WORDS, &[("model", Value::String("gpt2".into()))]),
        header(WORDS, &[("eos_token_id", Value::Bool(true))]),
        header(WORDS, &[("token_type", Value::Array(Array::I32(vec![1])))]),
    ];
    for metadata in cases {
        assert!(Listed::from_metadata(&metadata).is_none(), "{metadata:?}");
    }
}

/// A header that was not checked: texts twice, empty, with a NUL, ids outside.
fn unchecked() -> impl Strategy<Value = Metadata> {
    const TEXTS: [&str; 12] = [
        "t<unk>",
        "c<s>",
        "c</s>",
        "b<0x0A>",
        "ta",
        "t",
        "t\0",
        "ta\0b",
        "p[PAD3]",
        "t[PAD18446744073709551616]",
        "u<|im_end|>",
        "?[EOS]",
    ];
    const KEYS: [&str; 6] = [
        "bos_token_id",
        "eos_token_id",
        "eot_token_id",
        "padding_token_id",
        "fim_pad_token_id",
        "add_bos_token",
    ];
    let value = prop_oneof![
        8 => (0..44u32).prop_map(Value::U32),
        1 => Just(Value::U32(u32::MAX)),
        1 => any::<bool>().prop_map(Value::Bool),
    ];
    let keys = vec((select(&KEYS[..]), value), 0..4);
    let tokens = vec(select(&TEXTS[..]), 0..40);
    (tokens, keys, any::<bool>()).prop_map(|(tokens, mut keys, is_byte_level)| {
        if is_byte_level {
            keys.push(("model", Value::String("gpt2".into())));
        }
        header(&tokens, &keys)
    })
}

proptest! {
    #[test]
    fn no_header_breaks_the_comparison(one in unchecked(), other in unchecked()) {
        let (Some(one), Some(other)) = (Listed::from_metadata(&one), Listed::from_metadata(&other)) else {
            return Ok(());
        };
        match agreement(&one, &one) {
            Ok(found) => prop_assert_eq!((found.only_target, found.only_draft), (0, 0)),
            Err(error) => prop_assert!(matches!(error, Disagreement::TooFew { common: 0, .. }), "{}", error),
        }
        match agreement(&one, &other) {
            Ok(found) => prop_assert!(found.common <= one.len().min(other.len())),
            Err(error) => prop_assert!(error.to_string().len() < 400),
        }
    }
}
