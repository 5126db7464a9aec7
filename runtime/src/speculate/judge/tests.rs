use super::*;

const MS: Duration = Duration::from_millis(1);

/// A judge that knows that a pass over n tokens takes `10 ms (1 + step (n - 1))`.
fn judge(step: f64) -> Judge {
    let times = PassTimes::new(|tokens| Some(1.0 + step * f64::from(tokens - 1)));
    let mut judge = Judge::new(times, Acceptance::default());
    for _ in 0..10 {
        judge.computed(1, 0, 10 * MS, Duration::ZERO);
    }
    judge
}

fn offer(source: Source, count: usize, prior: f64) -> Offer {
    Offer {
        draft: Draft {
            source,
            tokens: (0..count).map(|id| (Token(id as i32), Bucket(0))).collect(),
        },
        priors: vec![prior; count],
    }
}

#[test]
fn the_surest_offer_is_taken_as_far_as_it_pays() {
    let judge = judge(0.1);
    /// What is offered, who is taken, and how many.
    type Case = (Vec<Offer>, Option<Source>, usize);
    let cases: Vec<Case> = vec![
        (vec![], None, 0),
        (vec![offer(Source::History, 7, 0.01)], None, 0),
        (vec![offer(Source::History, 3, 1.0)], Some(Source::History), 3),
        (
            vec![offer(Source::Recycled, 2, 0.3), offer(Source::History, 7, 0.9)],
            Some(Source::History),
            7,
        ),
        (
            vec![offer(Source::Forced, 1, 1.0), offer(Source::History, 2, 0.2)],
            Some(Source::Forced),
            1,
        ),
    ];
    for (offers, source, count) in cases {
        let draft = judge.choose(&[offers]).pop().expect("one text");
        assert_eq!(draft.tokens.len(), count, "{draft:?}");
        assert!(source.is_none_or(|source| source == draft.source), "{draft:?}");
    }
}

#[test]
fn nothing_is_guessed_before_a_pass_was_measured() {
    let judge = Judge::default();
    assert!(!judge.is_open());
    let draft = judge.choose(&[vec![offer(Source::Forced, 3, 1.0)]]);
    assert_eq!(draft, [Draft::none(Source::History)]);
}

#[test]
fn it_stops_to_guess_what_is_wrong_and_goes_on_with_what_is_right() {
    let mut judge = judge(0.2);
    let offers = || vec![vec![offer(Source::History, 4, 0.8)]];
    let mut guessed = 0;
    for _ in 0..50 {
        let draft = judge.choose(&offers()).pop().expect("one text");
        let count = draft.tokens.len();
        guessed += count;
        judge.computed(
            1,
            count,
            MS.mul_f64(10.0 * (1.0 + 0.2 * count as f64)),
            Duration::ZERO,
        );
        if count > 0 {
            judge.learn(Source::History, Bucket(0), false, 1);
        }
    }
    assert!((1..30).contains(&guessed), "{guessed}");
    for _ in 0..200 {
        judge.learn(Source::History, Bucket(0), true, 1);
        judge.computed(1, 0, 10 * MS, Duration::ZERO);
    }
    assert_eq!(judge.choose(&offers())[0].tokens.len(), 4);
}

#[test]
fn a_drafter_that_takes_time_goes_on_only_if_it_is_worth_it() {
    let judge = judge(0.03);
    let tokens = |count: usize| vec![(Token(0), Bucket(0)); count];
    // Seconds a guess, how likely it is right, guesses so far, whether another one pays. A pass takes 10 ms.
    let cases = [
        (0.0016, 0.8, 0, true),
        (0.0016, 0.8, 2, true),
        (0.0016, 0.3, 1, false),
        (0.02, 0.9, 0, false),
        (0.0001, 0.95, 6, true),
        (0.0001, 0.95, 7, false),
    ];
    for (cost, prior, count, want) in cases {
        let got = judge.goes_on(Source::Model, &tokens(count), cost, |_| prior);
        assert_eq!(got, want, "{cost} {prior} {count}");
    }
    assert!(!Judge::default().goes_on(Source::Model, &[], 0.0, |_| 1.0));
}

/// Texts that are as bad as can be, on a machine of any slope: the loss is bounded.
#[test]
fn a_drafter_that_is_always_nearly_right_does_not_break_the_bound() {
    let mut random = fastrand::Rng::with_seed(7);
    for (round, step) in [0.02, 0.1, 0.25, 0.5, 1.0].into_iter().enumerate() {
        for right in 0..4 {
            let mut judge = judge(step);
            let (mut tokens, mut seconds) = (0, 0.0);
            while tokens < 2000 {
                let most = 1 + random.usize(0..7);
                let draft = judge
                    .choose(&[vec![offer(Source::History, most, 0.9)]])
                    .pop()
                    .expect("one text");
                let count = draft.tokens.len();
                // Noise of a busy machine.
                let noise = 0.95 + 0.1 * random.f64();
                let took = 0.01 * (1.0 + step * count as f64) * noise;
                judge.computed(1, count, Duration::from_secs_f64(took), Duration::ZERO);
                // The first ones are right, the next is wrong: as many as make it look good, on some passes only.
                let accepted = if random.bool() { right.min(count) } else { 0 };
                for at in 0..(accepted + 1).min(count) {
                    judge.learn(Source::History, Bucket(0), at < accepted, 1);
                }
                seconds += took;
                tokens += 1 + accepted;
            }
            let speed = 0.01 * tokens as f64 / seconds;
            assert!(
                speed > 0.96,
                "round {round}: {right} right, {step} a token: {speed}"
            );
        }
    }
}
