//! A model in a context filled to its depth, and the tests that are timed there.

use std::time::{Duration, Instant};

use siskin_device::energy::Meter;
use siskin_device::memory::Memory;
use siskin_device::settings::Values;
use siskin_runtime::{Batch, Context, ContextOptions, Error, Model, Rows, SequenceId, Token, argmax};

use super::load;
use crate::protocol::{ModelFile, Sample, Turn};
use crate::result::{Kind, Test};
use crate::stats::median;

/// Tokens computed untimed, again and again, at the start of each turn, and for how long: they wake clocks, bring
/// back what other processes pushed out of the caches, and give the scheduler time to move threads that woke on the
/// same CPU apart.
const WAKE_UP: u32 = 2;
const WAKE_UP_TIME: Duration = Duration::from_millis(100);

/// Passes that one sample is the median of, after one that is not timed; fewer once they took this long.
pub(crate) const PASSES: usize = 5;
const PASSES_TIME: Duration = Duration::from_secs(1);

/// Tokens of a text that is decoded again and again.
const SUSTAINED: usize = 32;

/// A model, a context filled to its depth, tokens to compute.
pub(super) struct Bench {
    context: Context,
    sequences: Vec<SequenceId>,
    tokens: Vec<Token>,
    depth: usize,
    /// Tokens of a prompt computed together.
    step: usize,
    /// Turns so far.
    turns: usize,
}

impl Bench {
    /// Loads the model and fills as many sequences to this depth.
    pub(super) fn start(
        model: &ModelFile,
        values: Values,
        (depth, sequences): (u32, u32),
        warm_up: u32,
    ) -> Result<Self, Error> {
        let model = load(model, values)?;
        let options = ContextOptions {
            context: Some(values.context),
            sequences,
            ..ContextOptions::from(values)
        };
        let mut context = Context::new(&model, options)?;
        let sequences = (0..sequences).map(|_| context.sequence());
        let mut bench = Bench {
            sequences: sequences.collect::<Result<_, _>>()?,
            tokens: pseudo_random(&model, values.context as usize),
            depth: depth as usize,
            step: values.ubatch.max(1) as usize,
            turns: 0,
            context,
        };
        bench.prefill(0..bench.depth)?;
        // All texts are the same: it changes no speed, and is computed once.
        if let [first, others @ ..] = &bench.sequences[..] {
            others.iter().for_each(|other| bench.context.copy(*first, *other));
        }
        let room = values.context - depth;
        bench.compute(Kind::Prefill, warm_up.min(room))?;
        bench.compute(Kind::Decode, WAKE_UP.min(room))?;
        Ok(bench)
    }

    /// Tokens that each sequence has room for.
    pub(super) fn capacity(&self) -> u32 {
        self.context.capacity()
    }

    /// Every test once.
    pub(super) fn turn(&mut self, tests: &[Test], meter: Option<&Meter>) -> Result<Turn, Error> {
        let shortest = tests.iter().map(|test| test.tokens).min().unwrap_or(0);
        let begun = Instant::now();
        while shortest > 0 && begun.elapsed() < WAKE_UP_TIME {
            self.compute(Kind::Decode, shortest.min(WAKE_UP))?;
        }
        let mut samples = vec![Sample::default(); tests.len()];
        for index in order(tests, self.turns) {
            let test = tests[index];
            samples[index] = if test.kind.is_pass() {
                self.passes(test)?
            } else {
                let mut work = || self.compute(test.kind, test.tokens);
                let (sample, joules) = match meter {
                    Some(meter) => meter.measure(work),
                    None => (work(), None),
                };
                Sample { joules, ..sample? }
            };
        }
        self.turns += 1;
        let memory = Memory::now();
        Ok(Turn {
            samples,
            peak_rss_bytes: memory.peak_bytes,
            anonymous_bytes: memory.anonymous_bytes,
            file_bytes: memory.file_bytes,
            energy_source: meter.map(|meter| meter.source().to_owned()),
        })
    }

