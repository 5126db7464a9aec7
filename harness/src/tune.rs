//! Finds the fastest settings for a model on this machine: stage after stage, each a request of two tests over several
//! settings.
//!
//! One setting after the other, each with the best found so far: the settings hardly depend on each other, and all
//! combinations would take hours. At the end the settings found are measured against those tuning started with.
//!
//! Every round runs in its own process: OpenMP reads its policy when a process starts, an idle process with an
//! active policy would take the CPUs from the others, and small boards have memory for one process.

mod stage;
mod table;

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use siskin_device::probe::{Heat, Root};
use siskin_device::settings::{Resolved, Values, WaitPolicy};
use siskin_device::tuned::Tuned;

use crate::cpu_load::{Used, Watch};
pub use crate::event::LeftOut;
use crate::event::{Event, Harness};
use crate::model_info::ModelInfo;
use crate::plan::{self, Setup, Subject, Tests};
use crate::protocol::Turn;
use crate::turns::{Workers, ended_by};
use crate::{BenchError, CpuLoad, summarize};

pub use stage::{Effort, Sample};
use stage::{STAGES, Stage, fastest, result_stage};
pub use table::table;

/// The prompt of a process's warm-up, in tokens.
const WARM_UP: u32 = 16;

/// The variable from which OpenMP reads what waiting threads do.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";

/// What is to be tuned.
#[allow(missing_debug_implementations)] // a closure
pub struct Request<'r> {
    /// The file; `None` for the embedded model.
    pub model: Option<PathBuf>,
    /// What its header states.
    pub info: ModelInfo,
    /// Load it even if siskin cannot check its architecture.
    pub any_architecture: bool,
    /// Where tuning starts: the settings in force without it.
    pub start: Resolved,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// How thoroughly to measure.
    pub effort: Effort,
    /// The variables that put settings in force in a new process. Tuning decides `OMP_WAIT_POLICY` itself.
    pub environment: &'r dyn Fn(&Resolved) -> Vec<(&'static str, &'static str)>,
    /// When it began, in seconds since 1970.
    pub measured_at: u64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct TuneReport {
    /// The settings to keep, and what they gave.
    pub tuned: Tuned,
    /// What the settings gave that tuning started with; `None` if they could not be measured.
    pub before: Option<Sample>,
    /// What the settings found gave, in the same rounds.
    pub after: Sample,
    /// Every value that was measured, in order.
    pub measurements: Vec<Row>,
    /// Other programs used the CPUs when it began.
    pub busy_before: Option<CpuLoad>,
    /// Other programs used the CPUs meanwhile.
    pub busy_meanwhile: Option<CpuLoad>,
    /// The share of the CPUs' time that the host of a virtual machine withheld, if it is worth a note.
    pub withheld: Option<f64>,
}

impl TuneReport {
    /// True if other programs used the machine: the figures are unreliable and should not be saved.
    pub fn is_disturbed(&self) -> bool {
        self.busy_before.is_some() || self.busy_meanwhile.is_some()
    }

    /// How much faster the settings found are than those that tuning started with, in one line.
    pub fn won(&self) -> String {
        let after = &self.after;
        let Some(before) = self.before else {
            return format!("decode {:.1}, prompt {:.1} tokens/s", after.decode, after.prefill);
        };
        if before == *after {
            return "the settings without tuning are the fastest".into();
        }
        let gain = |name: &str, before: f64, after: f64| {
            let percent = 100.0 * (after / before - 1.0);
            format!("{name} {before:.1} -> {after:.1} tokens/s, {percent:+.0} %")
        };
        let decode = gain("decode", before.decode, after.decode);
        format!("{decode}; {}", gain("prompt", before.prefill, after.prefill))
    }

    /// What a reader must know to judge the figures.
    pub fn notes(&self) -> Vec<String> {
        let used = Used {
            others: self.busy_meanwhile.clone(),
            withheld: self.withheld,
        };
        let mut notes: Vec<String> = self.busy_before.iter().map(CpuLoad::at_start).collect();
        notes.extend(used.notes());
        let skipped = self.measurements.iter().filter_map(|row| {
            let reason = row.failure.as_ref()?;
            Some(format!("{} {}: skipped: {reason}", row.setting, row.value))
        });
        notes.extend(skipped);
        notes
    }
}

