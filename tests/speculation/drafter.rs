//! A drafter that may know what comes next, and does what it likes with that.

use std::sync::{Arc, Mutex, MutexGuard};

use siskin::speculate::{Bucket, Draft, Drafter, Source};
use siskin::{Model, Token};
use siskin_testing::Rng;

/// What the next text consists of, and how much of it was drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Script(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    next: Vec<Token>,
    /// Calls of `observe`: one at the beginning, and one for each token drawn.
    calls: usize,
    /// The most guesses that were asked for.
    asked: usize,
}

impl Script {
    /// The next text is this one.
    pub(super) fn tell(&self, next: &[Token]) {
        let mut told = self.lock();
        (told.next, told.calls) = (next.to_vec(), 0);
    }

    /// Whether guesses were asked for.
    pub(super) fn was_asked(&self) -> bool {
        self.lock().asked > 0
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().expect("no panic")
    }
}

/// What is guessed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Habit {
    /// What comes next.
    Right,
    /// Never that.
    Wrong,
    /// So many right, the others wrong.
    RightThenWrong(usize),
    /// So many right, then tokens that end texts.
    ThenEnd(usize),
    /// So many right, then a token that begins texts, and others of the vocabulary's first and last.
    ThenControl(usize),
    /// So many right, then one that no vocabulary has, then right ones again.
    ThenInvalid(usize, i32),
    /// More tokens than were asked for.
    TooMany,
    /// Each right, wrong or any by chance.
    Random(u64),
}

impl Habit {
    pub(super) const ALL: [Habit; 17] = [
        Habit::Right,
        Habit::Wrong,
        Habit::RightThenWrong(1),
        Habit::RightThenWrong(3),
        Habit::RightThenWrong(5),
        Habit::ThenEnd(0),
        Habit::ThenEnd(2),
        Habit::ThenControl(0),
        Habit::ThenControl(3),
        Habit::ThenInvalid(0, -1),
        Habit::ThenInvalid(2, i32::MIN),
        Habit::ThenInvalid(1, i32::MAX),
        // Just outside: the vocabulary's length is added to it.
        Habit::ThenInvalid(3, 0),
        Habit::TooMany,
        Habit::Random(1),
        Habit::Random(2),
        Habit::Random(3),
    ];
}

#[derive(Debug)]
pub(super) struct Scripted {
    habit: Habit,
    script: Script,
    vocabulary: i32,
    ends: Vec<Token>,
    control: Vec<Token>,
    rng: Rng,
}

impl Scripted {
    pub(super) fn new(habit: Habit, script: &Script, model: &Model) -> Self {
        let vocabulary = i32::try_from(model.vocabulary_len()).expect("a length");
        let all = || (0..vocabulary).map(Token);
        Scripted {
            habit,
            script: script.clone(),
            vocabulary,
            ends: all().filter(|token| model.is_eog(*token)).collect(),
            control: [Some(Token(0)), model.bos(), Some(Token(vocabulary - 1))]
                .into_iter()
                .flatten()
                .collect(),
            rng: Rng::with_seed(match habit {
                Habit::Random(seed) => seed,
                _ => 0,
            }),
        }
    }

    fn wrong(&self, right: Token) -> Token {
        Token((right.0 + 1) % self.vocabulary)
    }

    /// The guess at `place`, if `right` is the right one.
    fn token(&mut self, place: usize, right: Token) -> Token {
        let of = |list: &[Token]| list.get(place % list.len().max(1)).copied().unwrap_or(right);
        match self.habit {
            Habit::Wrong => self.wrong(right),
            Habit::RightThenWrong(count) if place >= count => self.wrong(right),
            Habit::ThenEnd(count) if place >= count => of(&self.ends),
            Habit::ThenControl(count) if place >= count => of(&self.control),
            Habit::ThenInvalid(count, 0) if place == count => Token(self.vocabulary),
            Habit::ThenInvalid(count, id) if place == count => Token(id),
            Habit::Random(_) => match self.rng.u8(0..8) {
                0 => self.wrong(right),
                1 => Token(self.rng.i32(0..self.vocabulary)),
                _ => right,
            },
            _ => right,
        }
    }
}

impl Drafter for Scripted {
    fn source(&self) -> Source {
        Source::History
    }

    fn observe(&mut self, _: &[Token]) {
        self.script.lock().calls += 1;
    }

    fn forget(&mut self, _: usize) {}

    fn propose(&mut self, most: usize, _: &dyn Fn(&[(Token, Bucket)]) -> bool) -> Draft {
        let mut told = self.script.lock();
        told.asked = told.asked.max(most);
        let drawn = told.calls.saturating_sub(1).min(told.next.len());
        let next = told.next[drawn..].to_vec();
        drop(told);
        let count = match self.habit {
            Habit::TooMany => most.min(64) + 9,
            Habit::Random(_) => self.rng.usize(0..=most.min(9)),
            _ => most.min(9),
        };
        let guess = |place| {
            // What comes after what is known: anything.
            let right = next.get(place).copied();
            let right = right.unwrap_or(Token((7 * place as i32 + 3) % self.vocabulary));
            (self.token(place, right), Bucket((place % 24) as u8))
        };
        Draft {
            source: Source::History,
            tokens: (0..count).map(guess).collect(),
        }
    }

    fn prior(&self, _: Bucket) -> f64 {
        0.5
    }
}