    /// Decodes for this long, then reports how many tokens it decoded and how long they took. Between pieces of the
    /// text it goes back to the depth.
    pub(super) fn sustain(&mut self, time: Duration) -> Result<(u64, f64), Error> {
        let room = (self.capacity() as usize).saturating_sub(self.depth);
        let (mut tokens, begun) = (0, Instant::now());
        while tokens == 0 || begun.elapsed() < time {
            let place = self.depth + tokens % room.clamp(1, SUSTAINED);
            if place == self.depth {
                self.context.truncate(self.sequences[0], self.depth)?;
            }
            let mut batch = Batch::new();
            batch.push(self.sequences[0], &self.tokens[place..=place], Rows::Last);
            self.context.decode(&batch, |_| {})?;
            tokens += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        self.context.truncate(self.sequences[0], self.depth)?;
        Ok((tokens as u64, seconds))
    }

    /// The median time of a pass of this test.
    fn passes(&mut self, test: Test) -> Result<Sample, Error> {
        self.compute(test.kind, test.tokens)?;
        let (mut seconds, begun) = (Vec::with_capacity(PASSES), Instant::now());
        while seconds.is_empty() || seconds.len() < PASSES && begun.elapsed() < PASSES_TIME {
            seconds.push(self.compute(test.kind, test.tokens)?.seconds);
        }
        Ok(Sample {
            seconds: median(&seconds).unwrap_or(0.0),
            ..Sample::default()
        })
    }

    /// Computes `tokens` tokens after the depth and takes them out again.
    fn compute(&mut self, kind: Kind, tokens: u32) -> Result<Sample, Error> {
        let fed = self.depth..self.depth + tokens as usize;
        let mut sample = Sample::default();
        let start = Instant::now();
        match kind {
            Kind::Prefill if !fed.is_empty() => {
                self.prefill(fed)?;
                sample.seconds = start.elapsed().as_secs_f64();
                std::hint::black_box(self.context.logits(self.sequences[0]).map(argmax));
                sample.first_token_seconds = Some(start.elapsed().as_secs_f64());
            }
            Kind::Prefill => {}
            Kind::Decode => {
                let mut last = 0.0;
                for place in fed {
                    let mut batch = Batch::new();
                    batch.push(self.sequences[0], &self.tokens[place..=place], Rows::Last);
                    self.context.decode(&batch, |_| {})?;
                    let now = start.elapsed().as_secs_f64();
                    sample.token_seconds.push(now - last);
                    last = now;
                }
                sample.seconds = last;
            }
            Kind::Verify | Kind::Parallel => {
                let batch = self.pass(kind, fed);
                let start = Instant::now();
                self.context.decode(&batch, |_| {})?;
                sample.seconds = start.elapsed().as_secs_f64();
            }
        }
        for sequence in &self.sequences {
            self.context.truncate(*sequence, self.depth)?;
        }
        Ok(sample)
    }

    /// The batch of a pass: these tokens in one sequence, or as many sequences with one token each. Logits are
    /// wanted after each token: a draft is accepted by them, and every sequence continues with its own.
    fn pass(&self, kind: Kind, fed: std::ops::Range<usize>) -> Batch {
        let mut batch = Batch::new();
        match kind {
            Kind::Parallel => {
                let token = &self.tokens[self.depth..=self.depth];
                for sequence in self.sequences.iter().take(fed.len()) {
                    batch.push(*sequence, token, Rows::Last);
                }
            }
            _ => {
                batch.push(self.sequences[0], &self.tokens[fed], Rows::All);
            }
        }
        batch
    }

    /// Computes tokens of the first sequence, and the logits after the last.
    fn prefill(&mut self, fed: std::ops::Range<usize>) -> Result<(), Error> {
        let pieces = self.tokens[fed].chunks(self.step);
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.enumerate() {
            let rows = if index == last { Rows::Last } else { Rows::None };
            let mut batch = Batch::new();
            batch.push(self.sequences[0], piece, rows);
            self.context.decode(&batch, |_| {})?;
        }
        Ok(())
    }
}

/// The order of a turn's tests. Every other turn has its passes backwards, so that what changes steadily during a turn
/// is shared by all of them alike.
fn order(tests: &[Test], turn: usize) -> Vec<usize> {
    let (mut passes, mut order): (Vec<usize>, Vec<usize>) =
        (0..tests.len()).partition(|&index| tests[index].kind.is_pass());
    if turn % 2 == 1 {
        passes.reverse();
    }
    order.append(&mut passes);
    order
}

/// Tokens of the vocabulary by a linear congruence: the same for each run.
pub(super) fn pseudo_random(model: &Model, count: usize) -> Vec<Token> {
    let vocabulary = model.vocabulary_len().max(1) as u64;
    let mut state = 42u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Token(((state >> 33) % vocabulary) as i32)
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_go_there_and_back() {
        let test = |kind, tokens| Test {
            kind,
            tokens,
            depth_tokens: 0,
        };
        let tests = [
            test(Kind::Decode, 8),
            test(Kind::Verify, 1),
            test(Kind::Verify, 2),
            test(Kind::Verify, 4),
        ];
        assert_eq!(order(&tests, 0), [0, 1, 2, 3]);
        assert_eq!(order(&tests, 1), [0, 3, 2, 1]);
    }
}
