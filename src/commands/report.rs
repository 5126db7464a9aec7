//! `siskin report`: measures this machine for a few minutes, and writes what its owner can attach to an issue.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use siskin::device::probe::Root;
use siskin::device::settings::Overrides;
use siskin::{Device, Model, STORYTELLER};
use siskin_harness::report::{self, Format, Layout};
use siskin_harness::result::Results;
use siskin_harness::survey::{self, Effort, Request};
use siskin_harness::{Event, Harness, ModelInfo, Setup, Subject, Tests, longest_context};
use siskin_model::atomic_file::{self, AtomicFile, Overwrite};

use super::{bench, kernels, notices, number};
use crate::render::{progress, text};
use crate::{environment, interrupt};

/// Where reports are collected.
const ISSUES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Measures this machine for a few minutes and writes a report to attach to an issue
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin report model.gguf

The report has the machine, the memory's speed by threads, speed and memory of the embedded storyteller and of the models \
given, what several tokens cost that are computed together, and how speed, clock and heat change while the largest model \
decodes without a pause. It is one JSON file of plain facts: models are named without their folders; there is no name \
of a host or user, no address, no serial number. Let the machine do nothing else meanwhile.

To see what a report contains:

  siskin bench --import siskin-report-raspberry-pi-5-2026-11-27.json -o md")]
