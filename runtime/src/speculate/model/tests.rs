//! The embedded storyteller guesses for itself.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use super::*;
use crate::engine::{ContextOptions, LoadOptions, Model, STORYTELLER, Tokenize};

fn model() -> Model {
    Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model")
}

fn session(model: &Model, context: u32) -> Session {
    let mut options = ContextOptions {
        context: Some(context),
        ..ContextOptions::default()
    };
    // Threads of tests that run beside each other would wait for each other.
    (options.values.threads, options.values.threads_batch) = (1, 1);
    Session::new(model, options).expect("a session")
}

fn drafter(model: &Model) -> DraftModel {
    let common = model.agreement(model).expect("itself").common;
    DraftModel::new(session(model, 256), common)
}

fn always(_: &[(Token, Bucket)]) -> bool {
    true
}

fn guesses(drafter: &mut DraftModel, most: usize) -> Vec<Token> {
    let draft = drafter.propose(most, &always);
    assert_eq!(draft.source, Source::Model);
    draft.tokens.iter().map(|(token, _)| *token).collect()
}

fn prompt(model: &Model) -> Vec<Token> {
    model.tokenize("Once upon a time there was a king", Tokenize::TEXT)
}

/// A prompt, and `count` tokens after it, each the most likely, computed one by one.
fn greedy(model: &Model, count: usize) -> (Vec<Token>, Vec<Token>) {
    let prompt = prompt(model);
    let mut session = session(model, 256);
    session.decode(&prompt).expect("room");
    let mut text = Vec::new();
    while text.len() < count {
        let token = argmax(session.logits().expect("logits"));
        assert!(!model.is_eog(token), "a longer text is needed");
        session.decode(&[token]).expect("room");
        text.push(token);
    }
    (prompt, text)
}

#[test]
fn its_guesses_are_its_greedy_text_however_many_are_accepted() {
    let model = model();
    let (prompt, text) = greedy(&model, 60);
    let mut drafter = drafter(&model);
    drafter.observe(&prompt);
    assert!(drafter.session.is_empty(), "it reads nothing before it is asked");
    let mut at = 0;
    for (most, accepted) in [
        (7, 8),
        (3, 1),
        (1, 2),
        (5, 2),
        (7, 8),
        (7, 1),
        (2, 3),
        (4, 12),
        (7, 1),
    ] {
        let guessed = guesses(&mut drafter, most);
        assert_eq!(guessed, text[at..at + most], "{at}");
        drafter.observe(&text[at..at + accepted]);
        at += accepted;
    }
}

#[test]
fn what_is_forgotten_was_never_read() {
    let model = model();
    let (prompt, text) = greedy(&model, 20);
    let mut drafter = drafter(&model);
    drafter.observe(&prompt);
    drafter.observe(&model.tokenize(" and a dragon", Tokenize::PLAIN));
    let other = guesses(&mut drafter, 4);
    drafter.forget(prompt.len());
    assert_eq!(guesses(&mut drafter, 7), text[..7]);
    drafter.forget(prompt.len());
    drafter.observe(&text[..5]);
    assert_eq!(guesses(&mut drafter, 7), text[5..12]);
    assert_ne!(other, text[..4]);
    drafter.forget(0);
    assert_eq!(guesses(&mut drafter, 7), [], "nothing comes after nothing");
}

#[test]
fn it_asks_after_each_token_and_guesses_no_more_than_it_may() {
    let model = model();
    let mut drafter = drafter(&model);
    drafter.observe(&prompt(&model));
    let asked = RefCell::new(Vec::new());
    let draft = drafter.propose(5, &|tokens| {
        asked.borrow_mut().push(tokens.len());
        tokens.len() < 3
    });
    assert_eq!(draft.tokens.len(), 3);
    assert_eq!(asked.into_inner(), [1, 2, 3]);
    for most in [0, 1, 2] {
        assert_eq!(guesses(&mut drafter, most).len(), most);
    }
    assert!(drafter.seconds() > 0.0 && drafter.seconds_each() > 0.0);
    assert!(drafter.seconds() >= drafter.seconds_each());
    for (_, bucket) in draft.tokens {
        assert!((0.1..1.0).contains(&drafter.prior(bucket)));
    }
}

