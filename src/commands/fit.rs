//! `siskin fit`: whether a model fits, on this machine or another, before anything is loaded or downloaded.

mod pair;
mod subject;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use siskin::Device;
use siskin::device::budget::{self, BudgetError, Constraints, MemoryLimit, Plan};
use siskin::device::probe::{Machine, Root};
use siskin::device::profile::{self, Profile, Run};
use siskin::device::settings::{Overrides, Values};
use siskin_model::FileType;

use super::names::DeviceName;
use super::session_args::TuningArgs;
use super::target_args::file_types;
use super::{bench, device};
use crate::exit::{USAGE, usage_error};
use crate::hints::{self, Flags};
use crate::render::{explain, size, text};
use pair::Pair;
use subject::Subject;

/// Shows whether a model fits into memory, here or on another device
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin fit config.json --device raspberry-pi-5 --ram 4GiB")]
pub(crate) struct FitArgs {
    /// GGUF file, config.json, a folder that contains config.json, or a model that is not here, as hf:OWNER/REPO
    pub(crate) model: PathBuf,
    /// Plan for a device, by the name of its profile, e.g. raspberry-pi-5 [default: this machine]
    #[arg(long, value_name = "NAME", value_parser = DeviceName)]
    device: Option<String>,
    /// Memory that the device has or, without --device, that may be used here; e.g. 2GiB or 900MiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse_memory)]
    ram: Option<u64>,
    /// File type to plan for, also for the draft: a GGUF file is then planned as siskin quantize would make it [default:
    /// a GGUF file's own, else the profile's first]
    #[arg(long = "type", value_name = "TYPE", value_parser = file_types(), ignore_case = true)]
    file_type: Option<FileType>,
    /// Smaller model that guesses for this one (speculative decoding): plans both, compares their vocabularies, and
    /// computes how often a guess must be right to pay
    #[arg(long, value_name = "MODEL")]
    pub(crate) draft: Option<PathBuf>,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    device: &'a str,
    architecture: &'a str,
    file_type: &'a str,
    fits: bool,
    plan: &'a Plan,
    largest_context: Option<u32>,
    smaller_type: Option<FileType>,
    /// Why it does not fit.
    refusal: Option<String>,
    /// Why `siskin run` would refuse the model even if it fits.
    run_refuses: Option<&'a str>,
    /// The model that guesses for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<&'a Pair>,
}

/// The machine a plan is made for.
struct PlanTarget {
    name: String,
    run: Run,
    cpus: usize,
    /// `None` if it is another one, of which nothing is measured here.
    machine: Option<Machine>,
    /// The profile's settings there.
    base: Overrides,
    limit: MemoryLimit,
}

