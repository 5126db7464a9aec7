//! What a worker process does: load, fill a context, time computations.
//!
//! Tokens are pseudo-random and none is sampled while the clock runs, as in llama-bench: speed does not depend
//! on a text's content.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use siskin_device::memory::Memory;
use siskin_device::probe::Root;
use siskin_device::settings::Values;
use siskin_model::gguf;
use siskin_runtime::{
    ContextOptions, Error, ErrorKind, LoadOptions, Model, Session, Token, argmax, ggml_hook,
};

use crate::bandwidth;
use crate::cpu_load::{CpuLoad, Watch};
use crate::energy::Meter;
use crate::protocol::{Ask, Failure, Loaded, ModelFile, Ready, Sample, Turn, serve};
use crate::result::{Kind, Test};

/// Tokens computed untimed, again and again, at the start of each turn, and for how long: they wake clocks, bring
/// back what other processes pushed out of the caches, and give the scheduler time to move threads that woke on the
/// same CPU apart.
const WAKE_UP: u32 = 2;
const WAKE_UP_TIME: Duration = Duration::from_millis(100);

/// The time in which the memory's speed is measured for `read_memory`.
const MEASURING_TIME: Duration = Duration::from_secs(4);

/// Serves one harness until its pipe closes: what the program does if it is started as a worker.
///
/// # Errors
/// The pipe breaks.
pub fn run(input: impl BufRead, output: impl Write) -> std::io::Result<()> {
    let meter = Meter::find(Path::new("/"), Path::new("vcgencmd"));
    let mut bench: Option<Bench> = None;
    serve(input, output, |ask| match ask {
        Ask::Start {
            model,
            values,
            depth,
            warm_up,
        } => {
            let started = bench.insert(Bench::start(&model, values, depth, warm_up)?);
            json(&Ready {
                context: started.session.capacity(),
                kernels: ggml_hook::status().kernels.name().into(),
            })
        }
        Ask::Turn(tests) => {
            let bench = bench.as_mut();
            let bench = bench.ok_or_else(|| Failure::from("a turn before a start".to_owned()))?;
            json(&bench.turn(&tests, meter.as_ref())?)
        }
        Ask::Load { model, values, cold } => json(&load_once(&model, values, cold)?),
        Ask::Bandwidth { threads, bytes } => json(&bandwidth::measure(threads, bytes)),
    })
}

/// Bytes a second that `threads` threads read from memory, of which `available` bytes are free: the best of several
/// measurements, until three in a row bring nothing new, for a few seconds at most. Also what other programs used of
/// the CPUs before or meanwhile, if it is more than an idle system does: the memory is then faster than this.
pub fn read_memory(threads: usize, available: Option<u64>) -> (f64, Option<CpuLoad>) {
    let (watch, before) = Watch::begin();
    let bytes = bandwidth::array_bytes(&Root::system(), available);
    let best = best_of(|| bandwidth::measure(threads, bytes));
    (best, before.or(watch.end().others))
}

/// The best measurement, when three in a row were not better by a fiftieth, or time is up.
fn best_of(mut measure: impl FnMut() -> f64) -> f64 {
    let (begun, mut best, mut no_better) = (Instant::now(), measure(), 0);
    while no_better < 3 && begun.elapsed() < MEASURING_TIME {
        let speed = measure();
        no_better = if speed > best * 1.02 { 0 } else { no_better + 1 };
        best = best.max(speed);
    }
    best
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| error.to_string().into())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure {
            unknown_architecture: error.kind() == ErrorKind::UnknownArchitecture,
            ..error.to_string().into()
        }
    }
}

fn load(model: &ModelFile, values: Values) -> Result<Model, Error> {
    ggml_hook::select(values.kernels, values.prefetch_bytes);
    let options = LoadOptions {
        values,
        any_architecture: model.any_architecture,
        ..LoadOptions::default()
    };
    Model::open(model.path.as_deref(), &options)
}

fn session(model: &Model, values: Values, context: u32) -> Result<Session, Error> {
    let options = ContextOptions {
        context: Some(context),
        ..ContextOptions::from(values)
    };
    Session::new(model, options)
}

/// A model, a context filled to its depth, tokens to compute.
struct Bench {
    session: Session,
    tokens: Vec<Token>,
    depth: u32,
}

