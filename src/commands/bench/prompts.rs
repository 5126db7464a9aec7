//! `siskin bench --prompts`: what guessing tokens is worth on real texts.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use siskin::chat;
use siskin::device::settings::Overrides;
use siskin::{Builder, LoadPlan, Model, STORYTELLER, SamplerConfig};
use siskin_harness::prompts::{self, Format, Prompts, Request};
use siskin_harness::report::Format as AnyFormat;
use siskin_harness::{Event, ModelInfo};

use super::{BenchArgs, command_line, now, width};
use crate::commands::spec_args::Spec;
use crate::commands::{kernels, notices, number};
use crate::exit::usage_error;
use crate::render::{progress, text};
use crate::{environment, interrupt, text_input};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(super) struct PromptsArgs {
    /// Answer the prompts in this file without and with guessed tokens, and compare: one JSON object a line,
    /// {"kind": "qa", "id": 1, "prompt": "..."}, kind and id if you like
    #[arg(long, value_name = "FILE", conflicts_with_all = ["n_prompt", "n_verify", "n_parallel", "n_depth", "repetitions", "cold", "compare", "any_machine", "fail_below", "import", "peer", "details"])]
    pub(super) prompts: Option<PathBuf>,
    /// How tokens of --prompts are guessed: lookup, auto, draft=FILE; off shows by how much two equal sides differ
    #[arg(long, value_name = "HOW", default_value = "lookup", requires = "prompts")]
    spec: Spec,
    /// Measure N of the --prompts, as many of each kind [default: all]
    #[arg(long, value_name = "N", requires = "prompts", value_parser = number::whole::<NonZeroUsize>)]
    limit: Option<NonZeroUsize>,
    /// Keep how often guesses were right from one of the --prompts to the next, as run and chat do [default: each begins
    /// anew]
    #[arg(long, requires = "prompts")]
    keep_acceptance: bool,
    /// Temperature for --prompts; 0 always picks the most likely token
    #[arg(long, value_name = "T", default_value = "0", requires = "prompts", value_parser = number::temperature)]
    temp: f32,
    /// Seed of --prompts, for the coin and for --temp
    #[arg(long, value_name = "N", default_value = "1", requires = "prompts", value_parser = number::whole::<u32>)]
    seed: u32,
}

/// What is measured, checked.
struct Task {
    tokens: usize,
    threads: Option<usize>,
    format: Format,
}

/// Measures the prompts in `file`.
pub(super) fn main(args: &BenchArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let task = task(args)?;
    environment::prepare();
    let path = args.models.first().map(PathBuf::as_path);
    let info = match path {
        Some(path) => ModelInfo::open(path)?,
        None => ModelInfo::from_bytes(STORYTELLER, "storyteller")?,
    };
    let plan = plan(args, &task, path, &info)?;
    // Not before, because it may be a pipe; and before the model, which takes longer.
    let prompts = read(file, args.prompts.limit)?;
    let times = plan.pass_times();
    let model = plan.load()?;
    notices::print_vocabulary(&model);
    let template =
        chat::template_of(&model, chat::now()).context("the model's own template cannot be used")?;
    let session = model.session()?;
    let spec = &args.prompts.spec;
    let draft = spec.load(&model, session.capacity(), |path| {
        Ok(builder(args, &task, Some(path))?.force(args.force))
    })?;
    // Once here, where a failure is told: later ones would be as this one.
    drop(spec.drafters(draft.as_ref())?);
    let make = || spec.drafters(draft.as_ref()).unwrap_or_default();
    let request = Request {
        prompts,
        template,
        tokens: task.tokens,
        sampler: SamplerConfig {
            temp: args.prompts.temp,
            seed: Some(args.prompts.seed),
            ..SamplerConfig::default()
        },
        seed: args.prompts.seed.into(),
        drafters: (args.prompts.spec != Spec::Off).then_some(&make),
        times,
        keeps_acceptance: args.prompts.keep_acceptance,
        spec: args.prompts.spec.to_string(),
        model: info.model,
        command: command_line(),
        date_utc: now(),
    };
    let bar = progress::steps();
    let results = prompts::run(session, request, interrupt::listen(), |event| {
        if let Event::Step { done, total, what } = event {
            progress::show_step(&bar, done, total, what);
        }
    });
    bar.finish_and_clear();
    let results = results.with_context(|| file.display().to_string())?;
    let mut out = text::stdout();
    out.write_all(prompts::render(&results, task.format).as_bytes())?;
    out.flush().context("standard output")?;
    // The system takes the memory back faster at the end of the process.
    std::mem::forget(model);
    if results.pairs.is_empty() && !results.interrupted {
        say!(
            "siskin: {}: no prompt could be measured; the notes have the reason",
            file.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    if results.interrupted {
        return Ok(ExitCode::from(interrupt::exit_code()));
    }
    match results.first_difference() {
        Some(line) => {
            say!("siskin: {}", text::escaped(&line));
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What was typed, checked: lists of settings are for the other tests.
fn task(args: &BenchArgs) -> anyhow::Result<Task> {
    if args.models.len() > 1 {
        return Err(usage_error("--prompts measures one model; give one file"));
    }
    let &[tokens] = &args.n_gen[..] else {
        return Err(usage_error("--prompts takes one number of tokens with -n"));
    };
    if tokens == 0 {
        return Err(usage_error("--prompts needs tokens to draw; give -n 1 or more"));
    }
    if args.threads.len() > 1 || args.kernels.len() > 1 {
        return Err(usage_error(
            "--prompts measures one setting; give one value of each flag",
        ));
    }
    let format = match args.output {
        _ if args.json => Format::Json,
        AnyFormat::Table => Format::Table(width()),
        AnyFormat::Json => Format::Json,
        AnyFormat::Csv => Format::Csv,
        AnyFormat::Md => Format::Md,
        _ => return Err(usage_error("--prompts is written as table, json, csv or md")),
    };
    Ok(Task {
        tokens: tokens as usize,
        threads: args.threads.first().copied().map(NonZeroUsize::get),
        format,
    })
}

/// The prompts of a file.
fn read(file: &Path, limit: Option<NonZeroUsize>) -> anyhow::Result<Prompts> {
    let text = text_input::file(file)?;
    prompts::parse(&text, limit.map(NonZeroUsize::get)).with_context(|| file.display().to_string())
}

/// How the model is loaded. The program may start again to change its environment.
fn plan(args: &BenchArgs, task: &Task, path: Option<&Path>, info: &ModelInfo) -> anyhow::Result<LoadPlan> {
    let plan = builder(args, task, path)?
        .force(args.force)
        .plan_for(Some(info.shape.clone()))?;
    environment::apply(&plan.settings, info.shape.weight_bytes);
    notices::print(&plan.notices);
    notices::print(&plan.apply());
    Ok(plan)
}

/// How a model is loaded, with what was typed.
fn builder(args: &BenchArgs, task: &Task, path: Option<&Path>) -> anyhow::Result<Builder> {
    let (typed, priority) = args.runtime.overrides()?;
    Ok(path
        .map_or_else(Model::embedded, Model::builder)
        .overrides(Overrides {
            context: args.ctx_size,
            threads: task.threads,
            threads_batch: args.threads_batch.map(NonZeroUsize::get),
            kernels: args.kernels.first().copied(),
            ..typed
        })
        .environment(kernels::environment()?)
        .priority(priority)
        .any_architecture(args.any_arch))
}
