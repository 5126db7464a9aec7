//! `siskin fit`: whether a model fits, on this machine or another, before anything is loaded or downloaded.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use siskin::Device;
use siskin::device::budget::{self, BudgetError, Constraints, MemoryLimit, Plan};
use siskin::device::probe::Root;
use siskin::device::profile::{self, Profile, Run};
use siskin::device::settings::{Overrides, Values};
use siskin_model::config::Config;
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::Shape;
use siskin_model::{ErrorKind, FileType};
use siskin_model::{summary, validate};
use siskin_quant::{checkpoint, outline};

use super::names::DeviceName;
use super::session_args::TuningArgs;
use super::target_args::file_types;
use super::{bench, device, model_name};
use crate::hints::{self, Flags};
use crate::render::{explain, size, text};
use crate::text_input;

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
    /// File type to plan for: a GGUF file is then planned as siskin quantize would make it [default: a GGUF file's own,
    /// else the profile's first]
    #[arg(long = "type", value_name = "TYPE", value_parser = file_types(), ignore_case = true)]
    file_type: Option<FileType>,
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
}

/// A model whose memory is planned.
struct Subject {
    shape: Shape,
    /// The name of the file's type.
    file_type: String,
    /// Why `siskin run` would refuse the model even if it fits.
    run_refuses: Option<String>,
}

/// The machine a plan is made for.
struct PlanTarget {
    name: String,
    run: Run,
    cpus: usize,
    /// The profile's settings there.
    base: Overrides,
    limit: MemoryLimit,
}

pub(crate) fn main(args: FitArgs) -> anyhow::Result<ExitCode> {
    let target = match &args.device {
        Some(name) => there(name, args.ram)?,
        None => here(args.ram)?,
    };
    let subject = subject(&args, &target)?;
    let shape = &subject.shape;
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
    let plan = budget::plan(shape, &values, &target.limit, &constraints);
    // What takes the memory is shown in any case.
    let (shown, refusal) = match plan {
        Ok(plan) => (plan, None),
        Err(error) => (Plan::clone(&error.plan), Some(error)),
    };
    if args.json {
        print_json(&target, &subject, &shown, refusal.as_ref())?;
        return Ok(ExitCode::from(u8::from(refusal.is_some())));
    }
    print_table(&target, &subject, &shown)?;
    match refusal {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn print_table(target: &PlanTarget, subject: &Subject, plan: &Plan) -> anyhow::Result<()> {
    let mut out = text::stdout();
    let fits = if plan.fits { "fits" } else { "does not fit" };
    let shape = &subject.shape;
    writeln!(
        out,
        "{fits} on {}: {} of {} blocks, {}",
        target.name, shape.arch, shape.layers, subject.file_type
    )?;
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
    // The details begin after 16 columns, 9 and 2.
    let table = text::fitted(&table, 27, bench::terminal_width());
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
    };
    Ok(writeln!(text::stdout(), "{}", text::json(&report)?)?)
}

/// A GGUF file, a `config.json`, or a checkpoint's folder; the latter two in files of the type that was asked for, or of
/// the device's first.
fn subject(args: &FitArgs, target: &PlanTarget) -> anyhow::Result<Subject> {
    let path = &args.model;
    if model_name::is_elsewhere(path) {
        return elsewhere(args, target);
    }
    let config = if path.is_dir() {
        checkpoint::snapshot(path)?.join("config.json")
    } else {
        path.clone()
    };
    let name = || config.display().to_string();
    if config.extension().is_some_and(|extension| extension == "json") {
        let first = target.run.file_types.first().and_then(|name| name.parse().ok());
        let file_type = args.file_type.or(first).unwrap_or(FileType::Q4KM);
        let parsed = Config::from_json(text_input::file(&config)?.as_bytes()).with_context(name)?;
        let shape = outline::shape(&parsed, file_type).with_context(name)?;
        return Ok(Subject {
            shape,
            file_type: file_type.name().to_owned(),
            run_refuses: None,
        });
    }
    if std::fs::symlink_metadata(path).is_err() {
        bail!(
            "{}: no such file; give a GGUF file, a config.json or a checkpoint's folder",
            path.display()
        );
    }
    of_header(&ModelFile::open(path)?.header, args.file_type).with_context(name)
}

/// A GGUF file by its header, in its own type or another.
fn of_header(header: &Header, asked: Option<FileType>) -> anyhow::Result<Subject> {
    let stored = summary::file_type(header);
    let file_type = asked.map_or(stored, |ty| ty.name().to_owned());
    let refuses = validate::check_model(header, false).err();
    let run_refuses = refuses.map(|error| match error.kind() {
        ErrorKind::UnknownArchitecture => format!("{error}; --any-arch runs it unchecked"),
        _ => error.to_string(),
    });
    Ok(Subject {
        shape: outline::requantized(header, asked)?,
        file_type,
        run_refuses,
    })
}

/// A model that is not here, by its headers.
#[cfg(feature = "pull")]
fn elsewhere(args: &FitArgs, target: &PlanTarget) -> anyhow::Result<Subject> {
    use siskin_hub::net::pull::Look;

    let first = target.run.file_types.first().map(String::as_str);
    let wanted = args.file_type.map(FileType::name).or(first);
    let seen = super::elsewhere::look(&args.model, wanted)?;
    let name = || args.model.display().to_string();
    let (subject, bytes) = match seen.look {
        Look::Ready(files) => {
            let model = ModelFile::of(files.remote()?)?;
            (of_header(&model.header, None).with_context(name)?, files.bytes())
        }
        Look::Checkpoint {
            config,
            bytes,
            file_type,
            ..
        } => {
            let parsed = Config::from_json(&config).with_context(name)?;
            let subject = Subject {
                shape: outline::shape(&parsed, file_type).with_context(name)?,
                file_type: file_type.name().to_owned(),
                run_refuses: None,
            };
            (subject, bytes)
        }
    };
    if !args.json {
        say!(
            "siskin: {} to download{}",
            size::bytes(bytes),
            seen.rate.time(bytes)
        );
    }
    Ok(subject)
}

#[cfg(not(feature = "pull"))]
fn elsewhere(args: &FitArgs, _: &PlanTarget) -> anyhow::Result<Subject> {
    bail!(
        "{}: this build of siskin looks at no other machine",
        args.model.display()
    )
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
    })
}
