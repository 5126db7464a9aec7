use super::*;
use crate::speculate::draft::tests::free_guesses;

/// Tokens, each with its bucket.
type Guesses<'a> = &'a [(i32, u8)];

fn tokens(ids: &[i32]) -> Vec<Token> {
    ids.iter().map(|&id| Token(id)).collect()
}

fn of(ids: &[i32]) -> History {
    let mut history = History::new();
    history.observe(&tokens(ids));
    history
}

fn guesses(history: &mut History, most: usize) -> Vec<(i32, u8)> {
    free_guesses(history, Source::History, most)
}

/// Everything that can be seen from outside.
fn seen(history: &mut History) -> (Vec<(i32, u8)>, usize, Vec<Token>) {
    (guesses(history, 12), history.dropped, history.kept.clone())
}

#[test]
fn the_continuation_is_what_followed_most_often_then_what_followed_last() {
    let cases: [(&str, &[i32], Guesses); 9] = [
        ("nothing", &[], &[]),
        ("nothing twice", &[1, 2, 3], &[]),
        ("once", &[1, 2, 3, 1], &[(2, 1), (3, 4), (1, 7), (2, 7), (3, 10)]),
        (
            "two others followed: the latest",
            &[1, 2, 1, 3, 1],
            &[(3, 0), (1, 4), (3, 7), (1, 7), (3, 10)],
        ),
        (
            "counted twice, but older",
            &[1, 2, 9, 1, 2, 8, 1, 3, 1],
            &[(2, 0), (8, 3), (1, 7), (3, 7), (1, 10)],
        ),
        (
            "unanimous",
            &[1, 2, 8, 1, 2, 9, 1],
            &[(2, 2), (9, 3), (1, 7), (2, 7), (9, 10)],
        ),
        (
            "a longer end decides",
            &[5, 1, 2, 6, 1, 3, 7, 1, 3, 5, 1],
            &[(2, 4), (6, 7), (1, 7), (3, 10), (7, 10)],
        ),
        (
            "a period goes on",
            &[1, 2, 1, 2, 1],
            &[(2, 7), (1, 7), (2, 10), (1, 10), (2, 10)],
        ),
        (
            "one token",
            &[4, 4, 4],
            &[(4, 4), (4, 7), (4, 7), (4, 10), (4, 10)],
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(guesses(&mut of(text), 5), expected, "{name}");
    }
}

#[test]
fn no_more_are_guessed_than_asked() {
    let mut history = of(&[1, 2, 3, 4, 5, 6, 1]);
    for most in 0..40 {
        assert_eq!(guesses(&mut history, most).len(), most);
    }
}

#[test]
fn buckets_are_classes_of_length_by_kinds_and_each_has_a_prior() {
    let lengths = [
        (1, 0),
        (2, 3),
        (3, 6),
        (4, 6),
        (5, 9),
        (8, 9),
        (9, 12),
        (16, 12),
        (17, 15),
        (u32::MAX, 15),
    ];
    for (matched, first) in lengths {
        assert_eq!(bucket(matched, false, 9), Bucket(first));
        assert_eq!(bucket(matched, true, 1), Bucket(first + 1));
        assert_eq!(bucket(matched, true, 2), Bucket(first + 2));
    }
    let history = History::new();
    let priors: Vec<f64> = (0..18).map(|it| history.prior(Bucket(it))).collect();
    assert!(priors.iter().all(|prior| (0.0..1.0).contains(prior)));
    assert_eq!((priors[0], priors[17]), (0.20, 0.93));
    for kinds in priors.chunks(3) {
        assert!(kinds.is_sorted(), "the surer, the more often right: {kinds:?}");
    }
    assert!((18..=u8::MAX).all(|it| history.prior(Bucket(it)) == 0.0));
}

#[test]
fn what_is_forgotten_was_never_observed() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let mut text: Vec<i32> = Vec::new();
        let mut history = History::new();
        for _ in 0..random.usize(1..8) {
            match random.bool() {
                true => {
                    let more: Vec<i32> = (0..random.usize(0..30)).map(|_| random.i32(0..4)).collect();
                    history.observe(&tokens(&more));
                    text.extend(more);
                }
                false => {
                    let len = random.usize(0..=text.len() + 2);
                    history.forget(len);
                    text.truncate(len);
                }
            }
            assert_eq!(seen(&mut history), seen(&mut of(&text)), "{text:?}");
        }
    }
}

#[test]
fn a_forgotten_text_gives_its_memory_back() {
    let mut history = of(&[1; 3000]);
    assert!(history.bytes() > 3000 * 16);
    history.forget(0);
    assert_eq!(history.bytes(), History::new().bytes());
}

#[test]
fn if_it_is_full_it_goes_on_with_the_newer_half() {
    let mut history = History::with_limit(8);
    history.observe(&tokens(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!((history.dropped, history.kept.len()), (0, 8));
    history.observe(&tokens(&[5]));
    assert_eq!(
        (history.dropped, &history.kept[..]),
        (4, &tokens(&[5, 6, 7, 8, 5])[..])
    );
    assert_eq!(guesses(&mut history, 2), [(6, 1), (7, 4)]);
    history.observe(&tokens(&[1]));
    assert_eq!(
        guesses(&mut history, 2),
        [],
        "that it was first is no longer known"
    );
    history.forget(5);
    assert_eq!((history.dropped, &history.kept[..]), (4, &tokens(&[5])[..]));
    history.forget(2);
    assert_eq!((history.dropped, &history.kept[..]), (2, &[][..]));
    history.observe(&tokens(&[9, 9]));
    history.forget(3);
    assert_eq!((history.dropped, &history.kept[..]), (2, &tokens(&[9])[..]));
}

#[test]
fn a_full_history_takes_at_most_eight_mebibytes() {
    // `abbb…` has the most states, `abbb…bc` the most edges.
    let mut text = vec![1; MOST];
    (text[0], text[MOST - 1]) = (0, 2);
    let mut history = of(&text);
    assert!(history.bytes() <= History::most_bytes(), "{}", history.bytes());
    assert!(
        history.bytes() > History::most_bytes() * 9 / 10,
        "{}",
        history.bytes()
    );
    history.observe(&tokens(&text));
    assert!(history.bytes() <= History::most_bytes(), "{}", history.bytes());
    const { assert!(History::most_bytes() <= 8 << 20) };
}
