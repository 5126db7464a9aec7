//! What a worker process does: load, fill a context, time computations.
//!
//! Tokens are pseudo-random and none is sampled while the clock runs, as in llama-bench: speed does not depend
//! on a text's content.

mod bench;

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use siskin_device::energy::Meter;
use siskin_device::probe::Root;
use siskin_device::settings::Values;
use siskin_model::gguf;
use siskin_runtime::{ContextOptions, Error, ErrorKind, LoadOptions, Model, Session, argmax, ggml_hook};

use crate::bandwidth;
use crate::cpu_load::{CpuLoad, Watch};
use crate::protocol::{Ask, Failure, Loaded, ModelFile, Ready, serve};
pub(crate) use bench::PASSES;
use bench::{Bench, pseudo_random};

/// The time in which the memory's speed is measured for `read_memory`.
const MEASURING_TIME: Duration = Duration::from_secs(4);

/// Serves one harness until its pipe closes: what the program does if it is started as a worker.
///
/// # Errors
/// The pipe breaks.
pub fn run(input: impl BufRead, output: impl Write) -> std::io::Result<()> {
    let meter = Meter::of_this_machine();
    let mut bench: Option<Bench> = None;
    serve(input, output, |ask| match ask {
        Ask::Start {
            model,
            values,
            depth,
            sequences,
            warm_up,
        } => {
            let started = bench.insert(Bench::start(&model, values, (depth, sequences), warm_up)?);
            json(&Ready {
                context: started.capacity(),
                kernels: ggml_hook::status().kernels.name().into(),
            })
        }
        Ask::Turn(tests) => {
            let bench = bench.as_mut();
            let bench = bench.ok_or_else(|| Failure::from("a turn before a start".to_owned()))?;
            json(&bench.turn(&tests, meter.as_ref())?)
        }
        Ask::Sustain { milliseconds } => {
            let bench = bench.as_mut();
            let bench = bench.ok_or_else(|| Failure::from("decoding before a start".to_owned()))?;
            json(&bench.sustain(Duration::from_millis(milliseconds))?)
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
    let options = ContextOptions {
        context: Some(64),
        ..ContextOptions::from(values)
    };
    let mut session = Session::new(&model, options)?;
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
        let Some(file) = model.files.file(part) else {
            continue;
        };
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
