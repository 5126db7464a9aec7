//! Carries a plan out: processes that take turns, round by round, so that drift of the machine hits all alike.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::measured::Measured;
use super::neighbours::{self, Ticks};
use super::plan::{self, Case, Settings, Subject, Tests};
use super::protocol::{Ask, Loaded, Ready, Worker};
use super::result::{Bandwidth, Load, Results, SCHEMA_VERSION, Tool};
use super::sample::{bandwidth, heat};
use super::stats::Summary;
use super::{BenchError, assemble, compare, machine, peer};
use crate::device::probe;

/// Of the memory that is free, the share that processes which take turns may fill together.
const MEMORY_SHARE: f64 = 0.8;
/// The longest prompt of a warm-up.
const WARM_UP: u32 = 128;

/// What is to be measured.
#[derive(Debug)]
pub struct Request {
    /// The models, each with its settings.
    pub subjects: Vec<Subject>,
    /// The tests, the same for each model.
    pub tests: Tests,
    /// Loads start without the file in the page cache.
    pub cold: bool,
    /// llama-bench, to take turns with.
    pub peer: Option<PathBuf>,
    /// What was typed, for the results.
    pub command: String,
    /// When it began, RFC 3339.
    pub date_utc: String,
    /// Memory that is free, where the system tells.
    pub available_bytes: Option<u64>,
}

/// The machinery around a request.
#[allow(missing_debug_implementations)] // closures
pub struct Harness<'h> {
    /// A command that starts this program as a worker.
    pub worker: &'h dyn Fn() -> Command,
    /// Set where the user wants to stop.
    pub interrupted: &'h AtomicBool,
    /// Told how many of how many steps are done, and what comes next.
    pub progress: &'h dyn Fn(usize, usize, &str),
}

/// Measures what was requested.
pub fn run(request: &Request, harness: &Harness<'_>) -> Result<Results, BenchError> {
    let cases = plan::cases(&request.subjects, &request.tests)?;
    let root = probe::Root::system();
    let before = Ticks::now(&root);
    std::thread::sleep(neighbours::LOOK);
    let start = Ticks::now(&root);
    let mut notes = Vec::new();
    notes.extend(
        before
            .zip(start)
            .and_then(|(before, start)| start.busy_since(before)),
    );
    let fits = request
        .available_bytes
        .map_or(u64::MAX, |bytes| (bytes as f64 * MEMORY_SHARE) as u64);
    let groups = plan::groups(&request.subjects, &cases, fits);
    if groups.len() > 1 {
        notes.push(format!(
            "the models do not fit into memory together: {} groups were measured one after another, so that drift between groups is not cancelled",
            groups.len()
        ));
    }
    let mut run = Running {
        request,
        harness,
        cases: &cases,
        steps: 0,
        bandwidths: vec![],
    };
    let loads = run.loads()?;
    let mut measured: Vec<Measured> = cases.iter().map(|_| Measured::default()).collect();
    for group in &groups {
        run.group(group, &mut measured)?;
    }
    let read_bandwidths = run.bandwidths.into_iter().filter_map(|(threads, samples)| {
        Some(Bandwidth {
            threads,
            bytes_per_second: Summary::of(samples)?,
        })
    });
    let read_bandwidths: Vec<Bandwidth> = read_bandwidths.collect();
    let runs = assemble::runs(&request.subjects, &cases, &measured, &read_bandwidths);
    let end = start.zip(Ticks::now(&root));
    notes.extend(end.and_then(|(start, end)| end.withheld_since(start)));
    notes.extend(assemble::notes(&runs, &loads, &read_bandwidths));
    let comparisons = compare::with_tool(&runs, Tool::LlamaBench, true)
        .into_iter()
        .collect();
    Ok(Results {
        rounds: request.tests.rounds,
        read_bandwidths,
        loads,
        runs,
        comparisons,
        notes,
        ..nothing_measured(&request.command, &request.date_utc)
    })
}

/// Results of this machine and this program before anything was measured.
pub fn nothing_measured(command: &str, date_utc: &str) -> Results {
    Results {
        schema_version: SCHEMA_VERSION,
        command: command.to_owned(),
        date_utc: date_utc.to_owned(),
        siskin_version: env!("CARGO_PKG_VERSION").into(),
        llama_cpp_version: crate::engine::llama_cpp_version(),
        machine: machine::of(
            &probe::Machine::probe(&probe::Root::system()),
            crate::engine::compiled_features(),
        ),
        rounds: 0,
        read_bandwidths: vec![],
        loads: vec![],
        runs: vec![],
        comparisons: vec![],
        notes: vec![],
    }
}

/// A request on its way.
struct Running<'r> {
    request: &'r Request,
    harness: &'r Harness<'r>,
    cases: &'r [Case],
    steps: usize,
    /// Thread counts and what was measured with each.
    bandwidths: Vec<(usize, Vec<f64>)>,
}

