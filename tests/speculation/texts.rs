//! Texts of every kind of model, and where they end.

use std::sync::atomic::{AtomicBool, Ordering};

use siskin::device::settings::CacheType;
use siskin::{Model, Sampling, Session, StopReason, Token};

use super::{Habit, Room, Script, State, TYPES, fixture, guess, has_kernels, load, samplings, tokens, write};
use crate::PROGRAM;

/// Compares a text with guesses to one without, and what comes after it.
fn compare(
    model: &Model,
    room: Room,
    (most, habit): (usize, Habit),
    prompt: &[Token],
    sampling: &Sampling,
) -> Option<StopReason> {
    let script = Script::default();
    let mut plain = room.session(model);
    let mut guessing = room.session(model);
    guess(&mut guessing, most, habit, &script);
    // What would come if nothing ended the text before: guesses reach beyond its end.
    let mut longer = sampling.clone();
    (longer.stop, longer.max_tokens) = (vec![], Some(48));
    let next = write(&mut room.session(model), prompt, &longer).expect("a text");
    script.tell(&next.tokens);
    let want = write(&mut plain, prompt, sampling).expect("a text");
    let found = write(&mut guessing, prompt, sampling).expect("a text");
    let case = format!("{room:?} {most} {habit:?} {sampling:?}");
    assert_eq!(found, want, "{case}");
    assert_eq!(State::of(&guessing), State::of(&plain), "{case}");
    // The session goes on, with a token of its own or without.
    let more = tokens(model, usize::from(want.tokens.len().is_multiple_of(2)), 5);
    let short = Sampling::greedy().max_tokens(3);
    let again = |session: &mut Session| write(session, &more, &short).map_err(|error| error.to_string());
    assert_eq!(again(&mut guessing), again(&mut plain), "{case}, continued");
    assert_eq!(State::of(&guessing), State::of(&plain), "{case}, continued");
    want.stop
}

/// One to seven guesses, in turns with as many habits as there are.
fn ways() -> impl Iterator<Item = (usize, Habit)> {
    Habit::ALL
        .into_iter()
        .cycle()
        .enumerate()
        .map(|(at, habit)| (at % 7 + 1, habit))
}

#[test]
fn texts_of_every_model_and_type_are_the_same() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut ways = ways();
    let mut samplings = samplings().into_iter().cycle();
    let mut threads = (1..=4).cycle();
    // Half of the types of each model: those of two models together are all.
    let mut types = TYPES.into_iter().cycle();
    for dir in siskin_testing::checkpoints() {
        for ty in types.by_ref().take(3) {
            let model = load(&siskin_testing::convert(PROGRAM, &dir, out.path(), ty));
            if model.check_speculation().is_err() {
                assert!(dir.ends_with("llama-bias"), "{} {ty}", dir.display());
                continue;
            }
            for (way, sampling) in ways.by_ref().zip(samplings.by_ref()).take(3) {
                let room = Room {
                    threads: threads.next().expect("a number"),
                    ..Room::of(128)
                };
                compare(
                    &model,
                    room,
                    way,
                    &tokens(&model, 12, 1),
                    &sampling.max_tokens(20),
                );
            }
        }
    }
}

#[test]
fn texts_deep_in_a_context_and_with_any_cache_are_the_same() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-spm", "q4_k_m", out.path());
    let mut ways = ways();
    let mut samplings = samplings().into_iter().cycle();
    for cache in [CacheType::F16, CacheType::Q8_0, CacheType::Q4_0] {
        // llama.cpp hands the attention steps of 256 cells, and its own changes at 512.
        for depth in [250, 507, 1021, 4090] {
            for threads in [1, 3] {
                let room = Room {
                    context: depth + 24,
                    threads,
                    cache,
                };
                let way = ways.next().expect("a way");
                let sampling = samplings.next().expect("a sampling").max_tokens(16);
                compare(&model, room, way, &tokens(&model, depth as usize, 2), &sampling);
            }
        }
    }
}

#[test]
fn texts_end_at_the_same_token_whatever_ends_them() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-spm", "q4_k_m", out.path());
    let prompt = tokens(&model, 6, 3);
    let habits = [
        Habit::Right,
        Habit::RightThenWrong(2),
        Habit::ThenEnd(1),
        Habit::Random(7),
    ];
    for most in [1, 3, 7] {
        for (habit, sampling) in habits.into_iter().zip(samplings()) {
            for length in (0..=12).step_by(if most == 7 { 1 } else { 3 }) {
                let way = (most, habit);
                let limited = sampling.clone().max_tokens(length);
                compare(&model, Room::of(96), way, &prompt, &limited);
                let room = Room::of(6 + length as u32);
                let stop = compare(&model, room, way, &prompt, &sampling);
                assert_eq!(stop, Some(StopReason::ContextFull));
            }
        }
    }
}

