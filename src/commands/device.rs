//! `siskin device`: what this machine has, and which profile fits it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use siskin::device::isa::Isa;
use siskin::device::pages::Measured;
use siskin::device::probe::{Machine, Root};
use siskin::device::settings::Values;
use siskin::{Device, Notice, ggml_hook};

use super::{bench, kernels, notices};
use crate::render::{size, text};

/// The columns that the names of what is shown take.
const NAMES: usize = 10;

/// Shows what siskin found out about this machine, and the profile it uses
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin device --json")]
pub(crate) struct DeviceArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Read /proc and /sys under this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

pub(crate) fn main(args: DeviceArgs) -> anyhow::Result<ExitCode> {
    let root = Root::at(args.root);
    let device = Device::probe_under(&root);
    // What is known of this machine says nothing about another.
    let pages = if root.is_system() { device.pages() } else { vec![] };
    let default = Values::default();
    let asked = kernels::environment()?.kernels;
    let kernels = ggml_hook::select(asked.unwrap_or(default.kernels), default.prefetch_bytes);
    if args.json {
        let report = Report {
            device: &device,
            kernels,
            pages: pages.into_iter().collect(),
        };
        writeln!(text::stdout(), "{}", text::json(&report)?)?;
    } else {
        let table = text::fitted(&table(&device, &kernels, &pages), NAMES, bench::terminal_width());
        text::stdout().write_all(table.as_bytes())?;
    }
    warn(&device);
    Ok(ExitCode::SUCCESS)
}

/// Prints what could not be read of the machine, and instructions that are unused or missing.
pub(super) fn warn(device: &Device) {
    let notes = device.machine.notes.iter().cloned().map(Notice::Machine);
    let warning = device
        .isa
        .warning(device.profile_name())
        .map(Notice::Instructions);
    notices::print(&notes.chain(warning).collect::<Vec<_>>());
}

/// What `--json` shows.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    device: &'a Device,
    kernels: ggml_hook::Status,
    /// Speeds of small and huge pages, in bytes a second, by file system.
    pages: BTreeMap<String, Measured>,
}

fn table(device: &Device, kernels: &ggml_hook::Status, pages: &[(String, Measured)]) -> String {
    let machine = &device.machine;
    let profile = device.profile.as_ref().map_or("none fits".into(), |profile| {
        let own = if profile.user { ", your own" } else { "" };
        format!("{} ({}{own})", profile.name, profile.title)
    });
    let rows = [
        ("machine", machine.board.model.clone().unwrap_or("unknown".into())),
        ("profile", profile),
        ("CPU", cpu(machine)),
        ("available", available(machine)),
        ("supports", names(&machine.cpus.isa)),
        ("built for", names(&device.compiled)),
        ("kernels", kernels.to_string()),
        ("memory", memory(machine)),
        ("heat", heat(machine)),
    ];
    let pages = pages.iter().map(|(file_system, measured)| {
        let (day, speeds) = measured.speeds();
        ("pages", format!("{speeds} ({file_system}, {day})"))
    });
    rows.into_iter()
        .chain(pages)
        .map(|(name, text)| format!("{name:<NAMES$}{text}\n"))
        .collect()
}

fn names(list: &[Isa]) -> String {
    match list {
        [] => "unknown".into(),
        list => list.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(" "),
    }
}

fn cpu(machine: &Machine) -> String {
    let cpus = &machine.cpus;
    let mut text = format!(
        "{} x {}",
        cpus.details.len(),
        cpus.name.as_deref().unwrap_or("unknown")
    );
    if let Some(mhz) = cpus.details.iter().filter_map(|cpu| cpu.max_mhz).max() {
        text += &format!(", {mhz} MHz");
    }
    if let Some(governor) = &cpus.governor {
        text += &format!(", governor {governor}");
    }
    text
}

fn available(machine: &Machine) -> String {
    let cpus = &machine.cpus;
    let mut text = format!(
        "{} CPUs ({} performance cores, {} physical)",
        cpus.available, cpus.big, cpus.physical
    );
    if let Some(quota) = cpus.quota {
        text += &format!(", quota {quota:.2} CPUs");
    }
    text
}

fn memory(machine: &Machine) -> String {
    let ram = &machine.ram;
    let mut text = format!(
        "{} usable of {}",
        size::bytes(ram.usable_bytes),
        size::bytes(ram.total_bytes)
    );
    if let Some(limit) = ram.limits.iter().min_by_key(|limit| limit.room_bytes) {
        text += &format!(", cgroup {} limited to {}", limit.group, size::bytes(limit.bytes));
    }
    text += &match (ram.swap_bytes, ram.zram_bytes) {
        (0, _) => ", no swap".into(),
        (swap, 0) => format!(", swap {}", size::bytes(swap)),
        (swap, zram) => format!(", swap {} (zram {})", size::bytes(swap), size::bytes(zram)),
    };
    text
}

fn heat(machine: &Machine) -> String {
    let heat = &machine.heat;
    let hottest = heat.hottest().map_or("temperature unknown".into(), |zone| {
        format!("{:.1} °C ({})", zone.celsius, zone.kind)
    });
    let throttled = match (heat.throttle, heat.throttle_events) {
        (Some(throttle), _) => match (throttle.now(), throttle.since_start()) {
            (now, _) if !now.is_empty() => format!("now: {}", now.join(", ")),
            (_, past) if !past.is_empty() => format!("since boot: {}", past.join(", ")),
            _ => "never throttled".into(),
        },
        (None, Some(events)) => format!("throttled {events} times since boot"),
        (None, None) => "throttling unknown".into(),
    };
    format!("{hottest}; {throttled}")
}