impl Running<'_> {
    /// Says what comes next; refuses to go on once the user asked to stop.
    fn step(&mut self, what: &str) -> Result<(), BenchError> {
        let loads: usize = self
            .request
            .subjects
            .iter()
            .map(|subject| subject.settings.len())
            .sum();
        let total = (loads + self.cases.len()) * self.request.tests.rounds + self.cases.len();
        (self.harness.progress)(self.steps, total, what);
        self.steps += 1;
        if self.harness.interrupted.load(Ordering::Relaxed) {
            Err(BenchError::Interrupted)
        } else {
            Ok(())
        }
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, worker: &mut Worker, ask: &Ask) -> Result<T, BenchError> {
        self.or_interrupted(worker.ask(ask))
    }

    /// A Ctrl-C reaches the other processes too; their end is then no failure.
    fn or_interrupted<T>(&self, answer: Result<T, BenchError>) -> Result<T, BenchError> {
        match answer {
            Err(_) if self.harness.interrupted.load(Ordering::Relaxed) => Err(BenchError::Interrupted),
            answer => answer,
        }
    }

    /// Loads every model with every setting, round by round, each time in a fresh process. Before the others
    /// start: pages that a process maps cannot be dropped.
    fn loads(&mut self) -> Result<Vec<Load>, BenchError> {
        let request = self.request;
        let all: Vec<(&Subject, &Settings)> = request
            .subjects
            .iter()
            .flat_map(|subject| subject.settings.iter().map(move |settings| (subject, settings)))
            .collect();
        let mut rounds: Vec<Vec<Loaded>> = vec![vec![]; all.len()];
        for _ in 0..request.tests.rounds {
            for ((subject, settings), loaded) in all.iter().zip(&mut rounds) {
                self.step(&format!("load {}", subject.facts.model.name))?;
                let mut worker = Worker::start(self.program(settings))?;
                let ask = Ask::Load {
                    model: subject.path.clone(),
                    launch: settings.launch.clone(),
                    cold: request.cold,
                };
                loaded.push(self.ask(&mut worker, &ask)?);
            }
        }
        let loads = all.into_iter().zip(rounds);
        Ok(loads
            .filter_map(|((subject, settings), loaded)| {
                assemble::load(subject, settings, request.cold, &loaded)
            })
            .collect())
    }

    /// Starts the group's processes and lets them take turns.
    fn group(&mut self, group: &[usize], measured: &mut [Measured]) -> Result<(), BenchError> {
        let mut workers = Vec::with_capacity(group.len());
        for &index in group {
            let case = &self.cases[index];
            self.step(&format!("start {}", self.name(case)))?;
            let mut worker = Worker::start(self.program(self.settings(case)))?;
            let ready: Ready = self.ask(&mut worker, &self.start(case))?;
            measured[index].kernels = Some(ready.kernels);
            workers.push(worker);
        }
        let mut reader = Worker::start((self.harness.worker)())?;
        for _ in 0..self.request.tests.rounds {
            self.read_memory(&mut reader, group)?;
            for (&index, worker) in group.iter().zip(&mut workers) {
                let case = &self.cases[index];
                self.step(&self.name(case))?;
                self.turn(worker, case, &mut measured[index])?;
            }
        }
        Ok(())
    }

    /// One turn of one case, and the peer's turn at the same.
    fn turn(&self, worker: &mut Worker, case: &Case, measured: &mut Measured) -> Result<(), BenchError> {
        let root = probe::Root::system();
        let before = heat::State::now(&root);
        let turn = self.ask(worker, &Ask::Turn(case.tests.clone()))?;
        let span = heat::between(&before, &heat::State::now(&root));
        measured.heat = heat::extend(measured.heat, span);
        measured.turns.push(turn);
        let subject = &self.request.subjects[case.subject];
        if let (Some(program), Some(path), true) = (&self.request.peer, &subject.path, self.first_alike(case))
        {
            let launch = &subject.settings[case.settings].launch;
            let turn = peer::turn(program, path, launch, case);
            measured.peer.push(self.or_interrupted(turn)?);
        }
        Ok(())
    }

    /// True where no case before differs from this one in nothing that the peer knows.
    fn first_alike(&self, case: &Case) -> bool {
        let key = |case: &Case| {
            let launch = &self.settings(case).launch;
            (
                case.subject,
                case.depth,
                launch.settings.threads,
                launch.settings.threads_batch,
            )
        };
        let first = self.cases.iter().find(|other| key(other) == key(case));
        first.is_some_and(|first| std::ptr::eq(first, case))
    }

    /// Measures the bandwidth of each thread count that decodes in this group.
    fn read_memory(&mut self, reader: &mut Worker, group: &[usize]) -> Result<(), BenchError> {
        let bytes = bandwidth::array_bytes(&probe::Root::system(), self.request.available_bytes);
        let mut counts: Vec<usize> = group
            .iter()
            .map(|&index| self.settings(&self.cases[index]).launch.settings.threads)
            .collect();
        counts.sort_unstable();
        counts.dedup();
        for threads in counts {
            let found = self.ask(reader, &Ask::Bandwidth { threads, bytes })?;
            match self.bandwidths.iter_mut().find(|entry| entry.0 == threads) {
                Some((_, samples)) => samples.push(found),
                None => self.bandwidths.push((threads, vec![found])),
            }
        }
        Ok(())
    }

    fn program(&self, settings: &Settings) -> Command {
        let mut program = (self.harness.worker)();
        program.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        program
    }

    fn settings(&self, case: &Case) -> &Settings {
        &self.request.subjects[case.subject].settings[case.settings]
    }

    fn name(&self, case: &Case) -> String {
        let name = &self.request.subjects[case.subject].facts.model.name;
        format!("{name} at depth {}", case.depth)
    }

    fn start(&self, case: &Case) -> Ask {
        let longest = case.tests.iter().map(|test| test.tokens).max().unwrap_or(0);
        Ask::Start {
            model: self.request.subjects[case.subject].path.clone(),
            launch: self.settings(case).launch.clone(),
            context: case.context,
            depth: case.depth,
            warm_up: longest.min(WARM_UP),
        }
    }
}
