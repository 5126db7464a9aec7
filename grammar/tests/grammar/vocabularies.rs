//! Vocabularies, and constraints over tokens of several bytes.

use serde_json::json;
use siskin_grammar::{Constraint, ErrorKind, Form, TokenText, Vocabulary};

fn text(text: &str) -> TokenText {
    TokenText::Text(text.as_bytes().to_vec())
}

fn yes_or_no() -> Form {
    Form::Gbnf("root ::= \"yes\" | \"yeah\" | \"no\"".to_owned())
}

/// The tokens of the mask.
fn allowed(constraint: &mut Constraint, tokens: u32) -> Vec<u32> {
    let mask = constraint.mask().unwrap().to_vec();
    (0..tokens)
        .filter(|token| mask[*token as usize / 32] >> (token % 32) & 1 == 1)
        .collect()
}

#[test]
fn tokens_of_several_bytes_are_allowed_if_all_of_their_bytes_are() {
    let tokens = ["y", "ye", "yes", "yesterday", "no", "n", "o", "s", "eah", "x"].map(text);
    let vocabulary = Vocabulary::new(
        tokens.into_iter().chain([TokenText::Control, TokenText::Control]),
        &[10, 11],
    )
    .unwrap();
    let mut constraint = yes_or_no().compile(&vocabulary).unwrap();
    assert_eq!(allowed(&mut constraint, 12), [0, 1, 2, 4, 5]);
    assert!(!constraint.may_end() && !constraint.allows(10));
    constraint.accept(1).unwrap();
    let mut other = constraint.clone();
    constraint.accept(7).unwrap();
    // All end tokens, and nothing else.
    assert!(constraint.may_end() && constraint.must_end());
    assert_eq!(allowed(&mut constraint, 12), [10, 11]);
    constraint.accept(11).unwrap();
    assert!(constraint.must_end() && !constraint.allows(10));
    assert_eq!(constraint.accept(11).unwrap_err().kind(), ErrorKind::Token);
    assert_eq!(constraint.mask().unwrap_err().kind(), ErrorKind::Token);
    // The copy is where it was.
    assert!(!other.may_end() && other.allows(7) && !other.allows(4));
}

#[test]
fn two_tokens_of_the_same_text_are_both_allowed() {
    let vocabulary = Vocabulary::new(
        ["no", "no", "n"]
            .map(text)
            .into_iter()
            .chain([TokenText::Control]),
        &[3],
    )
    .unwrap();
    let mut constraint = yes_or_no().compile(&vocabulary).unwrap();
    assert_eq!(allowed(&mut constraint, 4), [0, 1, 2]);
    assert!(constraint.allows(0) && constraint.allows(1));
}

#[test]
fn control_tokens_and_bytes_that_are_no_text_are_never_allowed() {
    let odd = [
        TokenText::Control,
        TokenText::Text(vec![0xff]),
        TokenText::Text(b"a".repeat(600)),
        text(""),
    ];
    let tokens = odd.into_iter().chain([text("a"), TokenText::Control]);
    let vocabulary = Vocabulary::new(tokens, &[5]).unwrap();
    let mut constraint = Form::Gbnf("root ::= .*".to_owned()).compile(&vocabulary).unwrap();
    assert_eq!(allowed(&mut constraint, 6), [4, 5]);
    for token in [0, 1, 2, 3, 6, u32::MAX] {
        assert!(!constraint.allows(token), "{token}");
        assert_eq!(constraint.accept(token).unwrap_err().kind(), ErrorKind::Token);
    }
    // A refusal changes nothing.
    assert!(constraint.allows(4) && constraint.may_end());
}

#[test]
fn an_end_token_with_a_text_is_no_text() {
    let vocabulary = Vocabulary::new([text("a"), text("b")], &[1]).unwrap();
    let mut constraint = Form::Gbnf("root ::= \"a\" [ab]?".to_owned())
        .compile(&vocabulary)
        .unwrap();
    assert_eq!(allowed(&mut constraint, 2), [0]);
    constraint.accept(0).unwrap();
    constraint.accept(1).unwrap();
    assert!(constraint.must_end());
}

#[test]
fn what_is_no_vocabulary_is_refused() {
    let cases: [(Vec<TokenText>, &[u32]); 3] = [
        (vec![], &[]),
        (vec![text("a")], &[1]),
        (vec![TokenText::Text(vec![b'a'; 300]); 20_000], &[]),
    ];
    for (tokens, end) in cases {
        assert_eq!(
            Vocabulary::new(tokens, end).unwrap_err().kind(),
            ErrorKind::Vocabulary
        );
    }
    // Without an end token an answer ends by its length only.
    assert!(Vocabulary::new([text("a")], &[]).is_ok());
}

#[test]
fn forced_tokens_are_the_only_ones_that_may_come() {
    let tokens = [
        "{", "\"", "{\"", "name", "\": ", "\":", " ", "a", "n", "m", "e", ":", "}",
    ]
    .map(text);
    let vocabulary = Vocabulary::new(tokens.into_iter().chain([TokenText::Control]), &[13]).unwrap();
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    let mut constraint = Form::JsonSchema { schema, strict: true }
        .compile(&vocabulary)
        .unwrap();
    let forced = constraint.forced();
    assert_eq!(forced, [2, 3]);
    for token in forced {
        assert!(constraint.allows(token));
        constraint.accept(token).unwrap();
    }
    assert!(constraint.allows(4) && constraint.allows(5));
    assert!(constraint.forced().is_empty() || constraint.forced() == [1]);
}

#[test]
fn a_constraint_moves_between_threads_and_a_vocabulary_is_shared() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Send + Sync>() {}
    is_send::<Constraint>();
    is_sync::<Vocabulary>();
}