pub(crate) struct ReportArgs {
    /// GGUF files, besides the embedded storyteller
    pub(crate) models: Vec<PathBuf>,
    /// Fewer rounds and shorter texts: less than a minute
    #[arg(long)]
    quick: bool,
    /// Seconds for which a model decodes without a pause [default: 60, with --quick 10]
    #[arg(long, value_name = "N", value_parser = number::seconds)]
    seconds: Option<u64>,
    /// File to write; - is stdout [default: siskin-report-BOARD-DATE.json]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the output file if it exists
    #[arg(long)]
    force: bool,
    /// Print the report on stdout and write no file, as -o - does
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn main(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let device = Device::probe();
    let date = bench::now();
    // Before anything is measured: can it be written?
    let output = args.output(&device, &date);
    if let Some(output) = &output {
        atomic_file::check_inputs(output, args.models.iter())?;
        atomic_file::check(output, args.overwrite())?;
    }
    let results = match args.measure(&device, date) {
        Ok(results) => results,
        Err(error) => match bench::interruption(&error) {
            Some(code) => {
                say!("siskin: interrupted; nothing was written");
                return Ok(code);
            }
            None => return Err(error),
        },
    };
    let json = report::render(&results, Format::Json, &Layout::default());
    let mut out = text::stdout();
    let Some(output) = output else {
        out.write_all(json.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let file = AtomicFile::create(&output, args.overwrite())?;
    file.write_all(json.as_bytes())?;
    file.commit()?;
    let layout = Layout {
        width: bench::width(),
        ..Layout::default()
    };
    out.write_all(report::render(&results, Format::Table, &layout).as_bytes())?;
    let name = output.display().to_string();
    let line = format!(
        "wrote {}, which names no person, host or folder; to help others with such a machine, attach it to an issue: {ISSUES}",
        text::escaped(&name)
    );
    write!(out, "\n{}", report::wrap(&line, "", layout.width))?;
    Ok(ExitCode::SUCCESS)
}

impl ReportArgs {
    fn overwrite(&self) -> Overwrite {
        match self.force {
            true => Overwrite::Replace,
            false => Overwrite::Refuse,
        }
    }

    /// The file to write; `None` for stdout.
    fn output(&self, device: &Device, date: &str) -> Option<PathBuf> {
        match &self.output {
            _ if self.json => None,
            Some(output) if output.as_os_str() == "-" => None,
            Some(output) => Some(output.clone()),
            None => Some(free_name(&format!(
                "siskin-report-{}-{}",
                board(device),
                day(date)
            ))),
        }
    }

    fn measure(&self, device: &Device, date_utc: String) -> anyhow::Result<Results> {
        let effort = if self.quick { Effort::QUICK } else { Effort::USUAL };
        let mut subjects = vec![self.subject(device, None, embedded()?, effort)?];
        let mut infos = Vec::with_capacity(self.models.len());
        for path in &self.models {
            infos.push(ModelInfo::open(path)?);
        }
        number_alike(&mut infos);
        for (path, info) in self.models.iter().zip(infos) {
            subjects.push(self.subject(device, Some(path), info, effort)?);
        }
        let seconds = self.seconds.unwrap_or(effort.sustained_seconds);
        let request = Request {
            hardware: survey::describe(&Root::system(), &device.machine, device.profile.as_ref()),
            cpus: device.machine.cpus.available,
            sustained: Duration::from_secs(seconds),
            command: self.command(&subjects, seconds),
            date_utc,
            available_bytes: Some(device.machine.ram.usable_bytes),
            subjects,
        };
        let program = std::env::current_exe().context("this program, to start it as a worker")?;
        let harness = Harness {
            worker: &|| bench::worker_command(&program, self.verbose),
            interrupted: interrupt::listen(),
        };
        let (bar, mut warned) = (progress::steps(), false);
        let results = survey::run(&request, &harness, |event| match event {
            Event::Step { done, total, what } => progress::show_step(&bar, done, total, what),
            // Once, not for every model.
            event if !warned => {
                warned = true;
                bar.suspend(|| say!("siskin: warning: {event}"));
            }
            _ => {}
        });
        bar.finish_and_clear();
        Ok(results?)
    }

    /// A model as `run` would run it, and what is measured of it: less if memory is short.
    fn subject(
        &self,
        device: &Device,
        path: Option<&Path>,
        info: ModelInfo,
        effort: Effort,
    ) -> anyhow::Result<(Subject, Tests)> {
        let plan = |tests: &Tests| -> anyhow::Result<siskin::LoadPlan> {
            let builder = path.map_or_else(Model::embedded, Model::builder);
            builder
                .device(device.clone())
                .overrides(Overrides {
                    context: Some(longest_context(&info, tests)?),
                    ..Overrides::default()
                })
                .environment(kernels::environment()?)
                .plan_for(Some(info.shape.clone()))
                .with_context(|| info.model.name.clone())
        };
        let full = effort.tests(&info, false);
        let (tests, plan) = match plan(&full) {
            Ok(plan) => (full, plan),
            Err(_) => {
                let modest = effort.tests(&info, true);
                let plan = plan(&modest)?;
                (modest, plan)
            }
        };
        let applied = plan.apply();
        // What holds for the machine is said once.
        if path.is_none() {
            notices::print(&plan.notices);
            notices::print(&applied);
        }
        let subject = Subject {
            path: path.map(Path::to_owned),
            setups: vec![Setup {
                environment: environment::wanted(&plan.settings, info.shape.weight_bytes),
                resolved: plan.settings,
            }],
            any_architecture: false,
            info,
        };
        Ok((subject, tests))
    }

    /// The command without folders, for the report.
    fn command(&self, subjects: &[(Subject, Tests)], seconds: u64) -> String {
        let given = subjects.iter().filter(|(subject, _)| subject.path.is_some());
        let models = given.map(|(subject, _)| format!(" {}.gguf", subject.info.model.name));
        let quick = if self.quick { " --quick" } else { "" };
        format!(
            "siskin report{}{quick} --seconds {seconds}",
            models.collect::<String>()
        )
    }
}

fn embedded() -> anyhow::Result<ModelInfo> {
    Ok(ModelInfo::from_bytes(STORYTELLER, "storyteller")?)
}

/// Files of one name get a number: their folders are not for others to see.
fn number_alike(infos: &mut [ModelInfo]) {
    for index in 1..infos.len() {
        let (before, rest) = infos.split_at_mut(index);
        let model = &mut rest[0].model;
        let name = model.name.clone();
        let mut number = 2;
        while before.iter().any(|other| other.model.title() == model.title()) {
            model.name = format!("{name} ({number})");
            number += 1;
        }
    }
}

/// A word for the machine: its profile's name if the profile is one for a board, else what the system calls it.
fn board(device: &Device) -> String {
    let machine = &device.machine;
    let profile = device.profile.as_ref();
    let profile = profile.filter(|profile| !profile.user && !profile.recognise.compatible.is_empty());
    let named = profile.map(|profile| profile.name.clone());
    let named = named.or_else(|| machine.board.model.clone());
    let named = named.or_else(|| machine.cpus.name.clone());
    slug(&named.unwrap_or_else(|| std::env::consts::ARCH.into()))
}

/// Lower-case letters and digits, joined by dashes.
fn slug(name: &str) -> String {
    const LONGEST: usize = 40;
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut slug = words.join("-");
    slug.truncate(LONGEST);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "machine" } else { slug }.to_owned()
}

/// The day of a time of RFC 3339.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

/// `start.json`, or with the first number that no file has: a second report of a day does not replace the first.
fn free_name(start: &str) -> PathBuf {
    let numbered = (2..1000).map(|number| format!("{start}-{number}.json"));
    let mut names = std::iter::once(format!("{start}.json")).chain(numbered);
    let free = names.find(|name| !Path::new(name).exists());
    free.unwrap_or_else(|| format!("{start}.json")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_are_names_of_files() {
        let cases = [
            ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5-model-b-rev-1-0"),
            ("Intel(R) Xeon(R) Processor", "intel-r-xeon-r-processor"),
            ("../../etc", "etc"),
            ("日本", "machine"),
            ("", "machine"),
            (
                "a very long name of a machine of the kind that",
                "a-very-long-name-of-a-machine-of-the-kin",
            ),
        ];
        for (name, want) in cases {
            assert_eq!(slug(name), want);
        }
        assert_eq!(day("2026-11-27T16:21:08Z"), "2026-11-27");
    }

    #[test]
    fn models_of_one_name_are_numbered() {
        let mut infos = vec![embedded().expect("a model"); 3];
        number_alike(&mut infos);
        let names: Vec<&str> = infos.iter().map(|info| info.model.name.as_str()).collect();
        assert_eq!(names, ["storyteller", "storyteller (2)", "storyteller (3)"]);
    }
}