/// One value of a setting and what was measured with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The setting, by the name of its flag.
    pub setting: &'static str,
    /// The value.
    pub value: String,
    /// Medians of what it gave; `None` if nothing could be measured.
    #[serde(flatten)]
    pub median: Option<Sample>,
    /// True if it was taken.
    pub chosen: bool,
    /// Rounds thrown away because the clock was held down.
    pub dropped_rounds: usize,
    /// Why it was left out.
    pub failure: Option<LeftOut>,
}

/// Finds the fastest settings.
///
/// # Errors
/// The model cannot be run with the settings that tuning starts with or any other of the first stage, no worker can be
/// started, or the user asks to stop.
pub fn run(
    request: &Request<'_>,
    harness: &Harness<'_>,
    mut on_event: impl FnMut(Event<'_>),
) -> Result<TuneReport, BenchError> {
    let (watch, busy_before) = Watch::begin();
    busy_before.iter().for_each(|busy| on_event(Event::Busy(busy)));
    if Heat::probe(&Root::system()).cannot_tell() {
        on_event(Event::ThrottlingUnknown);
    }
    // The policy under test is the worker's; one that this process inherited is not.
    let worker = || {
        let mut command: Command = (harness.worker)();
        command.env_remove(WAIT_POLICY);
        command
    };
    let harness = Harness {
        worker: &worker,
        interrupted: harness.interrupted,
    };
    let mut tuner = Tuner {
        request,
        harness: &harness,
        on_event: &mut on_event,
        total: STAGES
            .iter()
            .map(|stage| stage.trials(&request.start.values, request.cpus).len())
            .sum(),
        done: 0,
        rows: vec![],
    };
    tuner.total = (tuner.total + 2) * request.effort.rounds;
    let (values, before, after) = tuner.tune()?;
    let measurements = tuner.rows;
    let used = watch.end();
    Ok(TuneReport {
        tuned: Tuned {
            settings: stage::tuned(&values),
            prefill_tokens_per_second: after.prefill,
            decode_tokens_per_second: after.decode,
            measured_at: request.measured_at,
        },
        before,
        after,
        measurements,
        busy_before,
        busy_meanwhile: used.others,
        withheld: used.withheld,
    })
}

struct Tuner<'t> {
    request: &'t Request<'t>,
    harness: &'t Harness<'t>,
    on_event: &'t mut dyn FnMut(Event<'_>),
    total: usize,
    done: usize,
    rows: Vec<Row>,
}