#[test]
fn tokens_that_both_do_not_have_are_neither_read_nor_guessed() {
    let model = model();
    let (prompt, text) = greedy(&model, 20);
    // The larger model has more tokens, and draws them in between.
    let mut drafter = drafter(&model);
    let (before, after) = prompt.split_at(3);
    let foreign = [Token(i32::MAX), Token(-1), Token(drafter.common as i32)];
    drafter.observe(before);
    drafter.observe(&foreign);
    drafter.observe(after);
    assert_eq!(guesses(&mut drafter, 7), text[..7]);
    // The first token that is not common ends the guesses.
    let limit = text.iter().map(|token| token.0).max().expect("tokens");
    let first = text.iter().position(|token| token.0 == limit).expect("there");
    let mut limited = DraftModel::new(session(&model, 256), limit.unsigned_abs());
    assert!(prompt.iter().all(|token| token.0 < limit), "the prompt is common");
    limited.observe(&prompt);
    assert_eq!(guesses(&mut limited, 20), text[..first]);
    // No more tokens than the model has.
    assert_eq!(
        DraftModel::new(session(&model, 16), u32::MAX).common,
        drafter.common
    );
}

#[test]
fn a_full_context_ends_the_guesses() {
    let model = model();
    let (prompt, text) = greedy(&model, 20);
    let context = prompt.len() + 4;
    let mut drafter = DraftModel::new(session(&model, context as u32), u32::MAX);
    drafter.observe(&prompt);
    // The logits after the last token give one more.
    assert_eq!(guesses(&mut drafter, 7), text[..5]);
    drafter.observe(&text[..4]);
    assert_eq!(guesses(&mut drafter, 7), text[4..5]);
    drafter.observe(&text[4..5]);
    assert_eq!(guesses(&mut drafter, 7), []);
    drafter.forget(prompt.len());
    assert_eq!(guesses(&mut drafter, 3), text[..3]);
    assert!(!drafter.failed);
}

#[test]
fn it_stops_when_it_is_told_to() {
    let model = model();
    let (prompt, text) = greedy(&model, 20);
    let mut drafter = drafter(&model);
    static FLAG: AtomicBool = AtomicBool::new(true);
    drafter.stop_on(&FLAG);
    drafter.observe(&prompt);
    assert_eq!(guesses(&mut drafter, 7), []);
    FLAG.store(false, Ordering::Relaxed);
    assert_eq!(guesses(&mut drafter, 7), text[..7]);
}

#[test]
fn logits_become_a_token_and_its_probability() {
    /// Logits, and the token with its probability.
    type Case<'a> = (&'a [f32], Option<(i32, f64)>);
    let cases: [Case<'_>; 7] = [
        (&[0.0, 0.0], Some((0, 0.5))),
        (&[2.0, 2.0 + f32::ln(3.0), f32::NEG_INFINITY], Some((1, 0.75))),
        (&[-1e30, 5.0], Some((1, 1.0))),
        (&[f32::NEG_INFINITY; 2], None),
        (&[f32::INFINITY, 0.0], None),
        (&[f32::NAN, 0.0], None),
        (&[], None),
    ];
    for (logits, want) in cases {
        let found = likeliest(logits);
        assert_eq!(found.map(|it| it.0.0), want.map(|it| it.0), "{logits:?}");
        if let (Some(found), Some(want)) = (found, want) {
            assert!((found.1 - want.1).abs() < 1e-6, "{logits:?}: {found:?}");
        }
    }
    let shares = [0.0, 0.299, 0.3, 0.5, 0.69, 0.7, 0.85, 0.95, 1.0];
    assert_eq!(shares.map(|share| bucket(share).0), [0, 0, 1, 2, 2, 3, 4, 5, 5]);
    assert!(PRIORS.is_sorted());
}
