use super::*;

/// What followed `end` in `text`: for each token how often, and when last.
fn followers(text: &[i32], end: &[i32]) -> Vec<(i32, u32, u32)> {
    let mut found: Vec<(i32, u32, u32)> = Vec::new();
    for position in end.len()..text.len() {
        if !text[..position].ends_with(end) {
            continue;
        }
        let token = text[position];
        match found.iter_mut().find(|(known, ..)| *known == token) {
            Some((_, count, last)) => (*count, *last) = (*count + 1, position as u32),
            None => found.push((token, 1, position as u32)),
        }
    }
    found.sort_unstable();
    found
}

/// The longest end of a text that occurred before its own end.
fn longest(text: &[i32]) -> &[i32] {
    let occurred = |end: &&[i32]| (end.len()..text.len()).any(|stop| text[..stop].ends_with(end));
    let ends = (1..=text.len()).map(|start| &text[start..]);
    ends.into_iter().find(occurred).unwrap_or(&[])
}

fn of(text: &[i32]) -> Automaton {
    let mut automaton = Automaton::new(1 << 16);
    text.iter().for_each(|&token| automaton.append(Token(token)));
    automaton
}

fn continuations(automaton: &Automaton, state: State) -> Vec<(i32, u32, u32)> {
    let all = automaton.continuations(state);
    let mut all: Vec<_> = all.map(|it| (it.token.0, it.count, it.last)).collect();
    all.sort_unstable();
    all
}

/// Random, periodic, periodic with mistakes.
fn text(random: &mut fastrand::Rng, tokens: usize) -> Vec<i32> {
    let alphabet = random.i32(2..=5);
    let period = random.usize(1..=9);
    let mistakes = [0.0, 0.1, 1.0][random.usize(..3)];
    let mut text: Vec<i32> = Vec::new();
    for position in 0..tokens {
        let repeated = position >= period && random.f64() >= mistakes;
        text.push(match repeated {
            true => text[position - period],
            false => random.i32(0..alphabet),
        });
    }
    text
}

#[test]
fn the_longest_end_that_occurred_and_what_followed_it_are_those_of_brute_force() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..1500 {
        // Not more ends than are counted.
        let tokens = random.usize(1..=WALK);
        let text = text(&mut random, tokens);
        let mut automaton = Automaton::new(1 << 16);
        for stop in 1..=text.len() {
            automaton.append(Token(text[stop - 1]));
            let seen = &text[..stop];
            let end = longest(seen);
            let state = automaton.longest();
            assert_eq!(automaton.len(state) as usize, end.len(), "{seen:?}");
            let expected = followers(seen, end);
            assert_eq!(continuations(&automaton, state), expected, "{seen:?}");
            let best = expected.iter().max_by_key(|(_, count, last)| (*count, *last));
            let found = automaton.best(state).map(|it| (it.token.0, it.count, it.last));
            assert_eq!(found.as_ref(), best, "{seen:?}");
            let alone = automaton.best(state).map(|it| it.alone);
            assert_eq!(alone, best.map(|_| expected.len() == 1), "{seen:?}");
        }
    }
}

#[test]
fn every_state_on_the_way_has_what_followed_its_strings() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..300 {
        let text = text(&mut random, WALK);
        let automaton = of(&text);
        for start in 0..text.len() {
            let (mut state, mut stop) = (State(0), start);
            while stop < text.len().min(start + 8) {
                let wanted = Token(text[stop]);
                let mut edges = automaton.continuations(state);
                state = edges
                    .find(|it| it.token == wanted)
                    .expect("every string is a path")
                    .to;
                stop += 1;
                let expected = followers(&text, &text[start..stop]);
                assert_eq!(
                    continuations(&automaton, state),
                    expected,
                    "{text:?} {start} {stop}"
                );
            }
        }
    }
}

#[test]
fn in_long_texts_counts_are_at_most_those_of_brute_force_and_no_continuation_is_missing() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..60 {
        let text = text(&mut random, 400);
        let automaton = of(&text);
        let end = longest(&text);
        let state = automaton.longest();
        assert_eq!(automaton.len(state) as usize, end.len());
        let (found, expected) = (continuations(&automaton, state), followers(&text, end));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.0, expected.0);
            assert!(
                found.1 <= expected.1 && found.2 <= expected.2,
                "{found:?} {expected:?}"
            );
        }
    }
}

#[test]
fn the_longest_ends_are_counted_in_a_text_of_one_token() {
    let automaton = of(&[7; 5000]);
    let state = automaton.longest();
    assert_eq!(automaton.len(state), 4999);
    assert_eq!(continuations(&automaton, state), [(7, 1, 4999)]);
    // The walk of the last token ended in the middle.
    let mut short = state;
    while automaton.len(short) > 1 {
        short = automaton.fallback(short).expect("longer than one");
    }
    assert_eq!(continuations(&automaton, short), [(7, WALK as u32, WALK as u32)]);
}

#[test]
fn cleared_is_as_new() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut cleared = of(&text(&mut random, 300));
    cleared.clear();
    assert_eq!((cleared.tokens(), cleared.len(cleared.longest())), (0, 0));
    assert_eq!(cleared.best(State(0)), None);
    let text = text(&mut random, 200);
    text.iter().for_each(|&token| cleared.append(Token(token)));
    let fresh = of(&text);
    let (a, b) = (cleared.longest(), fresh.longest());
    assert_eq!((a, cleared.best(a)), (b, fresh.best(b)));
}

#[test]
fn a_full_automaton_takes_at_most_the_bytes_that_are_promised() {
    let most = 1 << 16;
    let mut random = fastrand::Rng::with_seed(5);
    // `abbb…` has the most states, `abbb…bc` the most edges.
    let mut most_edges = vec![1; most];
    (most_edges[0], most_edges[most - 1]) = (0, 2);
    let few = (0..most).map(|_| random.i32(0..2)).collect();
    // Frequencies as those of words (Zipf).
    let words = (0..most).map(|_| 30_000f64.powf(random.f64()) as i32).collect();
    let texts: [(&str, Vec<i32>, usize); 4] = [
        ("most edges", most_edges, BYTES_PER_TOKEN),
        ("two tokens", few, BYTES_PER_TOKEN),
        ("words", words, BYTES_PER_TOKEN * 3 / 4),
        ("one token", vec![3; most], BYTES_PER_TOKEN / 2),
    ];
    for (name, text, bytes_per_token) in texts {
        let mut automaton = of(&text);
        automaton.append(Token(9));
        assert_eq!(automaton.tokens(), most, "{name}: it is full");
        let bytes = automaton.bytes();
        assert!(bytes <= most * bytes_per_token, "{name}: {bytes}");
    }
}
