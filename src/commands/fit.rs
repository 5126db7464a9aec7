//! `siskin fit`: will a model fit, on this machine or on another, before anything is loaded or downloaded.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use siskin::device::budget::{self, BudgetError, Plan, Room, Wishes};
use siskin::device::probe::Root;
use siskin::device::profile::{self, Profile, Run};
use siskin::engine;
use siskin_model::FileType;

use super::device::Device;
use super::session_args::TuningArgs;
use super::{explain, model_facts, size};

/// Plans what a model takes in memory, for this machine or another
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin fit config.json --device raspberry-pi-5 --ram 4GiB")]
pub(crate) struct FitArgs {
    /// GGUF file, config.json, or a folder that holds one
    model: PathBuf,
    /// Plan for the device of this profile [default: this machine]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Memory: of the device, or usable on this machine, e.g. 2GiB or 900MiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    ram: Option<u64>,
    /// File type, where the model is not a GGUF file [default: the profile's first]
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
struct Place {
    name: String,
    run: Run,
    cpus: usize,
    room: Room,
}

pub(crate) fn main(args: FitArgs) -> anyhow::Result<ExitCode> {
    engine::silence();
    let place = match &args.device {
        Some(name) => there(name, args.ram)?,
        None => here(args.ram)?,
    };
    let first = place.run.file_types.first().and_then(|name| name.parse().ok());
    let file_type = args.file_type.or(first).unwrap_or(FileType::Q4KM);
    let facts = model_facts::of_any(&args.model, file_type)?;
    let flags = args.tuning.flags()?;
    args.tuning.warn(place.cpus);
    let wishes = Wishes {
        force: false,
        ..flags.wishes()
    };
    let plan = budget::plan(&facts, &place.run, &place.room, &wishes);
    if args.json {
        print_json(&place, facts.file_type, &plan)?;
        return Ok(ExitCode::from(u8::from(plan.is_err())));
    }
    let plan = plan?;
    let mut out = std::io::stdout();
    let ty = facts.file_type.map_or("other types".into(), |ty| ty.to_string());
    writeln!(
        out,
        "fits on {}: {} of {} blocks, {ty}",
        place.name, facts.arch, facts.layers
    )?;
    for reason in &plan.reasons {
        writeln!(
            out,
            "{:<16}{:>9}  {}",
            reason.setting,
            value(&plan, reason.setting),
            reason.reason
        )?;
    }
    out.write_all(explain::plan_table(&plan).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A setting of the plan by the name of its flag.
fn value(plan: &Plan, setting: &str) -> String {
    let settings = &plan.settings;
    let on_off = |on: bool| if on { "on" } else { "off" };
    match setting {
        "ctx-size" => settings.context.to_string(),
        "cache-type" => budget::kv_name(settings.kv_type).into(),
        "ubatch-size" => settings.ubatch.to_string(),
        "repack" => on_off(settings.repack).into(),
        "mmap" => on_off(settings.mmap).into(),
        _ => String::new(),
    }
}

fn print_json(
    place: &Place,
    file_type: Option<FileType>,
    plan: &Result<Plan, BudgetError>,
) -> anyhow::Result<()> {
    let error = plan.as_ref().err();
    let report = Report {
        device: &place.name,
        file_type,
        plan: plan.as_ref().ok(),
        largest_context: error.and_then(|error| error.largest_context),
        smaller_type: error.and_then(|error| error.smaller_type),
        refusal: error.map(ToString::to_string),
    };
    Ok(writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string(&report)?
    )?)
}

fn here(ram: Option<u64>) -> anyhow::Result<Place> {
    let device = Device::probe(&Root::system())?;
    device.warn();
    let run = device
        .profile
        .as_ref()
        .map_or_else(Run::default, |profile| profile.run.clone());
    Ok(Place {
        name: format!("this machine ({})", device.name()),
        cpus: device.machine.cpus.available,
        room: Room {
            usable_bytes: ram.unwrap_or(device.machine.ram.usable_bytes),
            reserve_bytes: run.reserve_mib << 20,
        },
        run,
    })
}

/// A profile's device: its memory less what its system takes.
fn there(name: &str, ram: Option<u64>) -> anyhow::Result<Place> {
    let profiles = profile::with_user(profile::user_folder().as_deref())?;
    let Some(Profile { hardware, run, .. }) = profiles.iter().find(|profile| profile.name == name) else {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        bail!("--device {name}: no such profile; there are {}", names.join(", "));
    };
    let ram = ram.unwrap_or(hardware.ram_mib << 20);
    Ok(Place {
        name: format!("{name} with {}", size::bytes(ram)),
        run: run.clone(),
        cpus: hardware.cpus.0 as usize,
        room: Room {
            usable_bytes: ram.saturating_sub(hardware.system_mib << 20),
            reserve_bytes: run.reserve_mib << 20,
        },
    })
}
