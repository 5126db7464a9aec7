//! `siskin tune`: finds the fastest settings for a model on this machine by measuring, and keeps them.
//!
//! Every round runs in a process of its own: OpenMP reads its policy when a process starts, memory is counted anew,
//! and settings that end the program end only their round.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use siskin::device::budget::ModelFacts;
use siskin::device::probe::{Heat, Root};
use siskin::device::profile::WaitPolicy;
use siskin::device::settings::{Flags, Settings};
use siskin::device::tune::{Effort, LONG, STAGES, Sample, Stage, fastest, median, result};
use siskin::device::tuned::{self, Tunable};
use siskin::engine;
use siskin::kernel;

use super::device::Device;
use super::tune_round::Round;
use super::{explain, interrupt, kernels, model_facts, size};

/// Measures which settings are fastest for a model here, and keeps them
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin tune model.gguf --quick")]
pub(crate) struct TuneArgs {
    /// GGUF file [default: the embedded storyteller]
    model: Option<PathBuf>,
    /// Few rounds, short texts
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Many rounds, long texts: for figures to be published
    #[arg(long)]
    full: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Measure one round and print it: for the command itself
    #[arg(long, hide = true, value_name = "JSON")]
    round: Option<String>,
}

/// One value of a setting and what was measured with it.
#[derive(Debug, Serialize)]
struct Row {
    setting: &'static str,
    value: String,
    #[serde(flatten)]
    median: Option<Sample>,
    chosen: bool,
    dropped_rounds: usize,
    failure: Option<String>,
}

