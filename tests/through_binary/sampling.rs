//! Penalties, as a program that embeds siskin sees them.

use siskin::{Model, Sampling, Session, Token, Tokenize};

/// The first token that is drawn after `before`, which was computed earlier, and `prompt`.
fn first(session: &mut Session, before: &[Token], prompt: &[Token], sampling: &Sampling) -> Token {
    session.truncate(0).expect("emptied");
    session.decode(before).expect("room");
    let mut generation = session.generate_from(prompt, sampling, None).expect("a text");
    while generation.tokens().is_empty() {
        generation.next().expect("more text").expect("a piece");
    }
    generation.tokens()[0]
}

#[test]
fn penalties_see_the_prompt_and_earlier_turns() {
    let model = Model::embedded().context(256).load().expect("loads");
    let mut session = model.session().expect("a session");
    let plain = Sampling::greedy().max_tokens(60);
    // A text in which the model repeats itself.
    let mut tokens = model.tokenize("Once upon a time", Tokenize::PROMPT);
    let start = tokens.len();
    let mut generation = session.generate_from(&tokens, &plain, None).expect("a text");
    generation
        .by_ref()
        .for_each(|piece| drop(piece.expect("a piece")));
    tokens.extend_from_slice(generation.tokens());
    let repeated = (start + 2..tokens.len()).find(|&at| tokens[..at - 1].contains(&tokens[at]));
    let at = repeated.expect("a word that came before");

    let mut penalized = plain.clone();
    (penalized.config.repeat_penalty, penalized.config.repeat_last_n) = (1e6, -1);
    let (before, last) = tokens[..at].split_at(at - 1);
    for (before, prompt) in [(&[][..], &tokens[..at]), (before, last)] {
        assert_eq!(first(&mut session, before, prompt, &plain), tokens[at]);
        let drawn = first(&mut session, before, prompt, &penalized);
        assert!(!tokens[..at].contains(&drawn), "{drawn:?} came before");
        let mut forgetful = penalized.clone();
        forgetful.config.repeat_last_n = 0;
        assert_eq!(first(&mut session, before, prompt, &forgetful), tokens[at]);
    }
}
