//! From what was typed to a request, and its measurement.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use siskin::device::settings::Overrides;
use siskin::{Device, Model, Notice, STORYTELLER};
use siskin_harness::result::Results;
use siskin_harness::{Event, Harness, ModelInfo, Request, Setup, Subject, Tests, longest_context, run};

use super::{BenchArgs, command_line, now, worker_command};
use crate::commands::{kernels, notices};
use crate::render::progress;
use crate::{environment, interrupt};

/// Measures what was asked for.
pub(super) fn measure(args: &BenchArgs) -> anyhow::Result<Results> {
    let device = Device::probe();
    let tests = Tests {
        prompts: args.n_prompt.clone(),
        decodes: args.n_gen.clone(),
        verifies: args.n_verify.clone(),
        parallels: args.n_parallel.clone(),
        depths: args.n_depth.clone(),
        context: args.ctx_size,
        rounds: args.repetitions.get(),
    };
    let mut subjects = Vec::new();
    let infos = args.models.iter().map(|path| ModelInfo::open(path));
    let mut infos = infos.collect::<Result<Vec<ModelInfo>, _>>()?;
    tell_apart(&mut infos, &args.models);
    for (path, info) in args.models.iter().zip(infos) {
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
        bandwidth_threads: vec![],
        names_programs: true,
    };
    let program = std::env::current_exe().context("this program, to start it as a worker")?;
    let harness = Harness {
        worker: &|| worker_command(&program, args.verbose),
        interrupted: interrupt::listen(),
    };
    let bar = progress::steps();
    let results = run(&request, &harness, |event| {
        if let Event::Step { done, total, what } = event {
            progress::show_step(&bar, done, total, what);
        }
    });
    bar.finish_and_clear();
    Ok(results?)
}

/// Files of the same name get the name of their folder too, or their rows could not be told apart.
fn tell_apart(infos: &mut [ModelInfo], paths: &[PathBuf]) {
    let titles: Vec<String> = infos.iter().map(|info| info.model.title()).collect();
    for (index, info) in infos.iter_mut().enumerate() {
        let mut others = titles.iter().zip(paths);
        if others.any(|(title, path)| *title == titles[index] && *path != paths[index]) {
            let folder = paths[index].parent().and_then(Path::file_name);
            let folder = folder.map_or(".".into(), |folder| folder.to_string_lossy());
            info.model.name = format!("{folder}/{}", info.model.name).replace(char::is_control, "?");
        }
    }
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
            // Several sequences may need a larger cache than one of the model's training: none of them is longer.
            let mut said = plan.notices;
            said.retain(|notice| !matches!(notice, Notice::BeyondTraining { .. }));
            notices::print(&said);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_told_apart_by_their_folders() {
        let paths = ["a/m.gguf", "b/m.gguf", "b/other.gguf", "b/other.gguf"].map(PathBuf::from);
        let info = |path: &PathBuf| {
            let name = path.file_stem().expect("a name").to_string_lossy();
            ModelInfo::from_bytes(STORYTELLER, &name).expect("a model")
        };
        let mut infos: Vec<ModelInfo> = paths.iter().map(info).collect();
        tell_apart(&mut infos, &paths);
        let names: Vec<&str> = infos.iter().map(|info| info.model.name.as_str()).collect();
        assert_eq!(names, ["a/m", "b/m", "other", "other"]);
    }
}
