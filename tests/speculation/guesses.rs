//! Guesses that are no tokens, and what a session says of its guesses.

use siskin::speculate::{History, Judge, Speculator};
use siskin::{Sampling, Token};

use super::{Habit, Room, Script, State, fixture, guess, has_kernels, tokens, write};

#[test]
fn guesses_that_no_vocabulary_has_are_not_computed() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-tied", "q8_0", out.path());
    let prompt = tokens(&model, 5, 1);
    let sampling = Sampling::greedy().max_tokens(24);
    let want = write(&mut Room::of(64).session(&model), &prompt, &sampling).expect("a text");
    for right in 0..=4 {
        // 0 is the vocabulary's length here.
        for id in [-1, i32::MIN, i32::MAX, 0] {
            let script = Script::default();
            let mut session = Room::of(64).session(&model);
            guess(&mut session, 7, Habit::ThenInvalid(right, id), &script);
            script.tell(&want.tokens);
            let found = write(&mut session, &prompt, &sampling).expect("a text");
            assert_eq!(found, want, "{id} after {right} right ones");
            let counts = session.speculator().expect("one").counts();
            // What was cut is neither counted nor held against those that were computed.
            assert_eq!(counts.accepted, counts.drafted, "{id}: {counts:?}");
            assert_eq!(counts.drafted > 0, right > 0, "{id}: {counts:?}");
        }
    }
}

#[test]
fn every_right_guess_is_kept_and_counted_and_no_wrong_one() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-spm", "q4_k_m", out.path());
    let prompt = tokens(&model, 5, 1);
    let sampling = Sampling::default().temp(0.7).seed(3).max_tokens(25);
    let want = write(&mut Room::of(64).session(&model), &prompt, &sampling).expect("a text");
    for most in 1..=7 {
        for (habit, share) in [
            (Habit::Right, most),
            (Habit::Wrong, 0),
            (Habit::RightThenWrong(1), 1),
        ] {
            let script = Script::default();
            let mut session = Room::of(64).session(&model);
            guess(&mut session, most, habit, &script);
            script.tell(&want.tokens);
            assert_eq!(write(&mut session, &prompt, &sampling).expect("a text"), want);
            assert!(script.was_asked());
            let counts = session.speculator().expect("one").counts();
            // The first token needs no pass; a pass gives one, and as many as were right.
            let passes = 24usize.div_ceil(share + 1);
            assert_eq!(counts.passes as usize, passes, "{most} {habit:?}: {counts:?}");
            assert_eq!(
                counts.accepted as usize,
                24 - passes,
                "{most} {habit:?}: {counts:?}"
            );
        }
    }
}

#[test]
fn guesses_begin_and_end_in_the_middle_of_a_text() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("gptneox-bpe", "q8_0", out.path());
    let prompt = tokens(&model, 5, 1);
    let sampling = Sampling::greedy().max_tokens(9);
    let mut plain = Room::of(200).session(&model);
    let mut guessing = Room::of(200).session(&model);
    for round in 0..6 {
        let speculator = || {
            let script = Script::default();
            script.tell(&[Token(1); 20]);
            Speculator::new(vec![Box::new(History::new())], Judge::always(5))
        };
        guessing
            .set_speculator((round % 3 != 2).then(speculator))
            .expect("a model that may guess");
        let prompt = &prompt[round % 2..];
        let want = write(&mut plain, prompt, &sampling).expect("a text");
        assert_eq!(write(&mut guessing, prompt, &sampling).expect("a text"), want);
        // In the middle of a run: what was guessed is taken out.
        guessing
            .set_speculator(None)
            .expect("nothing that could be refused");
        assert_eq!(State::of(&guessing), State::of(&plain), "round {round}");
    }
}
