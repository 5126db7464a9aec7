use super::*;
use crate::speculate::draft::tests::free_guesses;

/// Logits of which `first` is the largest, by `gap` more than `second`; others are far below.
fn logits(first: usize, second: usize, gap: f32) -> Vec<f32> {
    let mut logits = vec![-20.0; 50];
    (logits[first], logits[second]) = (gap, 0.0);
    logits
}

fn guesses(recycled: &mut Recycled, most: usize) -> Vec<(i32, u8)> {
    free_guesses(recycled, Source::Recycled, most)
}

#[test]
fn guesses_are_a_chain_of_most_likely_successors() {
    let mut recycled = Recycled::new();
    recycled.row(Token(1), &logits(2, 9, 0.5));
    recycled.row(Token(2), &logits(3, 9, 3.0));
    recycled.row(Token(3), &logits(1, 9, 8.0));
    assert_eq!(guesses(&mut recycled, 4), [], "there is no text");
    recycled.observe(&[Token(7)]);
    assert_eq!(guesses(&mut recycled, 4), [], "it was never computed");
    recycled.observe(&[Token(1)]);
    assert_eq!(guesses(&mut recycled, 0), []);
    assert_eq!(guesses(&mut recycled, 4), [(2, 0), (3, 5), (1, 9), (2, 1)]);
    recycled.row(Token(1), &logits(4, 9, 4.0));
    assert_eq!(guesses(&mut recycled, 4), [(4, 6)], "the latest logits count");
}

#[test]
fn the_second_that_came_is_the_first_next_time() {
    for (came, expected) in [(2, 2), (3, 3), (4, 2)] {
        let mut recycled = Recycled::new();
        recycled.row(Token(1), &logits(2, 3, 6.0));
        recycled.observe(&[Token(1), Token(came), Token(1)]);
        let bucket = if came == 3 { 0 } else { 6 };
        assert_eq!(guesses(&mut recycled, 1), [(expected, bucket)], "{came}");
    }
}

#[test]
fn cutting_the_text_changes_what_is_last_and_not_what_is_known() {
    let mut recycled = Recycled::new();
    recycled.row(Token(1), &logits(2, 3, 6.0));
    recycled.observe(&[Token(1), Token(5), Token(6)]);
    assert_eq!(guesses(&mut recycled, 1), []);
    recycled.forget(1);
    assert_eq!(guesses(&mut recycled, 1), [(2, 6)]);
    recycled.forget(0);
    assert_eq!(guesses(&mut recycled, 1), []);
    recycled.observe(&[Token(3), Token(1)]);
    assert_eq!(guesses(&mut recycled, 1), [(2, 6)]);
}

#[test]
fn a_token_never_has_the_successors_of_another() {
    let mut recycled = Recycled::new();
    let other = 1 + PLACES as i32;
    recycled.row(Token(1), &logits(2, 3, 6.0));
    recycled.row(Token(-1), &logits(2, 3, 6.0));
    recycled.row(Token(8), &[f32::NAN; 50]);
    for token in [other, -1, -2, i32::MIN, i32::MAX, 8] {
        recycled.observe(&[Token(token)]);
        assert_eq!(guesses(&mut recycled, 3), [], "{token}");
    }
    recycled.row(Token(other), &logits(5, 3, 6.0));
    recycled.observe(&[Token(1)]);
    assert_eq!(guesses(&mut recycled, 3), [], "its place was taken");
}

#[test]
fn a_single_possible_successor_is_as_sure_as_can_be() {
    let mut logits = vec![f32::NEG_INFINITY; 50];
    logits[4] = -3.0;
    let mut recycled = Recycled::new();
    recycled.row(Token(1), &logits);
    recycled.observe(&[Token(1)]);
    assert_eq!(guesses(&mut recycled, 3), [(4, 8)]);
    recycled.observe(&[Token(-1), Token(1)]);
    assert_eq!(
        guesses(&mut recycled, 3),
        [(4, 8)],
        "no token is not the second one"
    );
}

#[test]
fn buckets_are_gaps_by_place_and_each_has_a_prior() {
    let gaps = [
        (0.0, 0),
        (0.99, 0),
        (1.0, 2),
        (1.9, 2),
        (2.0, 4),
        (4.0, 6),
        (7.9, 6),
        (8.0, 8),
        (f32::INFINITY, 8),
    ];
    for (gap, expected) in gaps {
        assert_eq!(bucket(gap, true), Bucket(expected));
        assert_eq!(bucket(gap, false), Bucket(expected + 1));
    }
    let recycled = Recycled::new();
    let priors: Vec<f64> = (0..10).map(|it| recycled.prior(Bucket(it))).collect();
    assert!(priors.iter().all(|prior| (0.05..0.9).contains(prior)));
    assert!(
        priors.chunks(2).is_sorted(),
        "the larger the gap, the surer: {priors:?}"
    );
    assert!((10..=u8::MAX).all(|it| recycled.prior(Bucket(it)) == 0.0));
}

#[test]
fn it_takes_nothing_until_used_and_then_a_fixed_amount() {
    let mut recycled = Recycled::new();
    assert_eq!(recycled.bytes(), 0);
    for token in 0..40_000 {
        recycled.row(Token(token), &[1.0, 2.0]);
    }
    assert_eq!(recycled.bytes(), Recycled::most_bytes());
    const { assert!(Recycled::most_bytes() <= 256 << 10) };
}