impl Tuner<'_> {
    /// Stage after stage. Returns the best settings, what the first gave, what the best gave.
    fn tune(&mut self) -> Result<(Values, Option<Sample>, Sample), BenchError> {
        let start = self.request.start.values;
        let mut best = start;
        for stage in &STAGES {
            let trials = stage.trials(&best, self.request.cpus);
            let medians = self.measure(stage, &trials)?;
            if let Some(index) = fastest(stage.goal, &medians).filter(|_| stage.adopt) {
                best = trials[index].1;
                self.choose(medians.len(), index);
            }
        }
        self.verify(start, best)
    }

    /// Measures the settings found against the first, in the same rounds: what was won must not be drift or noise.
    fn verify(
        &mut self,
        start: Values,
        best: Values,
    ) -> Result<(Values, Option<Sample>, Sample), BenchError> {
        let (stage, trials) = result_stage(start, best);
        let medians = self.measure(&stage, &trials)?;
        let before = medians.first().copied().flatten();
        let after = medians.last().copied().flatten();
        let (won, kept) = stage::kept(stage.goal, before, after).ok_or(BenchError::NothingMeasured)?;
        self.choose(medians.len(), if won { medians.len() - 1 } else { 0 });
        Ok((if won { best } else { start }, before, kept))
    }

    /// Marks one of the last `count` rows.
    fn choose(&mut self, count: usize, index: usize) {
        let first = self.rows.len() - count;
        self.rows[first + index].chosen = true;
    }

    /// Measures every trial of a stage, in rounds, and adds its rows.
    fn measure(
        &mut self,
        stage: &Stage,
        trials: &[(String, Values)],
    ) -> Result<Vec<Option<Sample>>, BenchError> {
        let (prompt, decode, depth) = self
            .request
            .effort
            .lengths(stage.long, self.request.info.shape.training_context);
        let tests = Tests {
            prompts: vec![prompt],
            decodes: vec![decode],
            depths: vec![depth],
            context: None,
            rounds: self.request.effort.rounds,
        };
        let subject = self.subject(trials);
        let cases = plan::cases(std::slice::from_ref(&subject), &tests)?;
        let workers = Workers {
            harness: self.harness,
            subjects: std::slice::from_ref(&subject),
        };
        let mut turns: Vec<Vec<Turn>> = vec![vec![]; trials.len()];
        let mut dropped = vec![0; trials.len()];
        let mut failures: Vec<Option<LeftOut>> = vec![None; trials.len()];
        let mut first_failure = None;
        for _ in 0..tests.rounds {
            for (index, (case, (value, _))) in cases.iter().zip(trials).enumerate() {
                (self.on_event)(Event::Step {
                    done: self.done,
                    total: self.total,
                    what: &format!("{} {value}", stage.name),
                });
                self.done += 1;
                workers.check_interrupted()?;
                if failures[index].is_some() {
                    continue;
                }
                let (setting, value) = (stage.name, value.as_str());
                let turn = workers
                    .start(case, WARM_UP.min(prompt))
                    .and_then(|(mut worker, _)| workers.turn(&mut worker, case));
                match turn {
                    Ok((_, Some(heat))) if heat.throttled == Some(true) => {
                        dropped[index] += 1;
                        (self.on_event)(Event::Throttled { setting, value });
                    }
                    Ok((turn, _)) => turns[index].push(turn),
                    Err(error) => {
                        let Some(reason) = left_out(&error) else {
                            return Err(error);
                        };
                        (self.on_event)(Event::LeftOut {
                            setting,
                            value,
                            reason: &reason,
                        });
                        failures[index] = Some(reason);
                        first_failure.get_or_insert(error);
                    }
                }
            }
        }
        // A model that cannot be run at all is an error. What worked in an earlier stage is not given up.
        let nothing_yet = self.rows.iter().all(|row| row.median.is_none());
        if let Some(error) = first_failure.filter(|_| nothing_yet && failures.iter().all(Option::is_some)) {
            return Err(error);
        }
        let medians: Vec<Option<Sample>> = turns
            .iter()
            .zip(&cases)
            .map(|(turns, case)| sample(turns, case))
            .collect();
        for (index, (value, _)) in trials.iter().enumerate() {
            self.rows.push(Row {
                setting: stage.name,
                value: value.clone(),
                median: medians[index],
                chosen: false,
                dropped_rounds: dropped[index],
                failure: failures[index].take(),
            });
        }
        Ok(medians)
    }

    /// The model, with a setup for each trial.
    fn subject(&self, trials: &[(String, Values)]) -> Subject {
        let setup = |values: Values| {
            let resolved = Resolved {
                values,
                ..self.request.start.clone()
            };
            let mut environment = (self.request.environment)(&resolved);
            environment.retain(|(name, _)| *name != WAIT_POLICY);
            if values.wait_policy != WaitPolicy::Default {
                environment.push((WAIT_POLICY, values.wait_policy.name()));
            }
            Setup {
                resolved,
                environment,
            }
        };
        Subject {
            path: self.request.model.clone(),
            info: self.request.info.clone(),
            setups: trials.iter().map(|(_, values)| setup(*values)).collect(),
            any_architecture: self.request.any_architecture,
        }
    }
}

/// Medians of a trial's turns; `None` of no turns.
fn sample(turns: &[Turn], case: &plan::Case) -> Option<Sample> {
    let speed = |index: usize| summarize::speed(turns, index, *case.tests.get(index)?);
    let (prefill, decode) = (speed(0)?, speed(1)?);
    Some(Sample {
        prefill: prefill.median,
        decode: decode.median,
        peak_rss_bytes: turns
            .iter()
            .filter_map(|turn| turn.peak_rss_bytes)
            .max()
            .unwrap_or(0),
        prefill_spread: prefill.mad / prefill.median,
        decode_spread: decode.mad / decode.median,
    })
}

/// Why a trial is left out after this error; `None` if the error is not the trial's.
fn left_out(error: &BenchError) -> Option<LeftOut> {
    match (ended_by(error), error) {
        (Some(signal), _) => Some(LeftOut::Signal(signal)),
        (None, BenchError::Worker(crate::WorkerError::Start(_))) => None,
        (None, BenchError::Worker(worker)) => Some(LeftOut::Refused(worker.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
