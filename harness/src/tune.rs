//! Finds the fastest settings for a model on this machine: stage after stage, each a request of two tests over several
//! settings.
//!
//! One setting after the other, each with the best found so far: the settings hardly depend on each other, and all
//! combinations would take hours. At the end the settings found are measured against those tuning started with.
//!
//! Every round runs in its own process: OpenMP reads its policy when a process starts, an idle process with an
//! active policy would take the CPUs from the others, and small boards have memory for one process.

mod choose;
mod estimate;
mod outcome;
mod passes;
mod stage;
mod table;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use siskin_device::probe::{Heat, Root};
use siskin_device::settings::{Resolved, Values, WaitPolicy};
use siskin_device::tuned::Tuned;

use crate::cpu_load::Watch;
pub use crate::event::LeftOut;
use crate::event::{Event, Harness};
use crate::model_info::ModelInfo;
use crate::plan::{self, Setup, Subject, Tests};
use crate::protocol::Turn;
use crate::turns::{Workers, ended_by};
use crate::{BenchError, CpuLoad, Summary, summarize};

use choose::{Trial, fastest};
pub(crate) use estimate::about;
use estimate::{Probe, Work};
pub use outcome::{Row, TuneReport};
pub use stage::{Effort, Sample};
use stage::{STAGES, Stage, result_stage};
pub use table::table;

/// The prompt of a process's warm-up, in tokens.
const WARM_UP: u32 = 16;

/// The variable from which OpenMP reads what waiting threads do.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
/// Both variables for it; the number of looks would win.
const WAITING: [&str; 2] = [WAIT_POLICY, "GOMP_SPINCOUNT"];

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
        total: 0,
        done: 0,
        rows: vec![],
        busy: None,
        has_warned: busy_before.is_some(),
    };
    tuner.estimate()?;
    let found = tuner.tune()?;
    let pass_costs = tuner.passes(found.values)?;
    let (measurements, busy) = (tuner.rows, tuner.busy);
    let used = watch.end();
    let after = found.kept;
    Ok(TuneReport {
        tuned: Tuned {
            settings: stage::tuned(&found.values),
            prefill_tokens_per_second: after.prefill,
            decode_tokens_per_second: after.decode,
            measured_at: request.measured_at,
            pass_costs,
        },
        before: found.before,
        after,
        changed: found.changed,
        measurements,
        busy_before,
        busy_meanwhile: busy.or(used.others),
        withheld: used.withheld,
    })
}

/// What the last comparison gave.
struct Found {
    /// The settings to keep.
    values: Values,
    /// Whether they are others than the first.
    changed: bool,
    before: Option<Sample>,
    kept: Sample,
}

struct Tuner<'t> {
    request: &'t Request<'t>,
    harness: &'t Harness<'t>,
    on_event: &'t mut dyn FnMut(Event<'_>),
    total: usize,
    done: usize,
    rows: Vec<Row>,
    /// What other programs used in the stage in which they used most.
    busy: Option<CpuLoad>,
    has_warned: bool,
}

