//! From what was typed to a request, and its measurement.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use siskin::bench::facts::Facts;
use siskin::bench::harness::{self, Harness, Request};
use siskin::bench::plan::{self, Launch, Settings, Subject, Tests};
use siskin::bench::result::{Results, Setting};
use siskin::device::probe::Root;
use siskin::device::settings::{self, Chosen, Flags};
use siskin::engine;
use siskin::kernel::Kernels;

use super::{BenchArgs, command_line, now};
use crate::cli::device::Device;
use crate::cli::{environment, explain, interrupt, kernels};

/// Measures what was asked for.
pub(super) fn measure(args: &BenchArgs) -> anyhow::Result<Results> {
    let device = Device::probe(&Root::system())?;
    device.warn();
    let tests = Tests {
        prompts: args.n_prompt.clone(),
        decodes: args.n_gen.clone(),
        depths: args.n_depth.clone(),
        context: args.ctx_size,
        rounds: args.repetitions,
    };
    let mut subjects = Vec::new();
    for path in &args.models {
        subjects.push(subject(args, &device, &tests, Some(path), Facts::of_file(path)?)?);
    }
    if subjects.is_empty() {
        let facts = Facts::of_bytes(engine::STORYTELLER, "storyteller")?;
        subjects.push(subject(args, &device, &tests, None, facts)?);
    }
    let request = Request {
        subjects,
        tests,
        cold: args.cold,
        peer: args.peer.clone(),
        command: command_line(),
        date_utc: now(),
        available_bytes: Some(device.machine.ram.usable_bytes),
    };
    let program = std::env::current_exe().context("this program, to start it as a worker")?;
    let bar = progress_bar();
    let harness = Harness {
        worker: &|| worker_command(&program, args.verbose),
        interrupted: interrupt::listen(),
        progress: &|done, total, what| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(what.to_owned());
        },
    };
    let results = harness::run(&request, &harness);
    bar.finish_and_clear();
    Ok(results?)
}

fn worker_command(program: &Path, verbose: bool) -> Command {
    let mut command = Command::new(program);
    command.args(["bench", "--worker"]);
    if verbose {
        command.arg("--verbose");
    }
    command
}

/// Drawn on a terminal only.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {eta:>4} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// A model with a set of settings for each thread count.
fn subject(
    args: &BenchArgs,
    device: &Device,
    tests: &Tests,
    path: Option<&PathBuf>,
    facts: Facts,
) -> anyhow::Result<Subject> {
    // Mistakes in the request come before what memory allows.
    let context = plan::longest_context(&facts, tests)?;
    let counts: Vec<Option<usize>> = match args.threads.as_slice() {
        [] => vec![None],
        counts => counts.iter().copied().map(Some).collect(),
    };
    let kernels = kernels(args)?;
    let mut settings = Vec::with_capacity(counts.len() * kernels.len());
    for threads in counts {
        for &kernels in &kernels {
            let flags = Flags {
                context: Some(context),
                threads,
                threads_batch: args.threads_batch,
                force: args.force,
                kernels,
                ..args.runtime.flags()?
            };
            let name = || facts.model.name.clone();
            let (chosen, note) = device.settings(&flags, Some(&facts.shape)).with_context(name)?;
            if settings.is_empty() {
                note.iter().for_each(|note| say!("siskin: {note}"));
            }
            device.bind(chosen.affinity.value);
            settings.push(meant(&chosen, facts.shape.weight_bytes));
        }
    }
    let path = path.cloned();
    Ok(Subject {
        path,
        facts,
        settings,
    })
}

/// Whose kernels are measured: each that was typed, else what else decides.
fn kernels(args: &BenchArgs) -> anyhow::Result<Vec<Option<Chosen<Kernels>>>> {
    match args.kernels.as_slice() {
        [] => Ok(vec![kernels::asked(None)?]),
        typed => typed.iter().map(|typed| kernels::asked(Some(*typed))).collect(),
    }
}

fn setting(name: &str, value: String, origin: String) -> Setting {
    Setting {
        name: name.into(),
        value,
        origin,
    }
}

/// From settings with their origins to what a worker is told.
fn meant(chosen: &settings::Settings, weight_bytes: u64) -> Settings {
    let launch = Launch {
        settings: chosen.tunable(),
        mlock: chosen.mlock.value,
    };
    let shown = explain::rows(chosen)
        .into_iter()
        .filter(|(name, ..)| *name != "ctx-size");
    let shown = shown.map(|(name, value, origin)| setting(name, value, explain::word(origin)));
    let variables = environment::wanted(chosen, weight_bytes).into_iter();
    Settings {
        launch,
        environment: variables
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        shown: shown.collect(),
    }
}
