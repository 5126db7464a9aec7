//! `siskin device`: what this machine has and which profile fits it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use siskin::device::budget::ModelFacts;
use siskin::device::isa::{CpuArch, Fit, Isa};
use siskin::device::probe::{Machine, Root};
use siskin::device::profile::{self, Affinity, Profile};
use siskin::device::settings::{self, Flags, Settings, Sources};
use siskin::device::tuned::{self, Tuned};
use siskin::engine;
use siskin::kernel;

use super::{kernels, size};

/// Shows this machine and the profile chosen for it
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

/// A machine with its profile, as every command that loads a model sees it.
#[derive(Debug, Serialize)]
pub(crate) struct Device {
    pub(crate) machine: Machine,
    /// `None` where no profile fits.
    pub(crate) profile: Option<Profile>,
    /// What this binary's kernels were compiled with.
    pub(crate) compiled: Vec<Isa>,
    pub(crate) isa: Fit,
}

impl Device {
    /// Probes the machine under `root` and chooses its profile.
    pub(crate) fn probe(root: &Root) -> anyhow::Result<Self> {
        let machine = Machine::probe(root);
        let profiles = profile::with_user(profile::user_folder().as_deref())?;
        let profile = profile::choose(&profiles, &profile::Traits::of(&machine)).cloned();
        let compiled = Isa::from_ggml(engine::compiled_features().iter().map(String::as_str));
        // A fixture of another architecture says nothing of this binary.
        let isa = match CpuArch::of_this_program() {
            Some(arch) if arch == machine.cpus.arch => Fit::of(&compiled, &machine.cpus.isa),
            _ => Fit::default(),
        };
        Ok(Device {
            machine,
            profile,
            compiled,
            isa,
        })
    }

    /// Decides how a model of this shape is run here; the second part is to be said of what was tuned.
    pub(crate) fn settings(
        &self,
        flags: &Flags,
        facts: Option<&ModelFacts>,
    ) -> anyhow::Result<(Settings, Option<String>)> {
        let tuned = facts.zip(tuned::path());
        let tuned = tuned.map(|(facts, path)| tuned::load(&path, &tuned::key(&self.machine, facts)));
        let (tuned, note) = tuned.unwrap_or_default();
        Ok((self.resolve(flags, tuned.as_ref(), facts)?, note))
    }

    /// The same without what was tuned.
    pub(crate) fn untuned(&self, flags: &Flags, facts: Option<&ModelFacts>) -> anyhow::Result<Settings> {
        self.resolve(flags, None, facts)
    }

    fn resolve(
        &self,
        flags: &Flags,
        tuned: Option<&Tuned>,
        facts: Option<&ModelFacts>,
    ) -> anyhow::Result<Settings> {
        let amx = self.repacks_for_amx();
        if amx && flags.repack == Some(true) && !flags.force {
            bail!(
                "--repack: on this CPU llama.cpp would repack the weights for AMX, and its AMX code, compiled by \
                 GCC 12, ends the program; leave it out, or say --force"
            );
        }
        // A profile or an old measurement asks for no more than a flag may.
        let (mut profile, mut tuned) = (self.profile.clone(), tuned.cloned());
        if amx {
            profile.iter_mut().for_each(|profile| profile.run.repack = false);
            tuned.iter_mut().for_each(|tuned| tuned.settings.repack = false);
        }
        Ok(settings::resolve(&Sources {
            flags,
            tuned: tuned.as_ref(),
            profile: profile.as_ref(),
            machine: &self.machine,
            facts,
        })?)
    }

    /// True where llama.cpp would take its AMX kernels for repacked weights. GCC 12 drops half of the stores to the
    /// tile configuration that they load, so that loading it faults; nothing tells which compiler built them.
    fn repacks_for_amx(&self) -> bool {
        [&self.compiled, &self.machine.cpus.isa]
            .iter()
            .all(|list| list.contains(&Isa::AmxInt8))
    }

    /// Binds this thread, and those it will start, to the CPUs that `affinity` names.
    pub(crate) fn bind(&self, affinity: Affinity) {
        let cpus = &self.machine.cpus.details;
        if affinity == Affinity::None || cpus.iter().all(|cpu| cpu.big) {
            return;
        }
        let mut set = rustix::thread::CpuSet::new();
        let usable = cpus.iter().filter(|cpu| cpu.big && cpu.allowed);
        usable
            .filter(|cpu| cpu.id < rustix::thread::CpuSet::MAX_CPU)
            .for_each(|cpu| set.set(cpu.id));
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            say!("siskin: the threads are not bound to the fast CPUs: {error}");
        }
    }

    /// The profile's name.
    pub(crate) fn name(&self) -> &str {
        self.profile.as_ref().map_or("native", |profile| &profile.name)
    }

    /// What is to be said before a model is loaded: entries that could not be read, instructions unused or lacking.
    pub(crate) fn warn(&self) {
        for note in &self.machine.notes {
            say!("siskin: {note}");
        }
        if let Some(warning) = self.isa.warning(self.name()) {
            say!("siskin: {warning}");
        }
    }
}

pub(crate) fn main(args: DeviceArgs) -> anyhow::Result<ExitCode> {
    engine::silence();
    let device = Device::probe(&Root::at(args.root))?;
    let default = kernel::Settings::default();
    let asked = kernels::asked(None)?.map(|asked| asked.value);
    let kernels = kernel::select(&kernel::Settings {
        kernels: asked.unwrap_or(default.kernels),
        ..default
    });
    if args.json {
        let shown = Shown {
            device: &device,
            kernels,
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&shown)?)?;
    } else {
        std::io::stdout().write_all(table(&device, &kernels).as_bytes())?;
    }
    device.warn();
    Ok(ExitCode::SUCCESS)
}

/// What `--json` shows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    device: &'a Device,
    kernels: kernel::Status,
}

fn table(device: &Device, kernels: &kernel::Status) -> String {
    let machine = &device.machine;
    let profile = device.profile.as_ref().map_or("none fits".into(), |profile| {
        let own = if profile.user { ", your own" } else { "" };
        format!("{} ({}{own})", profile.name, profile.title)
    });
    let rows = [
        ("machine", machine.board.model.clone().unwrap_or("unknown".into())),
        ("profile", profile),
        ("cpu", cpu(machine)),
        ("available", available(machine)),
        ("isa", names(&machine.cpus.isa)),
        ("compiled", names(&device.compiled)),
        ("kernels", kernels.to_string()),
        ("memory", memory(machine)),
        ("heat", heat(machine)),
    ];
    rows.into_iter()
        .map(|(name, text)| format!("{name:<10}{text}\n"))
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
        "{} CPUs: {} fast, {} on cores of their own",
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
        text += &format!(", {} limited to {}", limit.group, size::bytes(limit.bytes));
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
    let hottest = heat.hottest().map_or("unknown".into(), |zone| {
        format!("{:.1} °C ({})", zone.celsius, zone.kind)
    });
    let throttled = match (heat.throttle, heat.throttle_events) {
        (Some(throttle), _) => match (throttle.now(), throttle.since_start()) {
            (now, _) if !now.is_empty() => format!("now {}", now.join(", ")),
            (_, past) if !past.is_empty() => format!("since the start {}", past.join(", ")),
            _ => "never throttled".into(),
        },
        (None, Some(events)) => format!("throttled {events} times since the start"),
        (None, None) => "whether it throttles is unknown".into(),
    };
    format!("{hottest}; {throttled}")
}