pub(crate) fn main(args: TuneArgs) -> anyhow::Result<ExitCode> {
    engine::silence();
    if let Some(round) = &args.round {
        return super::tune_round::main(args.model.as_deref(), round);
    }
    let device = Device::probe(&Root::system())?;
    device.warn();
    let facts = model_facts::needed(args.model.as_deref())?;
    let effort = match (args.quick, args.full) {
        (true, _) => Effort::QUICK,
        (_, true) => Effort::FULL,
        _ => Effort::USUAL,
    };
    let flags = Flags {
        kernels: kernels::asked(None)?,
        ..Flags::default()
    };
    let settings = device.untuned(&flags, Some(&facts))?;
    let mut tuner = Tuner::new(args.model.clone(), effort, device.machine.cpus.available)?;
    let (trial, best) = tuner.tune(start(&settings))?;
    let path =
        tuned::path().context("neither $XDG_STATE_HOME nor $HOME names a folder to keep results in")?;
    let found = result(&trial, &best, now());
    tuned::save(&path, &tuned::key(&device.machine, &facts), &found)
        .with_context(|| path.display().to_string())?;
    if args.json {
        let report = serde_json::json!({"tuned": found, "measurements": tuner.rows, "file": path});
        writeln!(std::io::stdout(), "{report}")?;
    } else {
        std::io::stdout().write_all(table(&tuner.rows, &facts).as_bytes())?;
        writeln!(std::io::stdout(), "kept in {}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// Where tuning starts: what would be taken without it.
fn start(settings: &Settings) -> Tunable {
    // What can be used is known once it was asked for.
    kernels::select(settings);
    Tunable {
        kernels: kernel::status().kernels,
        ..settings.tunable()
    }
}

struct Tuner {
    program: PathBuf,
    model: Option<PathBuf>,
    effort: Effort,
    cpus: usize,
    rows: Vec<Row>,
    bar: ProgressBar,
}

impl Tuner {
    fn new(model: Option<PathBuf>, effort: Effort, cpus: usize) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template(
            "{msg:<34} {bar:24} {pos}/{len} rounds, {eta} left",
        )?);
        if Heat::probe(&Root::system()).cannot_tell() {
            say!("siskin: this machine does not tell whether it throttles; slow rounds are not thrown away");
        }
        Ok(Tuner {
            program: std::env::current_exe().context("finding this program")?,
            model,
            effort,
            cpus,
            rows: vec![],
            bar,
        })
    }

    /// Stage after stage; the best settings, and what they gave last.
    fn tune(&mut self, start: Tunable) -> anyhow::Result<(Tunable, Sample)> {
        let interrupted = interrupt::listen();
        let trials: usize = STAGES
            .iter()
            .map(|stage| stage.trials(&start, self.cpus).len())
            .sum();
        self.bar.set_length((trials * self.effort.rounds) as u64);
        let (mut now, mut best) = (start, None);
        for stage in &STAGES {
            let trials = stage.trials(&now, self.cpus);
            let (medians, rows) = self.compare(stage, &trials, interrupted)?;
            let chosen = fastest(stage.goal, &medians).filter(|_| stage.adopt);
            if let Some(index) = chosen {
                now = trials[index].1;
                // Figures to keep are those of the usual text.
                best = medians[index].filter(|_| !stage.long).or(best);
            }
            let mark = |(index, row): (usize, Row)| Row {
                chosen: chosen == Some(index),
                ..row
            };
            self.rows.extend(rows.into_iter().enumerate().map(mark));
        }
        self.bar.finish_and_clear();
        let best = best.context("no round could be measured; `siskin run -v` shows llama.cpp's log")?;
        Ok((now, best))
    }

    /// Rounds of all values in turn, so that what disturbs one disturbs all.
    fn compare(
        &self,
        stage: &Stage,
        trials: &[(String, Tunable)],
        interrupted: &std::sync::atomic::AtomicBool,
    ) -> anyhow::Result<(Vec<Option<Sample>>, Vec<Row>)> {
        let mut samples: Vec<Vec<Sample>> = vec![vec![]; trials.len()];
        let mut dropped = vec![0; trials.len()];
        let mut failures: Vec<Option<String>> = vec![None; trials.len()];
        for _ in 0..self.effort.rounds {
            for (index, (value, trial)) in trials.iter().enumerate() {
                self.bar.set_message(format!("{} {value}", stage.name));
                self.bar.inc(1);
                if interrupted.load(std::sync::atomic::Ordering::Relaxed) {
                    bail!("interrupted; nothing was kept");
                }
                if failures[index].is_some() {
                    continue;
                }
                let before = Heat::probe(&Root::system());
                match self.round(stage, trial)? {
                    Ok(_) if Heat::probe(&Root::system()).throttled_since(&before) => {
                        dropped[index] += 1;
                        let text = format!(
                            "siskin: {} {value}: the machine throttled, this round is thrown away",
                            stage.name
                        );
                        self.bar.suspend(|| say!("{text}"));
                    }
                    Ok(sample) => samples[index].push(sample),
                    Err(failure) => {
                        let text = format!("siskin: {} {value}: {failure}; left out", stage.name);
                        self.bar.suspend(|| say!("{text}"));
                        failures[index] = Some(failure);
                    }
                }
            }
        }
        let medians: Vec<Option<Sample>> = samples.iter().map(|samples| median(samples)).collect();
        let rows = trials.iter().enumerate().map(|(index, (value, _))| Row {
            setting: stage.name,
            value: value.clone(),
            median: medians[index],
            chosen: false,
            dropped_rounds: dropped[index],
            failure: failures[index].clone(),
        });
        Ok((medians.clone(), rows.collect()))
    }

    /// One round in a process of its own; the inner error is the round's own failure.
    fn round(&self, stage: &Stage, trial: &Tunable) -> anyhow::Result<Result<Sample, String>> {
        let round = Round {
            trial: *trial,
            prompt: self.effort.prompt * if stage.long { LONG } else { 1 },
            decode: self.effort.decode,
        };
        let mut command = Command::new(&self.program);
        command
            .arg("tune")
            .args(&self.model)
            .arg("--round")
            .arg(serde_json::to_string(&round)?);
        match trial.wait_policy {
            WaitPolicy::Default => command.env_remove("OMP_WAIT_POLICY"),
            policy => command.env("OMP_WAIT_POLICY", explain::word(policy)),
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("starting a round")?;
        if let Some(signal) = output.status.signal() {
            return Ok(Err(format!("llama.cpp ended the round with signal {signal}")));
        }
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Ok(Err(text.trim().trim_start_matches("siskin: ").to_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout).map_err(|error| error.to_string()))
    }
}

fn table(rows: &[Row], facts: &ModelFacts) -> String {
    let ty = facts.file_type.map_or(String::new(), |ty| format!(", {ty}"));
    let mut text = format!(
        "{} of {} blocks{ty}: medians, tokens a second\n",
        facts.arch, facts.layers
    );
    text += &format!(
        "  {:<15}{:<14}{:>9}{:>9}{:>11}\n",
        "setting", "value", "prompt", "decode", "peak RSS"
    );
    for row in rows {
        let mark = if row.chosen { '*' } else { ' ' };
        text += &format!("{mark} {:<15}{:<14}", row.setting, row.value);
        text += &match (&row.median, &row.failure) {
            (_, Some(failure)) => format!(" {failure}"),
            (None, None) => " throttled in every round: unmeasured".into(),
            (Some(median), None) => {
                let memory = size::bytes(median.peak_rss_bytes);
                format!("{:>9.1}{:>9.1}{memory:>11}", median.prefill, median.decode)
            }
        };
        if row.dropped_rounds > 0 {
            text += &format!("  {} throttled rounds thrown away", row.dropped_rounds);
        }
        text.push('\n');
    }
    text + "* taken; cache-type is only shown: it changes what the model says\n\
        flash-attn, cache-type: after a prompt 8 times as long, where attention takes its time\n"
}
