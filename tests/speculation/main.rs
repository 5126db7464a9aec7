//! Guesses change no text: whatever is guessed, a session with guesses draws the same tokens as one without, and has the
//! same tokens and the same bits of logits after everything that may be done with it.

mod drafter;
mod full;
mod guesses;
mod refusals;
mod steps;
mod talks;
mod texts;

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use siskin::device::settings::{CacheType, Kernels, Values};
use siskin::speculate::{Judge, Speculator};
use siskin::{
    ContextOptions, Error, LoadOptions, Model, SamplerConfig, Sampling, Session, StopReason, Token, ggml_hook,
};

use drafter::{Habit, Script, Scripted};

/// The program, which converts the fixtures.
const PROGRAM: &str = env!("CARGO_BIN_EXE_siskin");
/// Every type that `convert` writes.
const TYPES: [&str; 6] = ["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0"];

fn has_kernels() -> bool {
    let status = ggml_hook::select(Kernels::Siskin, Values::default().prefetch_bytes);
    if status.kernels != Kernels::Siskin {
        siskin_testing::skip(&status.to_string());
    }
    status.kernels == Kernels::Siskin
}

fn load(path: &Path) -> Model {
    Model::load(path, &LoadOptions::default()).expect("a model")
}

/// A fixture of one type, converted into `out`.
fn fixture(name: &str, ty: &str, out: &Path) -> Model {
    let dir = siskin_testing::checkpoint(name);
    load(&siskin_testing::convert(PROGRAM, &dir, out, ty))
}

/// How sessions are made.
#[derive(Debug, Clone, Copy)]
struct Room {
    context: u32,
    threads: usize,
    cache: CacheType,
}

impl Room {
    fn of(context: u32) -> Self {
        Room {
            context,
            threads: 1,
            cache: CacheType::F16,
        }
    }

    fn session(self, model: &Model) -> Session {
        let values = Values {
            threads: self.threads,
            threads_batch: self.threads,
            cache_type: self.cache,
            ..Values::default()
        };
        let options = ContextOptions {
            context: Some(self.context),
            ..ContextOptions::from(values)
        };
        Session::new(model, options).expect("a session")
    }
}

/// Has `session` compute up to `most` guesses a pass, made by `habit` from what `script` says comes next.
fn guess(session: &mut Session, most: usize, habit: Habit, script: &Script) {
    let drafter = Scripted::new(habit, script, session.model());
    let speculator = Speculator::new(vec![Box::new(drafter)], Judge::always(most));
    session
        .set_speculator(Some(speculator))
        .expect("a model that may guess");
}

fn digest(logits: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    logits.iter().for_each(|x| hasher.write_u32(x.to_bits()));
    hasher.finish()
}

/// A text of any tokens: most weights are random, too.
fn tokens(model: &Model, length: usize, seed: usize) -> Vec<Token> {
    let size = model.vocabulary_len();
    let id = |at: usize| (at * at * 31 + at * 7 + seed * 101) % size;
    (0..length)
        .map(|at| Token(i32::try_from(id(at)).expect("an id")))
        .collect()
}

/// What can be seen of a session.
#[derive(Debug, PartialEq, Eq)]
struct State {
    tokens: Vec<Token>,
    len: usize,
    empty: bool,
    logits: Option<u64>,
}

impl State {
    fn of(session: &Session) -> Self {
        State {
            tokens: session.tokens().to_vec(),
            len: session.len(),
            empty: session.is_empty(),
            logits: session.logits().map(digest),
        }
    }
}

/// What can be seen of a text.
#[derive(Debug, PartialEq, Eq)]
struct Text {
    tokens: Vec<Token>,
    pieces: Vec<String>,
    stop: Option<StopReason>,
}

/// Makes a text to its end.
fn write(session: &mut Session, prompt: &[Token], sampling: &Sampling) -> Result<Text, Error> {
    let mut generation = session.generate_from(prompt, sampling, None)?;
    let pieces = (&mut generation).collect::<Result<_, _>>()?;
    Ok(Text {
        tokens: generation.tokens().to_vec(),
        pieces,
        stop: generation.stop_reason(),
    })
}

/// The ways of choosing tokens that are compared.
fn samplings() -> Vec<Sampling> {
    let chance = |temp, seed| Sampling::default().temp(temp).seed(seed);
    let with = |sampling: Sampling, change: fn(&mut SamplerConfig)| {
        let mut sampling = sampling;
        change(&mut sampling.config);
        sampling
    };
    vec![
        Sampling::greedy(),
        chance(0.7, 1),
        chance(1.5, 2),
        with(Sampling::greedy(), |config| config.repeat_penalty = 1.3),
        with(chance(0.7, 3), |config| {
            (config.frequency_penalty, config.presence_penalty) = (0.4, 0.3);
        }),
        with(chance(1.5, 4), |config| {
            (config.repeat_penalty, config.repeat_last_n) = (1.2, -1);
            (config.top_k, config.top_p, config.min_p) = (0, 1.0, 0.0);
        }),
        with(Sampling::greedy(), |config| {
            (config.presence_penalty, config.repeat_last_n) = (2.0, 3);
        }),
    ]
}