#[test]
fn stop_strings_of_several_tokens_end_texts_inside_a_run() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-spm", "q8_0", out.path());
    let prompt = tokens(&model, 6, 3);
    for sampling in [Sampling::greedy(), Sampling::default().temp(0.7).seed(5)] {
        let sampling = sampling.max_tokens(24);
        let whole = write(&mut Room::of(96).session(&model), &prompt, &sampling).expect("a text");
        let mut stops = 0;
        for (at, run) in whole.pieces.windows(3).enumerate() {
            let chars: Vec<char> = run.concat().chars().collect();
            // From the middle of a piece to the middle of a later one.
            let stop: String = chars[usize::from(chars.len() > 3)..].iter().collect();
            let stop = stop.strip_suffix(char::is_alphabetic).unwrap_or(&stop).to_owned();
            let sampling = sampling.clone().stop(stop);
            for way in [(7, Habit::Right), (at % 7 + 1, Habit::RightThenWrong(at % 4))] {
                let reason = compare(&model, Room::of(96), way, &prompt, &sampling);
                stops += usize::from(reason == Some(StopReason::StopString));
            }
        }
        assert!(stops > 8, "{stops}");
    }
}

#[test]
fn end_tokens_inside_a_run_end_the_text() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut ends = 0;
    for (name, ty) in [
        ("llama-rope-llama3", "q8_0"),
        ("stablelm-qknorm", "q4_0"),
        ("llama-tied", "q6_k"),
    ] {
        let model = fixture(name, ty, out.path());
        let prompt = tokens(&model, 4, 3);
        for seed in 0..1500 {
            let mut sampling = Sampling::default().temp(4.0).seed(seed).max_tokens(40);
            (
                sampling.config.top_k,
                sampling.config.top_p,
                sampling.config.min_p,
            ) = (0, 1.0, 0.0);
            let first = model_ends(&model, &prompt, &sampling);
            let Some(length) = first else { continue };
            ends += 1;
            for way in [
                (7, Habit::Right),
                (length % 7 + 1, Habit::ThenEnd(length % 4)),
                (3, Habit::Random(9)),
            ] {
                assert_eq!(
                    compare(&model, Room::of(64), way, &prompt, &sampling),
                    Some(StopReason::EndOfText)
                );
            }
            if ends % 4 == 0 {
                break;
            }
        }
    }
    assert!(ends >= 4, "{ends}");
}

/// How many tokens there are before the model ends the text, if it does.
fn model_ends(model: &Model, prompt: &[Token], sampling: &Sampling) -> Option<usize> {
    let text = write(&mut Room::of(64).session(model), prompt, sampling).expect("a text");
    (text.stop == Some(StopReason::EndOfText)).then_some(text.tokens.len())
}

/// What an interrupted text leaves, and how it goes on: after so many pieces, with or without guesses.
fn interrupted(
    session: &mut Session,
    prompt: &[Token],
    sampling: &Sampling,
    pieces: usize,
) -> (String, State) {
    let flag = AtomicBool::new(false);
    let mut generation = session
        .generate_from(prompt, sampling, Some(&flag))
        .expect("a text");
    let mut text: String = (&mut generation)
        .take(pieces)
        .map(|piece| piece.expect("a piece"))
        .collect();
    flag.store(true, Ordering::Relaxed);
    text.extend((&mut generation).map(|piece| piece.expect("a piece")));
    assert!(generation.stop_reason().is_some());
    (text, State::of(session))
}

#[test]
fn an_interrupted_text_goes_on_as_one_that_had_its_limit_there() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("stablelm-bpe", "q5_k_m", out.path());
    let prompt = tokens(&model, 6, 3);
    for (sampling, habit) in
        samplings()
            .into_iter()
            .zip([Habit::Right, Habit::RightThenWrong(3), Habit::Random(5)])
    {
        let sampling = sampling.max_tokens(20);
        let next = write(&mut Room::of(96).session(&model), &prompt, &sampling).expect("a text");
        for pieces in 0..next.pieces.len() {
            let script = Script::default();
            let mut plain = Room::of(96).session(&model);
            let mut guessing = Room::of(96).session(&model);
            guess(&mut guessing, pieces % 7 + 1, habit, &script);
            script.tell(&next.tokens);
            let want = interrupted(&mut plain, &prompt, &sampling, pieces);
            let found = interrupted(&mut guessing, &prompt, &sampling, pieces);
            assert_eq!(found, want, "{habit:?} after {pieces}");
            // As a session that was never interrupted, and had its limit where the other was.
            let drawn = plain.len() + usize::from(pieces > 0) - prompt.len();
            let mut limited = Room::of(96).session(&model);
            write(&mut limited, &prompt, &sampling.clone().max_tokens(drawn)).expect("a text");
            assert_eq!(
                State::of(&limited),
                State::of(&guessing),
                "{habit:?} after {pieces}"
            );
            let go_on = |session: &mut Session| write(session, &[], &sampling).expect("a text");
            let want = go_on(&mut limited);
            assert_eq!(go_on(&mut guessing), want, "{habit:?} after {pieces}");
        }
    }
}