impl Bench {
    fn start(model: &ModelFile, values: Values, depth: u32, warm_up: u32) -> Result<Self, Error> {
        let context = values.context;
        let model = load(model, values)?;
        let mut session = session(&model, values, context)?;
        let tokens = pseudo_random(&model, context as usize);
        session.decode(&tokens[..depth as usize])?;
        let mut bench = Bench {
            session,
            tokens,
            depth,
        };
        bench.compute(Kind::Prefill, warm_up)?;
        bench.compute(Kind::Decode, WAKE_UP.min(context - depth))?;
        Ok(bench)
    }

    fn turn(&mut self, tests: &[Test], meter: Option<&Meter>) -> Result<Turn, Error> {
        let shortest = tests.iter().map(|test| test.tokens).min().unwrap_or(0);
        let begun = Instant::now();
        while shortest > 0 && begun.elapsed() < WAKE_UP_TIME {
            self.compute(Kind::Decode, shortest.min(WAKE_UP))?;
        }
        let mut samples = Vec::with_capacity(tests.len());
        for test in tests {
            let mut work = || self.compute(test.kind, test.tokens);
            let (sample, joules) = match meter {
                Some(meter) => meter.measure(work),
                None => (work(), None),
            };
            samples.push(Sample { joules, ..sample? });
        }
        let memory = Memory::now();
        Ok(Turn {
            samples,
            peak_rss_bytes: memory.peak_bytes,
            anonymous_bytes: memory.anonymous_bytes,
            file_bytes: memory.file_bytes,
            energy_source: meter.map(|meter| meter.source().to_owned()),
        })
    }

    /// Computes `tokens` tokens after the depth and takes them out again.
    fn compute(&mut self, kind: Kind, tokens: u32) -> Result<Sample, Error> {
        let fed = &self.tokens[self.depth as usize..][..tokens as usize];
        let mut sample = Sample::default();
        let start = Instant::now();
        match kind {
            Kind::Prefill if !fed.is_empty() => {
                self.session.decode(fed)?;
                sample.seconds = start.elapsed().as_secs_f64();
                std::hint::black_box(self.session.logits().map(argmax));
                sample.first_token_seconds = Some(start.elapsed().as_secs_f64());
            }
            Kind::Prefill => {}
            Kind::Decode => {
                let mut last = 0.0;
                for token in fed {
                    self.session.decode(std::slice::from_ref(token))?;
                    let now = start.elapsed().as_secs_f64();
                    sample.token_seconds.push(now - last);
                    last = now;
                }
                sample.seconds = last;
            }
        }
        self.session.truncate(self.depth as usize)?;
        Ok(sample)
    }
}

/// Tokens of the vocabulary by a linear congruence: the same for each run.
fn pseudo_random(model: &Model, count: usize) -> Vec<Token> {
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

/// Loads and computes one token, in a process that did nothing before.
fn load_once(file: &ModelFile, values: Values, cold: bool) -> Result<Loaded, Failure> {
    if let Some(path) = file.path.as_deref().filter(|_| cold) {
        drop_pages(path).map_err(|error| {
            format!(
                "{}: cannot be dropped from the page cache: {error}",
                path.display()
            )
        })?;
    }
    let before = storage_read_bytes();
    let start = Instant::now();
    let model = load(file, values)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let mut session = session(&model, values, 64)?;
    session.decode(&pseudo_random(&model, 1))?;
    std::hint::black_box(session.logits().map(argmax));
    let first_token_seconds = start.elapsed().as_secs_f64();
    let storage_read_bytes = before
        .zip(storage_read_bytes())
        .map(|(before, after)| after - before);
    Ok(Loaded {
        load_seconds,
        first_token_seconds,
        storage_read_bytes,
    })
}

/// Drops a model's pages from the page cache: writes out what is not yet on storage, then asks the kernel to
/// forget the rest. It keeps pages that some process maps.
fn drop_pages(path: &Path) -> std::io::Result<()> {
    let model = gguf::ModelFile::open(path).map_err(std::io::Error::other)?;
    for part in 0..model.parts() {
        let file = model.files.file(part);
        file.sync_all()?;
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Bytes that this process caused to be fetched from storage so far (proc(5), `/proc/self/io`).
fn storage_read_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("read_bytes: ")?.trim().parse().ok())
}
