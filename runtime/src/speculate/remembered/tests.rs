use super::super::{History, Recycled};
use super::*;
use crate::speculate::draft::tests::free_guesses;

const KEY: RememberedKey = RememberedKey {
    model: [7; 32],
    vocabulary: 1 << 20,
};

/// Tokens, each with its bucket.
type Guesses<'a> = &'a [(i32, u8)];

fn tokens(ids: &[i32]) -> Vec<Token> {
    ids.iter().map(|&id| Token(id)).collect()
}

fn of(ids: &[i32]) -> Remembered {
    let mut remembered = Remembered::new(KEY);
    remembered.observe(&tokens(ids));
    remembered
}

fn guesses(remembered: &mut Remembered, most: usize) -> Vec<(i32, u8)> {
    free_guesses(remembered, Source::Remembered, most)
}

#[test]
fn three_tokens_decide_then_two_and_what_is_guessed_goes_on() {
    let cases: [(&str, &[i32], Guesses); 7] = [
        ("nothing", &[], &[]),
        ("one token is no context", &[1, 2, 1], &[]),
        ("two tokens", &[9, 1, 2, 5, 6, 8, 1, 2], &[(5, 3), (6, 0), (8, 0)]),
        ("three tokens", &[1, 2, 3, 4, 1, 2, 3], &[(4, 0), (1, 0), (2, 0)]),
        (
            "three before two",
            &[1, 2, 3, 4, 8, 2, 3, 5, 6, 2, 3, 5, 1, 2, 3],
            &[(4, 0), (8, 0), (2, 0)],
        ),
        (
            "the latest of equals",
            &[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3],
            &[(5, 0), (1, 0), (2, 0)],
        ),
        ("four times", &[1, 1, 1, 1, 1, 1, 1], &[(1, 2), (1, 2), (1, 2)]),
    ];
    for (name, text, expected) in cases {
        assert_eq!(guesses(&mut of(text), 3), expected, "{name}");
        assert_eq!(guesses(&mut of(text), 0), [], "{name}");
    }
}

#[test]
fn a_guess_is_what_brute_force_finds_most_often() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let text: Vec<i32> = (0..random.usize(3..200)).map(|_| random.i32(0..3)).collect();
        let guessed = guesses(&mut of(&text), 1);
        let followed = |len: usize| {
            let mut found: Vec<(usize, usize, i32)> = Vec::new();
            for stop in len..text.len() {
                if text[..stop].ends_with(&text[text.len() - len..]) {
                    match found.iter_mut().find(|it| it.2 == text[stop]) {
                        Some(it) => *it = (it.0 + 1, stop, it.2),
                        None => found.push((1, stop, text[stop])),
                    }
                }
            }
            found.into_iter().max()
        };
        let expected = followed(3).map(|it| (it, 0)).or(followed(2).map(|it| (it, 3)));
        let class = |count| match count {
            1 => 0,
            2 | 3 => 1,
            _ => 2,
        };
        let expected = expected.map(|((count, _, token), first)| (token, first + class(count)));
        assert_eq!(guessed, Vec::from_iter(expected), "{text:?}");
    }
}

#[test]
fn what_was_learnt_outlives_the_text() {
    let mut remembered = of(&[1, 2, 3, 4, 5]);
    remembered.forget(0);
    assert_eq!(guesses(&mut remembered, 2), []);
    remembered.observe(&tokens(&[1, 2, 3]));
    assert_eq!(guesses(&mut remembered, 2), [(4, 0), (5, 0)]);
    remembered.observe(&tokens(&[7]));
    remembered.forget(3);
    assert_eq!(guesses(&mut remembered, 1), [(7, 0)], "the latest of equals");
}

#[test]
fn nothing_is_learnt_while_learning_is_off() {
    let mut remembered = Remembered::new(KEY);
    remembered.learn(false);
    remembered.observe(&tokens(&[1, 2, 3, 4, 1, 2, 3]));
    assert_eq!((guesses(&mut remembered, 1), remembered.bytes()), (vec![], 0));
    remembered.learn(true);
    remembered.observe(&tokens(&[4, 1, 2, 3]));
    assert_eq!(guesses(&mut remembered, 1), [(4, 0)], "once");
}

#[test]
fn tokens_that_the_vocabulary_does_not_have_are_not_learnt() {
    for strange in [-1, i32::MIN, KEY.vocabulary as i32, i32::MAX] {
        let mut remembered = of(&[1, 2, 3, strange, 1, 2, 3]);
        assert_eq!(guesses(&mut remembered, 3), [], "{strange}");
    }
}

#[test]
fn generations_end_after_many_tokens() {
    let text: Vec<Token> = (0..GENERATION as i32).map(Token).collect();
    let mut remembered = Remembered::new(KEY);
    remembered.observe(&text[1..]);
    assert_eq!(remembered.generation, 0);
    remembered.observe(&text[..1]);
    assert_eq!((remembered.generation, remembered.learnt), (1, 0));
}

#[test]
fn buckets_are_contexts_by_counts_and_each_has_a_prior() {
    for (count, class) in [(1, 0), (2, 1), (3, 1), (4, 2), (255, 2)] {
        assert_eq!(
            (bucket(0, count), bucket(1, count)),
            (Bucket(class), Bucket(class + 3))
        );
    }
    let remembered = Remembered::new(KEY);
    let priors: Vec<f64> = (0..6).map(|it| remembered.prior(Bucket(it))).collect();
    assert!(priors.chunks(3).all(|counts| counts.is_sorted()), "{priors:?}");
    assert!(
        priors[..3]
            .iter()
            .zip(&priors[3..])
            .all(|(three, two)| three > two && *two > 0.0)
    );
    assert!((6..=u8::MAX).all(|it| remembered.prior(Bucket(it)) == 0.0));
}

#[test]
fn extra_bytes_are_kept_up_to_a_limit() {
    let mut remembered = Remembered::new(KEY);
    assert!(remembered.set_extra(vec![1; MAX_EXTRA]));
    assert!(!remembered.set_extra(vec![2; MAX_EXTRA + 1]));
    assert_eq!(remembered.extra(), [1; MAX_EXTRA]);
}

#[test]
fn all_drafters_together_take_at_most_twelve_mebibytes_if_full() {
    const { assert!(History::most_bytes() + Recycled::most_bytes() + Remembered::most_bytes() <= 12 << 20) };
    let mut random = fastrand::Rng::with_seed(1);
    // Two tokens: an index has the most states and edges that random text can have.
    let text: Vec<Token> = (0..65_536).map(|_| Token(random.i32(0..2))).collect();
    let (mut history, mut recycled, mut remembered) = (History::new(), Recycled::new(), Remembered::new(KEY));
    history.observe(&text);
    recycled.row(Token(1), &[1.0, 2.0]);
    // Many contexts: they touch every page of the table.
    let words: Vec<Token> = (0..65_536)
        .map(|_| Token(random.i32(0..KEY.vocabulary as i32)))
        .collect();
    remembered.observe(&words);
    let bytes = history.bytes() + recycled.bytes() + remembered.bytes();
    assert!((10 << 20..12 << 20).contains(&bytes), "{bytes}");
}
