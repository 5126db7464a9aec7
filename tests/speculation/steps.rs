//! Whatever is done with a session, in whatever order, guesses are not seen.

use std::sync::atomic::{AtomicBool, Ordering};

use siskin::{Error, Model, Sampling, Session, StopReason, Token};
use siskin_testing::Rng;

use super::{Habit, Room, Script, State, fixture, guess, has_kernels, samplings, write};

/// What is done with a session.
#[derive(Debug, Clone)]
enum Step {
    /// A text, which is dropped after so many pieces, or interrupted.
    Write {
        prompt: Vec<Token>,
        sampling: Sampling,
        dropped: Option<usize>,
        interrupted: Option<usize>,
    },
    /// So many tokens drawn.
    Sample {
        sampling: Sampling,
        count: usize,
    },
    Decode(Vec<Token>),
    DecodeRows(Vec<Token>),
    Truncate(usize),
    KeepPrefix(Vec<Token>),
    /// Computes no more than there is room for; another drafter, if there is one.
    Change(usize, Habit),
}

/// What a step gave.
#[derive(Debug, PartialEq)]
struct Seen {
    tokens: Vec<Token>,
    text: String,
    stop: Option<StopReason>,
    numbers: Vec<u64>,
}

impl Seen {
    fn nothing() -> Self {
        Seen {
            tokens: vec![],
            text: String::new(),
            stop: None,
            numbers: vec![],
        }
    }

    fn tokens(tokens: Vec<Token>, number: usize) -> Self {
        Seen {
            tokens,
            numbers: vec![number as u64],
            ..Seen::nothing()
        }
    }
}

fn take(session: &mut Session, step: &Step, script: Option<&Script>) -> Result<Seen, Error> {
    match step {
        Step::Write {
            prompt,
            sampling,
            dropped,
            interrupted,
        } => {
            let flag = AtomicBool::new(false);
            let mut generation = session.generate_from(prompt, sampling, Some(&flag))?;
            let mut text = String::new();
            for at in 0.. {
                if *interrupted == Some(at) {
                    flag.store(true, Ordering::Relaxed);
                }
                if *dropped == Some(at) {
                    break;
                }
                let Some(piece) = generation.next() else { break };
                text += &piece?;
            }
            Ok(Seen {
                tokens: generation.tokens().to_vec(),
                text,
                stop: generation.stop_reason(),
                numbers: vec![],
            })
        }
        Step::Sample { sampling, count } => {
            let mut samples = session.sample(&sampling.config)?;
            let tokens: Vec<Token> = (&mut samples).take(*count).collect::<Result<_, _>>()?;
            Ok(Seen::tokens(tokens, usize::from(samples.is_full())))
        }
        Step::Decode(tokens) => session.decode(tokens).map(|()| Seen::nothing()),
        Step::DecodeRows(tokens) => {
            let mut seen = Seen::nothing();
            session.decode_rows(tokens, |row| seen.numbers.push(super::digest(row)))?;
            Ok(seen)
        }
        Step::Truncate(len) => session.truncate(*len).map(|()| Seen::nothing()),
        Step::KeepPrefix(tokens) => Ok(Seen::tokens(vec![], session.keep_prefix(tokens))),
        Step::Change(most, habit) => {
            if let Some(script) = script {
                guess(session, *most, *habit, script);
            }
            Ok(Seen::nothing())
        }
    }
}

/// What would be drawn next if the text had no end: what a drafter knows that knows everything.
fn future(model: &Model, room: Room, session: &Session, step: &Step) -> Vec<Token> {
    let (prompt, sampling) = match step {
        Step::Write { prompt, sampling, .. } => (prompt.clone(), sampling),
        Step::Sample { sampling, .. } => (vec![], sampling),
        _ => return vec![],
    };
    let mut longer = sampling.clone();
    (longer.stop, longer.max_tokens) = (vec![], Some(40));
    let all = [session.tokens(), &prompt].concat();
    let text = write(&mut room.session(model), &all, &longer);
    text.map(|text| text.tokens).unwrap_or_default()
}