pub(crate) fn main(args: FitArgs) -> anyhow::Result<ExitCode> {
    let target = match &args.device {
        Some(name) => there(name, args.ram)?,
        None => here(args.ram)?,
    };
    let look = |path: &Path| subject::look(path, &args, &target);
    let subject = look(&args.model)?;
    let draft = args.draft.as_deref().map(look).transpose()?;
    let pair = draft
        .as_ref()
        .map(|draft| Pair::new(&subject, draft, target.machine.as_ref()));
    let (typed, priority) = args.tuning.overrides()?;
    args.tuning.warn(target.cpus);
    let values = Values::default()
        .with(&target.base)
        .with(&priority.overrides())
        .with(&typed);
    let constraints = Constraints {
        fixed: &typed,
        priority,
        force: false,
        may_map: false,
    };
    let shape = &subject.shape;
    let alone = || budget::plan(shape, &values, &target.limit, &constraints);
    let plan = match &draft {
        None => alone(),
        Some(draft) => budget::plan_pair(shape, &draft.shape, &values, &target.limit, &constraints),
    };
    // What takes the memory is shown in any case.
    let (shown, refusal) = match plan {
        Ok(plan) => (plan, None),
        Err(error) => (Plan::clone(&error.plan), Some(error)),
    };
    let other_vocabulary = pair.as_ref().and_then(|pair| pair.vocabulary_refusal.as_ref());
    if args.json {
        print_json(&target, &subject, pair.as_ref(), &shown, refusal.as_ref())?;
        return Ok(match (other_vocabulary, refusal) {
            (Some(_), _) => ExitCode::from(USAGE),
            (None, refusal) => ExitCode::from(u8::from(refusal.is_some())),
        });
    }
    if let (Some(why), Some(draft)) = (other_vocabulary, &args.draft) {
        let (draft, model) = (draft.display(), args.model.display());
        return Err(usage_error(format!(
            "--draft {draft}: its vocabulary is not that of {model}: {why}"
        )));
    }
    print_table(&target, &subject, pair.as_ref(), &shown)?;
    match refusal {
        Some(error) if pair.is_none() => Err(error.into()),
        Some(error) => Err(anyhow::Error::from(error).context(match alone() {
            Ok(_) => "the model fits, but not with the draft",
            Err(_) => "the model does not fit, with the draft or without it",
        })),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn print_table(
    target: &PlanTarget,
    subject: &Subject,
    pair: Option<&Pair>,
    plan: &Plan,
) -> anyhow::Result<()> {
    let mut out = text::stdout();
    let fits = match (plan.fits, pair) {
        (true, None) => "fits",
        (true, Some(_)) => "fits with its draft",
        (false, None) => "does not fit",
        (false, Some(_)) => "does not fit with its draft",
    };
    let shape = &subject.shape;
    let first = format!(
        "{fits} on {}: {} of {} blocks, {}\n",
        target.name, shape.arch, shape.layers, subject.file_type
    );
    let columns = bench::terminal_width();
    out.write_all(text::fitted(&first, 0, columns).as_bytes())?;
    if let Some(reason) = &subject.run_refuses {
        writeln!(out, "but run would refuse it: {reason}")?;
    }
    let mut table = String::new();
    for reason in &plan.reasons {
        let line = format!(
            "{:<16}{:>9}  {}",
            reason.setting,
            value(&plan.settings, reason.setting),
            reason.reason
        );
        table += line.trim_end();
        table.push('\n');
    }
    table += &explain::plan_table(plan);
    if let Some(pair) = pair {
        table += &pair.table(plan.settings.context);
    }
    // The details begin after 16 columns, 9 and 2.
    let table = text::fitted(&table, 27, columns);
    Ok(out.write_all(table.as_bytes())?)
}

/// A setting of the plan by the name of its flag.
fn value(settings: &Values, setting: &str) -> String {
    let rows = settings.rows();
    let row = rows.into_iter().find(|(name, _)| *name == setting);
    row.map_or(String::new(), |(_, value)| value)
}

fn print_json(
    target: &PlanTarget,
    subject: &Subject,
    pair: Option<&Pair>,
    plan: &Plan,
    error: Option<&BudgetError>,
) -> anyhow::Result<()> {
    let refusal = error.map(|error| format!("{error}; {}", hints::smaller(error, &Flags::default())));
    let report = Report {
        device: &target.name,
        architecture: &subject.shape.arch,
        file_type: &subject.file_type,
        fits: error.is_none(),
        plan,
        largest_context: error.and_then(|error| error.largest_context),
        smaller_type: error.and_then(|error| error.smaller_type),
        refusal,
        run_refuses: subject.run_refuses.as_deref(),
        draft: pair,
    };
    Ok(writeln!(text::stdout(), "{}", text::json(&report)?)?)
}

fn here(ram: Option<u64>) -> anyhow::Result<PlanTarget> {
    let device = Device::probe_under(&Root::system());
    device::warn(&device);
    let run = device
        .profile
        .as_ref()
        .map_or_else(Run::default, |profile| profile.run.clone());
    Ok(PlanTarget {
        name: format!("this machine ({})", device.profile_name()),
        cpus: device.machine.cpus.available,
        base: run.overrides(&device.machine.cpus),
        limit: MemoryLimit::new(
            ram.unwrap_or(device.machine.ram.usable_bytes),
            run.reserve_mib << 20,
        )
        .within(&device.machine.limits),
        run,
        machine: Some(device.machine),
    })
}

/// A profile's device: its memory less what its system takes.
fn there(name: &str, ram: Option<u64>) -> anyhow::Result<PlanTarget> {
    let (profiles, problems) = profile::with_user(profile::user_folder().as_deref());
    for problem in &problems {
        let line = crate::render::text::escaped(&problem.to_string());
        say!("siskin: warning: {line}; this profile is not used");
    }
    let Some(Profile { hardware, run, .. }) = profiles.iter().find(|profile| profile.name == name) else {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        bail!("--device {name}: no such profile; known: {}", names.join(", "));
    };
    let ram = ram.unwrap_or(hardware.ram_mib << 20);
    Ok(PlanTarget {
        name: format!("{name} with {}", size::bytes(ram)),
        run: run.clone(),
        cpus: hardware.cpus.0 as usize,
        base: run.overrides_without_threads(),
        limit: MemoryLimit::new(
            ram.saturating_sub(hardware.system_mib << 20),
            run.reserve_mib << 20,
        ),
        machine: None,
    })
}
