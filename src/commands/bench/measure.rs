//! From what was typed to a request, and its measurement.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context;
use siskin::device::settings::Overrides;
use siskin::{Device, Model, STORYTELLER};
use siskin_harness::result::Results;
use siskin_harness::{Event, Harness, ModelInfo, Request, Setup, Subject, Tests, longest_context, run};

use super::{BenchArgs, command_line, now, progress_bar, show_step, worker_command};
use crate::commands::{kernels, notices};
use crate::{environment, interrupt};

/// Measures what was asked for.
pub(super) fn measure(args: &BenchArgs) -> anyhow::Result<Results> {
    let device = Device::probe();
    let tests = Tests {
        prompts: args.n_prompt.clone(),
        decodes: args.n_gen.clone(),
        depths: args.n_depth.clone(),
        context: args.ctx_size,
        rounds: args.repetitions.get(),
    };
    let mut subjects = Vec::new();
    for path in &args.models {
        let info = ModelInfo::open(path)?;
        subjects.push(subject(
            args,
            &device,
            &tests,
            Some(path),
            info,
            subjects.is_empty(),
        )?);
    }
    if subjects.is_empty() {
        let info = ModelInfo::from_bytes(STORYTELLER, "storyteller")?;
        subjects.push(subject(args, &device, &tests, None, info, true)?);
    }
    let request = Request {
        subjects,
        tests,
        cold: args.cold,
        llama_bench: args.peer.clone(),
        command: command_line(),
        date_utc: now(),
        available_bytes: Some(device.machine.ram.usable_bytes),
    };
    let program = std::env::current_exe().context("this program, to start it as a worker")?;
    let harness = Harness {
        worker: &|| worker_command(&program, args.verbose),
        interrupted: interrupt::listen(),
    };
    let bar = progress_bar();
    let results = run(&request, &harness, |event| {
        if let Event::Step { done, total, what } = event {
            show_step(&bar, done, total, what);
        }
    });
    bar.finish_and_clear();
    Ok(results?)
}

/// A model with a setup for each thread count and each kind of kernels.
fn subject(
    args: &BenchArgs,
    device: &Device,
    tests: &Tests,
    path: Option<&Path>,
    info: ModelInfo,
    is_first: bool,
) -> anyhow::Result<Subject> {
    // Mistakes in the request come before what memory allows.
    let context = longest_context(&info, tests)?;
    let threads = each(&args.threads);
    let kernels = each(&args.kernels);
    let (typed, priority) = args.runtime.overrides()?;
    let mut setups = Vec::with_capacity(threads.len() * kernels.len());
    for (threads, kernels) in threads
        .iter()
        .flat_map(|threads| kernels.iter().map(move |kernels| (threads, kernels)))
    {
        let builder = path.map_or_else(Model::embedded, Model::builder);
        let plan = builder
            .device(device.clone())
            .overrides(Overrides {
                context: Some(context),
                threads: threads.map(NonZeroUsize::get),
                threads_batch: args.threads_batch.map(NonZeroUsize::get),
                kernels: *kernels,
                ..typed
            })
            .environment(kernels::environment()?)
            .priority(priority)
            .force(args.force)
            .plan_for(Some(info.shape.clone()))
            .with_context(|| info.model.name.clone())?;
        // Workers run on the CPUs that this process is bound to.
        let applied = plan.apply();
        if is_first && setups.is_empty() {
            notices::print(&plan.notices);
            notices::print(&applied);
        }
        setups.push(Setup {
            environment: environment::wanted(&plan.settings, info.shape.weight_bytes),
            resolved: plan.settings,
        });
    }
    Ok(Subject {
        path: path.map(Path::to_owned),
        info,
        setups,
        any_architecture: args.any_arch,
    })
}

/// Each value that was typed, or none: what else decides.
fn each<T: Copy>(typed: &[T]) -> Vec<Option<T>> {
    match typed {
        [] => vec![None],
        typed => typed.iter().copied().map(Some).collect(),
    }
}
