use super::*;
use crate::speculate::{Acceptance, Draft, PassTimes};

/// More tokens than the texts have.
const VOCABULARY: usize = 100;

/// Guesses that numbers go on by one, and notes what it hears.
#[derive(Debug, Default)]
struct Counting {
    text: Vec<Token>,
    forgot: usize,
}

impl Drafter for Counting {
    fn source(&self) -> Source {
        Source::History
    }

    fn observe(&mut self, tokens: &[Token]) {
        self.text.extend(tokens);
    }

    fn forget(&mut self, len: usize) {
        self.forgot += 1;
        self.text.truncate(len);
    }

    fn propose(&mut self, most: usize, _: &dyn Fn(&[(Token, Bucket)]) -> bool) -> Draft {
        let last = self.text.last().map_or(0, |token| token.0);
        let next = (1..).map(|step| (Token(last + step), Bucket(0)));
        Draft {
            source: Source::History,
            tokens: next.take(most).collect(),
        }
    }

    fn prior(&self, _: Bucket) -> f64 {
        0.9
    }
}

fn speculator() -> Speculator {
    let times = PassTimes::new(|tokens| Some(1.0 + 0.05 * f64::from(tokens - 1)));
    let judge = Judge::new(times, Acceptance::default());
    Speculator::new(vec![Box::new(Counting::default())], judge)
}

#[test]
fn guesses_follow_the_text_and_are_counted() {
    let mut speculator = speculator();
    let text: Vec<Token> = (0..4).map(Token).collect();
    speculator.begin(&text);
    assert_eq!(speculator.guess(7, VOCABULARY), [], "no pass was measured yet");
    let ms = Duration::from_millis;
    speculator.computed(ms(10), Duration::ZERO);
    speculator.computed(ms(10), Duration::ZERO);
    speculator.observe(Token(4));
    let guesses = speculator.guess(3, VOCABULARY);
    assert_eq!(guesses, [5, 6, 7].map(Token));
    speculator.computed(ms(11), Duration::ZERO);
    speculator.outcome(Outcome::Right);
    speculator.outcome(Outcome::Wrong);
    // Those after a wrong one are not decided.
    speculator.outcome(Outcome::Right);
    let counts = speculator.counts();
    assert_eq!((counts.passes, counts.drafted, counts.accepted), (3, 3, 1));
    assert_eq!(counts.mean_accepted_length, Some(4.0 / 3.0));
    assert_eq!(speculator.guess(0, VOCABULARY), []);
}

#[test]
fn a_text_that_goes_back_is_forgotten_from_there() {
    let mut drafters = Drafters::new(vec![Box::new(Counting::default())]);
    let judge = Judge::default();
    let text = |numbers: &[i32]| numbers.iter().copied().map(Token).collect::<Vec<_>>();
    for (step, (tokens, next)) in [
        (&[1, 2, 3][..], 4),
        (&[1, 2, 3, 9], 10),
        (&[1, 2], 3),
        (&[], 1),
        (&[7], 8),
    ]
    .into_iter()
    .enumerate()
    {
        drafters.begin(&text(tokens));
        let offers = drafters.offers(1, VOCABULARY, &judge);
        assert_eq!(offers[0].draft.tokens[0].0, Token(next), "step {step}");
    }
}

#[test]
fn what_the_vocabulary_lacks_is_not_offered() {
    let judge = Judge::default();
    for (last, vocabulary, want) in [(3, 100, 4), (3, 6, 2), (3, 4, 0), (-9, 100, 0)] {
        let mut drafters = Drafters::new(vec![Box::new(Counting::default())]);
        drafters.begin(&[Token(last)]);
        let offers = drafters.offers(4, vocabulary, &judge);
        let offered: usize = offers.iter().map(|offer| offer.draft.tokens.len()).sum();
        assert_eq!(offered, want, "{last} of {vocabulary}");
        assert!(
            offers
                .iter()
                .all(|offer| offer.priors.len() == offer.draft.tokens.len())
        );
    }
}
