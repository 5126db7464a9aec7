//! `siskin fit`: whether a model fits, on this machine or another, before anything is loaded or downloaded.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use siskin::Device;
use siskin::device::budget::{self, BudgetError, Constraints, MemoryLimit, Plan};
use siskin::device::probe::Root;
use siskin::device::profile::{self, Profile, Run};
use siskin::device::settings::{Overrides, Values};
use siskin_model::FileType;
use siskin_model::arch::Arch;
use siskin_model::config::Config;
use siskin_model::files::Files;
use siskin_model::gguf::Header;
use siskin_model::shape::Shape;
use siskin_quant::outline;

use super::device;
use super::session_args::TuningArgs;
use crate::hints::{self, Flags};
use crate::render::{explain, size};
use crate::text_input;

/// Shows whether a model fits into memory, here or on another device
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin fit config.json --device raspberry-pi-5 --ram 4GiB")]
pub(crate) struct FitArgs {
    /// GGUF file, config.json, or a folder that contains config.json
    model: PathBuf,
    /// Plan for a device, by the name of its profile, e.g. raspberry-pi-5 [default: this machine]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Memory that the device has or, without --device, that may be used here; e.g. 2GiB or 900MiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    ram: Option<u64>,
    /// File type to plan for, if MODEL is not a GGUF file [default: the profile's first]
    #[arg(long = "type", value_name = "TYPE")]
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
    file_type: Option<FileType>,
    plan: Option<&'a Plan>,
    largest_context: Option<u32>,
    smaller_type: Option<FileType>,
    refusal: Option<String>,
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
    let first = target.run.file_types.first().and_then(|name| name.parse().ok());
    let file_type = args.file_type.or(first).unwrap_or(FileType::Q4KM);
    let shape = shape(&args.model, file_type)?;
    let (typed, priority) = args.tuning.overrides()?;
    args.tuning.warn(target.cpus);
    if !Arch::names().contains(&shape.arch.as_str()) {
        say!(
            "siskin: siskin cannot check the architecture {:?}; to run it, give --any-arch to run",
            shape.arch
        );
    }
    let values = Values::default()
        .with(&target.base)
        .with(&priority.overrides())
        .with(&typed);
    let constraints = Constraints {
        fixed: &typed,
        priority,
        force: false,
    };
    let plan = budget::plan(&shape, &values, &target.limit, &constraints);
    if args.json {
        print_json(&target, shape.file_type, &plan)?;
        return Ok(ExitCode::from(u8::from(plan.is_err())));
    }
    let plan = plan?;
    let mut out = std::io::stdout();
    let ty = shape.file_type.map_or("mixed types".into(), |ty| ty.to_string());
    writeln!(
        out,
        "fits on {}: {} of {} blocks, {ty}",
        target.name, shape.arch, shape.layers
    )?;
    for reason in &plan.reasons {
        let line = format!(
            "{:<16}{:>9}  {}",
            reason.setting,
            value(&plan.settings, reason.setting),
            reason.reason
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    out.write_all(explain::plan_table(&plan).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A setting of the plan by the name of its flag.
fn value(settings: &Values, setting: &str) -> String {
    let rows = settings.rows();
    let row = rows.into_iter().find(|(name, _)| *name == setting);
    row.map_or(String::new(), |(_, value)| value)
}

fn print_json(
    target: &PlanTarget,
    file_type: Option<FileType>,
    plan: &Result<Plan, BudgetError>,
) -> anyhow::Result<()> {
    let error = plan.as_ref().err();
    let refusal = error.map(|error| format!("{error}; {}", hints::smaller(error, &Flags::default())));
    let report = Report {
        device: &target.name,
        file_type,
        plan: plan.as_ref().ok(),
        largest_context: error.and_then(|error| error.largest_context),
        smaller_type: error.and_then(|error| error.smaller_type),
        refusal,
    };
    Ok(writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string(&report)?
    )?)
}

/// The shape of a GGUF file, of a `config.json`, or of a checkpoint's folder; the latter two in files of type
/// `file_type`.
fn shape(path: &Path, file_type: FileType) -> anyhow::Result<Shape> {
    let config = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let name = || config.display().to_string();
    if config.extension().is_some_and(|extension| extension == "json") {
        let parsed: Config = serde_json::from_str(&text_input::file(&config)?).with_context(name)?;
        // These errors begin with the file's name.
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        return outline::shape(&parsed, file_type).with_context(|| folder.display().to_string());
    }
    if !path.exists() {
        bail!(
            "{}: no such file; give a GGUF file, a config.json or a checkpoint's folder",
            path.display()
        );
    }
    let mut files = Files::new();
    let index = files.open(path)?;
    let header = Header::read(&files, index)?;
    Shape::from_header(&header).with_context(name)
}

fn here(ram: Option<u64>) -> anyhow::Result<PlanTarget> {
    let device = Device::probe_under(&Root::system())?;
    device::warn(&device);
    let run = device
        .profile
        .as_ref()
        .map_or_else(Run::default, |profile| profile.run.clone());
    Ok(PlanTarget {
        name: format!("this machine ({})", device.profile_name()),
        cpus: device.machine.cpus.available,
        base: run.overrides(&device.machine.cpus),
        limit: MemoryLimit {
            usable_bytes: ram.unwrap_or(device.machine.ram.usable_bytes),
            reserve_bytes: run.reserve_mib << 20,
        },
        run,
    })
}

/// A profile's device: its memory less what its system takes.
fn there(name: &str, ram: Option<u64>) -> anyhow::Result<PlanTarget> {
    let profiles = profile::with_user(profile::user_folder().as_deref())?;
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
        limit: MemoryLimit {
            usable_bytes: ram.saturating_sub(hardware.system_mib << 20),
            reserve_bytes: run.reserve_mib << 20,
        },
    })
}