impl Tuner<'_> {
    /// Counts the steps, and times one turn with the settings that tuning starts with to say how long they take.
    /// Settings that cannot be run are reported by their stage.
    fn estimate(&mut self) -> Result<(), BenchError> {
        let (start, cpus) = (self.request.start.values, self.request.cpus);
        let effort = self.request.effort;
        let last = result_stage(start, start).0;
        let stages = STAGES
            .iter()
            .map(|stage| (*stage, effort.rounds, stage.trials(&start, cpus)));
        let both = vec![("before".to_owned(), start), ("after".to_owned(), start)];
        let stages: Vec<_> = stages.chain([(last, effort.last_rounds(), both)]).collect();
        let steps = stages.iter().map(|(_, rounds, trials)| rounds * trials.len());
        let depths = self.pass_depths();
        self.total = steps.sum::<usize>() + depths.len() * effort.rounds;
        let Some(probe) = self.probe(start)? else {
            return Ok(());
        };
        let seconds = stages.iter().map(|(stage, rounds, trials)| {
            let (prompt, decode, depth) = self.lengths(stage);
            let work = Work {
                prompt: WARM_UP.min(prompt) + depth + prompt,
                decode,
            };
            let trials = trials.iter().map(|(_, values)| probe.seconds(work, values));
            trials.sum::<f64>() * *rounds as f64
        });
        let passes = depths.iter().map(|&depth| passes::work(depth, effort.rounds));
        let passes = passes.map(|work| probe.seconds(work, &start));
        let seconds = seconds.sum::<f64>() + passes.sum::<f64>();
        (self.on_event)(Event::Estimate { seconds });
        Ok(())
    }

    /// One turn with `values`; `None` if they cannot be run.
    fn probe(&mut self, values: Values) -> Result<Option<Probe>, BenchError> {
        let (prompt, decode, _) = self.lengths(&STAGES[0]);
        let subject = self.subject(&[(String::new(), values)]);
        let tests = tests(prompt, decode, 0, 1);
        let cases = plan::cases(std::slice::from_ref(&subject), &tests)?;
        let workers = Workers {
            harness: self.harness,
            subjects: std::slice::from_ref(&subject),
        };
        (self.on_event)(Event::Step {
            done: 0,
            total: self.total,
            what: "estimating how long this takes",
        });
        workers.check_interrupted()?;
        let (case, warm_up, began) = (&cases[0], WARM_UP.min(prompt), Instant::now());
        let turn = workers
            .start(case, warm_up)
            .and_then(|(mut worker, _)| workers.turn(&mut worker, case));
        let turn = match turn {
            Ok((turn, _)) => turn,
            Err(error) if left_out(&error).is_some() => return Ok(None),
            Err(error) => return Err(error),
        };
        let sample = trial(&[Some(turn)], case).map(|trial| trial.median);
        Ok(sample.map(|sample| Probe {
            seconds: began.elapsed().as_secs_f64(),
            work: Work {
                prompt: warm_up + prompt,
                decode,
            },
            prefill: sample.prefill,
            decode: sample.decode,
            threads: (values.threads, values.threads_batch),
        }))
    }

    /// Tokens of the prompt, tokens decoded, tokens in the context before.
    fn lengths(&self, stage: &Stage) -> (u32, u32, u32) {
        let training = self.request.info.shape.training_context;
        self.request.effort.lengths(stage.long, training)
    }

    /// Stage after stage.
    fn tune(&mut self) -> Result<Found, BenchError> {
        let start = self.request.start.values;
        let mut best = start;
        for stage in &STAGES {
            let trials = stage.trials(&best, self.request.cpus);
            let measured = self.measure(stage, &trials, self.request.effort.rounds)?;
            if let Some(index) = fastest(stage.goal, &measured).filter(|_| stage.adopt) {
                best = trials[index].1;
                self.choose(measured.len(), index);
            }
        }
        self.verify(start, best)
    }

    /// Measures the settings found against the first, in the same rounds: what was won must not be drift or noise.
    fn verify(&mut self, start: Values, best: Values) -> Result<Found, BenchError> {
        let (stage, trials) = result_stage(start, best);
        let measured = self.measure(&stage, &trials, self.request.effort.last_rounds())?;
        let (before, after) = (measured.first(), measured.get(1));
        let [before, after] = [before, after].map(|trial| trial.and_then(Option::as_ref));
        let kept = choose::kept(stage.goal, before, after);
        let (changed, kept) = kept.ok_or(BenchError::NothingMeasured)?;
        self.choose(measured.len(), usize::from(changed));
        Ok(Found {
            values: if changed { best } else { start },
            changed,
            before: before.map(|trial| trial.median),
            kept,
        })
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
        rounds: usize,
    ) -> Result<Vec<Option<Trial>>, BenchError> {
        let (prompt, decode, depth) = self.lengths(stage);
        let tests = tests(prompt, decode, depth, rounds);
        let subject = self.subject(trials);
        let cases = plan::cases(std::slice::from_ref(&subject), &tests)?;
        let workers = Workers {
            harness: self.harness,
            subjects: std::slice::from_ref(&subject),
        };
        let watch = Watch::now();
        let mut turns: Vec<Vec<Option<Turn>>> = trials.iter().map(|_| vec![]).collect();
        let mut failures: Vec<Option<LeftOut>> = vec![None; trials.len()];
        let mut first_failure = None;
        for _ in 0..rounds {
            for (index, (case, (value, _))) in cases.iter().zip(trials).enumerate() {
                self.step(&format!("{} {value}", stage.name));
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
                        turns[index].push(None);
                        (self.on_event)(Event::Throttled { setting, value });
                    }
                    Ok((turn, _)) => turns[index].push(Some(turn)),
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
        self.note_load(&watch);
        // A model that cannot be run at all is an error. What worked in an earlier stage is not given up.
        let nothing_yet = self.rows.iter().all(|row| row.median.is_none());
        if let Some(error) = first_failure.filter(|_| nothing_yet && failures.iter().all(Option::is_some)) {
            return Err(error);
        }
        let measured = turns.iter().zip(&cases).map(|(turns, case)| trial(turns, case));
        let measured: Vec<Option<Trial>> = measured.collect();
        for (index, (value, _)) in trials.iter().enumerate() {
            self.rows.push(Row {
                setting: stage.name,
                value: value.clone(),
                median: measured[index].as_ref().map(|trial| trial.median),
                chosen: false,
                dropped_rounds: turns[index].iter().filter(|turn| turn.is_none()).count(),
                failure: failures[index].take(),
            });
        }
        Ok(measured)
    }

    /// Reports what comes next.
    fn step(&mut self, what: &str) {
        (self.on_event)(Event::Step {
            done: self.done,
            total: self.total,
            what,
        });
        self.done += 1;
    }

    /// Remembers what other programs used during a stage, if it is the most so far; the user hears of it once.
    fn note_load(&mut self, watch: &Watch) {
        let Some(load) = watch.end().others else { return };
        if !self.has_warned {
            (self.on_event)(Event::Busy(&load));
            self.has_warned = true;
        }
        if self.busy.as_ref().is_none_or(|most| load.cpus > most.cpus) {
            self.busy = Some(load);
        }
    }

    /// The model, with a setup for each trial.
    fn subject(&self, trials: &[(String, Values)]) -> Subject {
        let setup = |values: Values| {
            let resolved = Resolved {
                values,
                ..self.request.start.clone()
            };
            let mut environment = (self.request.environment)(&resolved);
            if values.wait_policy != WaitPolicy::Default {
                environment.retain(|(name, _)| !WAITING.contains(name));
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

/// A prompt and tokens to decode.
fn tests(prompt: u32, decode: u32, depth: u32, rounds: usize) -> Tests {
    Tests {
        prompts: vec![prompt],
        decodes: vec![decode],
        depths: vec![depth],
        rounds,
        ..Tests::default()
    }
}

/// What the turns of a trial gave; `None` if none of them counts.
fn trial(rounds: &[Option<Turn>], case: &plan::Case) -> Option<Trial> {
    let speeds = |turn: &Turn, index: usize| {
        let turns = std::slice::from_ref(turn);
        Some(summarize::speed(turns, index, *case.tests.get(index)?)?.median)
    };
    let by_round = rounds.iter().map(|turn| {
        let turn = turn.as_ref()?;
        Some([speeds(turn, 0)?, speeds(turn, 1)?])
    });
    let by_round: Vec<Option<[f64; 2]>> = by_round.collect();
    let all = |index: usize| {
        let speeds = by_round.iter().flatten().map(|speeds| speeds[index]);
        Summary::from_samples(speeds.collect())
    };
    let (prefill, decode) = (all(0)?, all(1)?);
    let turns = rounds.iter().flatten();
    Some(Trial {
        median: Sample {
            prefill: prefill.median,
            decode: decode.median,
            peak_rss_bytes: turns.filter_map(|turn| turn.peak_rss_bytes).max().unwrap_or(0),
            prefill_spread: prefill.mad / prefill.median,
            decode_spread: decode.mad / decode.median,
        },
        rounds: by_round,
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
