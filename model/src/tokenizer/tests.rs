//! Small vocabularies, and what text becomes in them.

use super::*;
use crate::gguf::{Array, Metadata, Value};

/// A SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, the bytes, and `more` with types.
fn sentencepiece(more: &[(&str, TokenType)], keys: &[(&str, bool)]) -> Tokenizer {
    let special = [
        ("<unk>", TokenType::Unknown),
        ("<s>", TokenType::Control),
        ("</s>", TokenType::Control),
    ];
    let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let bytes = bytes.iter().map(|text| (text.as_str(), TokenType::Byte));
    let all: Vec<_> = special
        .into_iter()
        .chain(bytes)
        .chain(more.iter().copied())
        .collect();
    let mut metadata = Metadata::new();
    metadata.set("tokenizer.ggml.model", "llama");
    metadata.set(
        "tokenizer.ggml.tokens",
        all.iter().map(|row| row.0.to_owned()).collect::<Vec<_>>(),
    );
    metadata.set(
        "tokenizer.ggml.token_type",
        Value::Array(Array::I32(all.iter().map(|row| row.1 as i32).collect())),
    );
    let scores = (0..all.len()).map(|id| -(id as f32)).collect();
    metadata.set("tokenizer.ggml.scores", Value::Array(Array::F32(scores)));
    keys.iter().for_each(|&(key, on)| metadata.set(key, on));
    let outline = Outline::from_metadata(&metadata).expect("a vocabulary");
    Tokenizer::new(outline, &mut metadata).expect("a vocabulary")
}

/// The spellings of a text's tokens.
fn spelled(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let spellings = ids.iter().map(|&id| tokenizer.spelling(id).unwrap_or("?"));
    spellings.collect::<Vec<_>>().join("|")
}

const WORDS: [(&str, TokenType); 5] = [
    ("\u{2581}", TokenType::Normal),
    ("a", TokenType::Normal),
    ("\u{2581}a", TokenType::Normal),
    ("<sep>", TokenType::UserDefined),
    ("b", TokenType::Normal),
];

#[test]
fn spaces_as_the_file_wants_them() {
    const SPACE: &str = "tokenizer.ggml.add_space_prefix";
    const EXTRA: &str = "tokenizer.ggml.remove_extra_whitespaces";
    /// Keys, text, spellings of its tokens.
    type Case = (&'static [(&'static str, bool)], &'static str, &'static str);
    let cases: [Case; 10] = [
        (&[], "a a", "▁a|▁a"),
        (&[], " a  b ", "▁|▁a|▁|▁|b|▁"),
        (&[(SPACE, false)], "a a", "a|▁a"),
        (&[(EXTRA, true)], "  a   a ", "▁a|▁a"),
        (&[(EXTRA, true)], "   ", ""),
        (&[(EXTRA, true), (SPACE, false)], " a  b", "a|▁|b"),
        (&[], "a<sep>a<s>a", "▁a|<sep>|▁a|<s>|▁a"),
        (
            &[(PREFIX_AFTER_USER_DEFINED, false)],
            "a<sep>a<s>a",
            "▁a|<sep>|a|<s>|▁a",
        ),
        (
            &[(PREFIX_AFTER_SPECIAL, false)],
            "a<sep>a<s>a",
            "▁a|<sep>|a|<s>|a",
        ),
        (&[(PREFIX_AFTER_SPECIAL, false)], "<s>a", "<s>|a"),
    ];
    for (keys, text, want) in cases {
        let tokenizer = sentencepiece(&WORDS, keys);
        let ids = tokenizer.tokenize(text, false, true);
        assert_eq!(spelled(&tokenizer, &ids), want, "{keys:?} {text:?}");
    }
}

#[test]
fn text_in_the_middle_of_another_begins_without_a_space() {
    let tokenizer = sentencepiece(&WORDS, &[]);
    let id = |text: &str| tokenizer.tokens.find(text);
    for (last, want) in [
        (None, "▁a"),
        (id("<s>"), "▁a"),
        (id("<sep>"), "▁a"),
        (id("b"), "a"),
    ] {
        let ids = tokenizer
            .tokenize_after(last, "a", &|| false)
            .expect("not stopped");
        assert_eq!(spelled(&tokenizer, &ids), want, "{last:?}");
    }
}

#[test]
fn text_is_never_merged_into_a_control_token() {
    let more = [
        ("\u{2581}", TokenType::Normal),
        ("<", TokenType::Normal),
        ("</", TokenType::Normal),
        ("s>", TokenType::Normal),
        ("/", TokenType::Normal),
        ("s", TokenType::Normal),
        (">", TokenType::Normal),
        ("un", TokenType::Control),
        ("u", TokenType::Normal),
        ("n", TokenType::Control),
    ];
    let tokenizer = sentencepiece(&more, &[("tokenizer.ggml.add_space_prefix", false)]);
    for (text, want) in [("</s>", "</|s>"), ("un", "u|<0x6E>"), ("<s>", "<|s>")] {
        let ids = tokenizer.tokenize(text, false, false);
        assert_eq!(spelled(&tokenizer, &ids), want, "{text}");
    }
    let ids = tokenizer.tokenize("</s>un", false, true);
    assert_eq!(spelled(&tokenizer, &ids), "</s>|un");
}

#[test]
fn more_ends_than_llama_cpp_has_keys_for() {
    let with = |value: Value| {
        let mut metadata = Metadata::new();
        metadata.set("tokenizer.ggml.model", "llama");
        let texts = ["x", "<s>", "</s>", "<a>", "<b>"];
        metadata.set("tokenizer.ggml.tokens", texts.map(str::to_owned).to_vec());
        metadata.set(
            "tokenizer.ggml.token_type",
            Value::Array(Array::I32(vec![1, 3, 3, 4, 3])),
        );
        metadata.set(MORE_ENDS, value);
        let outline = Outline::from_metadata(&metadata)?;
        Tokenizer::new(outline, &mut metadata)
    };
    let tokenizer = with(Value::Array(Array::U32(vec![3, 4]))).expect("a vocabulary");
    let ends = (0..5).filter(|&id| tokenizer.is_eog(id));
    assert_eq!(ends.collect::<Vec<_>>(), [2, 3, 4]);
    // What ends a turn is no text.
    assert_eq!(tokenizer.token_type(3), Some(TokenType::Control));
    assert!(with(Value::Array(Array::U32(vec![5]))).is_none());
    assert!(with(Value::Bool(true)).is_none());
}

#[test]
fn many_long_special_tokens_cost_little() {
    let spellings: Vec<String> = (0..1000)
        .map(|id| format!("<{id:x}{}>", "x".repeat(4000)))
        .collect();
    let more: Vec<_> = spellings
        .iter()
        .map(|text| (text.as_str(), TokenType::Control))
        .collect();
    let tokenizer = sentencepiece(&more, &[]);
    let text = "hello <1xx> ".repeat(1000);
    for _ in 0..5 {
        assert!(tokenizer.tokenize(&text, false, true).len() > 1000);
    }
    assert_eq!(
        tokenizer
            .tokenize(&format!("a{}b", spellings[7]), false, true)
            .len(),
        9
    );
}