struct Chance {
    rng: Rng,
    vocabulary: i32,
    samplings: Vec<Sampling>,
}

impl Chance {
    fn tokens(&mut self, most: usize) -> Vec<Token> {
        let count = self.rng.usize(0..=most);
        (0..count)
            .map(|_| Token(self.rng.i32(0..self.vocabulary)))
            .collect()
    }

    /// The next step for a session that has `session`, if `known` is what it had and what was drawn after it.
    fn step(&mut self, session: &[Token], known: &[Token]) -> Step {
        let sampling = self.samplings[self.rng.usize(0..self.samplings.len())].clone();
        let some = |rng: &mut Rng| rng.bool().then(|| rng.usize(0..12));
        match self.rng.u8(0..16) {
            0..=5 => Step::Write {
                prompt: self.tokens(5),
                sampling: sampling.max_tokens(self.rng.usize(0..24)),
                dropped: some(&mut self.rng),
                interrupted: some(&mut self.rng),
            },
            6 | 7 => Step::Sample {
                sampling,
                count: self.rng.usize(0..12),
            },
            8 => Step::Decode(self.tokens(4)),
            9 => Step::DecodeRows(self.tokens(4)),
            10 | 11 => Step::Truncate((session.len() + 2).saturating_sub(self.rng.usize(0..6))),
            12 | 13 => {
                let from = if self.rng.bool() { known } else { session };
                let kept = from.len().saturating_sub(self.rng.usize(0..4));
                Step::KeepPrefix([&from[..kept], &self.tokens(2)].concat())
            }
            14 => Step::Truncate(self.rng.usize(0..10)),
            _ => Step::Change(
                self.rng.usize(0..=7),
                Habit::ALL[self.rng.usize(0..Habit::ALL.len())],
            ),
        }
    }
}

fn walk(model: &Model, room: Room, seed: u64, steps: usize) {
    let mut chance = Chance {
        rng: Rng::with_seed(seed),
        vocabulary: i32::try_from(model.vocabulary_len()).expect("a length"),
        samplings: samplings(),
    };
    let script = Script::default();
    let mut plain = room.session(model);
    let mut guessing = room.session(model);
    let habit = Habit::ALL[seed as usize % Habit::ALL.len()];
    guess(&mut guessing, seed as usize % 7 + 1, habit, &script);
    let mut known = vec![];
    let mut taken = vec![];
    for _ in 0..steps {
        let step = chance.step(plain.tokens(), &known);
        taken.push(step.clone());
        let next = future(model, room, &plain, &step);
        script.tell(&next);
        if let Step::Write { prompt, .. } = &step {
            known = [plain.tokens(), prompt, &next].concat();
        }
        let want = take(&mut plain, &step, None).map_err(|error| error.to_string());
        let found = take(&mut guessing, &step, Some(&script)).map_err(|error| error.to_string());
        let case = || {
            format!(
                "seed {seed}, {room:?}, {habit:?}: {:?}",
                &taken[taken.len().saturating_sub(3)..]
            )
        };
        assert_eq!(found, want, "{}", case());
        assert_eq!(State::of(&guessing), State::of(&plain), "{}", case());
    }
}

#[test]
fn a_session_is_the_same_after_any_steps() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let models = [
        ("llama-spm", "q4_k_m"),
        ("gptneox-bpe", "q4_0"),
        ("llama-rope-llama3", "q8_0"),
    ];
    for (at, (name, ty)) in models.into_iter().enumerate() {
        let model = fixture(name, ty, out.path());
        for seed in 0..8 {
            let room = Room {
                context: [40, 72, 120][seed as usize % 3],
                threads: seed as usize % 2 + 1,
                ..Room::of(0)
            };
            walk(&model, room, seed * 3 + at as u64, 60);
        }
    }
}

/// Weights of f16 have the same bits in passes of up to eight tokens only: prompts are computed by as many as without
/// guesses.
#[test]
fn a_session_of_f16_weights_is_the_same_after_any_steps() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("stablelm-bpe", "f16", out.path());
    for seed in 100..108 {
        walk(&model, Room::of(72), seed, 60);
    }
}
