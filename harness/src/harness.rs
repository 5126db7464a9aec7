//! Carries a plan out: processes that take turns, round by round, so that drift of the machine hits all alike.

use std::path::PathBuf;

use siskin_device::probe::{self, Root};

use crate::cpu_load::{CpuLoad, Watch};
use crate::event::{Event, Harness};
use crate::plan::{self, Case, Setup, Subject, Tests};
use crate::protocol::{Ask, Loaded, Worker};
use crate::result::{Bandwidth, Load, Machine, Results, SCHEMA_VERSION, Tool};
use crate::stats::Summary;
use crate::turns::{Measured, Workers};
use crate::{BenchError, bandwidth, compare, heat, llama_bench, summarize};

/// Of the memory that is free, the share that processes which take turns may fill together.
const MEMORY_SHARE: f64 = 0.8;
/// The longest prompt of a warm-up.
const WARM_UP: u32 = 128;

/// What is to be measured.
#[derive(Debug)]
pub struct Request {
    /// The models, each with its setups.
    pub subjects: Vec<Subject>,
    /// The tests, the same for each model.
    pub tests: Tests,
    /// Loads start without the file in the page cache.
    pub cold: bool,
    /// The program llama-bench, to take turns with.
    pub llama_bench: Option<PathBuf>,
    /// The command line, for the results.
    pub command: String,
    /// When it began, RFC 3339.
    pub date_utc: String,
    /// Memory that is free, if the system reports it.
    pub available_bytes: Option<u64>,
    /// Threads whose bandwidth is measured besides those that decode.
    pub bandwidth_threads: Vec<usize>,
    /// Name the other programs that use the CPUs.
    pub names_programs: bool,
}

/// Measures what was requested.
///
/// # Errors
/// The request cannot be met, a worker fails, or the user asks to stop.
pub fn run(
    request: &Request,
    harness: &Harness<'_>,
    mut on_event: impl FnMut(Event<'_>),
) -> Result<Results, BenchError> {
    let cases = plan::cases(&request.subjects, &request.tests)?;
    let (watch, mut busy) = Watch::begin();
    if let Some(busy) = busy.as_mut().filter(|_| !request.names_programs) {
        busy.programs.clear();
    }
    busy.iter().for_each(|busy| on_event(Event::Busy(busy)));
    let mut notes: Vec<String> = busy.iter().map(CpuLoad::at_start).collect();
    let fits = request
        .available_bytes
        .map_or(u64::MAX, |bytes| (bytes as f64 * MEMORY_SHARE) as u64);
    let groups = plan::groups(&request.subjects, &cases, fits);
    if groups.len() > 1 {
        notes.push(format!(
            "the models do not fit into memory together: {} groups were measured one after another, so drift between groups is not cancelled",
            groups.len()
        ));
    }
    let mut run = Running {
        request,
        workers: Workers {
            harness,
            subjects: &request.subjects,
        },
        on_event: &mut on_event,
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
            bytes_per_second: Summary::from_samples(samples)?,
        })
    });
    let read_bandwidths: Vec<Bandwidth> = read_bandwidths.collect();
    let runs = summarize::runs(&request.subjects, &cases, &measured, &read_bandwidths);
    notes.extend(watch.end().notes());
    notes.extend(summarize::notes(&runs, &loads, &read_bandwidths));
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
        llama_cpp_version: siskin_runtime::llama_cpp_version(),
        machine: machine(&probe::Machine::probe(&Root::system())),
        hardware: None,
        rounds: 0,
        read_bandwidths: vec![],
        loads: vec![],
        runs: vec![],
        sustained: vec![],
        comparisons: vec![],
        notes: vec![],
    }
}

/// Of what the probe found, what a reader of results needs.
fn machine(probed: &probe::Machine) -> Machine {
    let kernel = sysinfo::System::kernel_version().unwrap_or_else(|| "unknown".into());
    let system = sysinfo::System::name().zip(sysinfo::System::os_version());
    let system = system.map_or(String::new(), |(name, version)| format!(" ({name} {version})"));
    // A control group may leave less of the memory than there is.
    let limits = probed.ram.limits.iter().map(|limit| limit.bytes);
    Machine {
        board: probed.board.model.clone(),
        cpu: probed.cpus.name.clone().unwrap_or_else(|| "unknown CPU".into()),
        architecture: std::env::consts::ARCH.into(),
        isa: siskin_runtime::compiled_features(),
        cpus: probed.cpus.available,
        ram_bytes: limits.chain([probed.ram.total_bytes]).min().unwrap_or(0),
        kernel: format!("{} {kernel}{system}", std::env::consts::OS),
    }
}

/// A request on its way.
struct Running<'r> {
    request: &'r Request,
    workers: Workers<'r>,
    on_event: &'r mut dyn FnMut(Event<'_>),
    cases: &'r [Case],
    steps: usize,
    /// Thread counts and what was measured with each.
    bandwidths: Vec<(usize, Vec<f64>)>,
}

impl<'r> Running<'r> {
    /// Reports what comes next; refuses to go on once the user asked to stop.
    fn step(&mut self, what: &str) -> Result<(), BenchError> {
        let subjects = self.request.subjects.iter();
        let loads: usize = subjects.map(|subject| subject.setups.len()).sum();
        let total = (loads + self.cases.len()) * self.request.tests.rounds + self.cases.len();
        (self.on_event)(Event::Step {
            done: self.steps,
            total,
            what,
        });
        self.steps += 1;
        self.workers.check_interrupted()
    }

    /// Loads every model with every setup, round by round, each time in a fresh process. Before the others start:
    /// pages that a process maps cannot be dropped.
    fn loads(&mut self) -> Result<Vec<Load>, BenchError> {
        let request = self.request;
        let all: Vec<(&Subject, &Setup)> = request
            .subjects
            .iter()
            .flat_map(|subject| subject.setups.iter().map(move |setup| (subject, setup)))
            .collect();
        let mut rounds: Vec<Vec<Loaded>> = vec![vec![]; all.len()];
        for _ in 0..request.tests.rounds {
            for ((subject, setup), loaded) in all.iter().zip(&mut rounds) {
                self.step(&format!("load {}", subject.info.model.name))?;
                let mut worker = self.workers.spawn(setup)?;
                let ask = Ask::Load {
                    model: subject.file(),
                    values: *setup.values(),
                    cold: request.cold,
                };
                loaded.push(self.workers.ask(&mut worker, &ask)?);
            }
        }
        let loads = all.into_iter().zip(rounds);
        Ok(loads
            .filter_map(|((subject, setup), loaded)| summarize::load(subject, setup, request.cold, &loaded))
            .collect())
    }

    /// Starts the group's processes and lets them take turns.
    fn group(&mut self, group: &[usize], measured: &mut [Measured]) -> Result<(), BenchError> {
        let cases = self.cases;
        let mut workers = Vec::with_capacity(group.len());
        for &index in group {
            let case = &cases[index];
            self.step(&format!("start {}", self.name(case)))?;
            let longest = case.tests.iter().map(|test| test.tokens).max().unwrap_or(0);
            let (worker, ready) = self.workers.start(case, longest.min(WARM_UP))?;
            measured[index].kernels = Some(ready.kernels);
            workers.push(worker);
        }
        let mut reader = Worker::start((self.workers.harness.worker)())?;
        for _ in 0..self.request.tests.rounds {
            self.read_memory(&mut reader, group)?;
            for (&index, worker) in group.iter().zip(&mut workers) {
                let case = &cases[index];
                self.step(&self.name(case))?;
                self.turn(worker, case, &mut measured[index])?;
            }
        }
        Ok(())
    }

    /// One turn of one case, and llama-bench's turn at the same.
    fn turn(&self, worker: &mut Worker, case: &Case, measured: &mut Measured) -> Result<(), BenchError> {
        let (turn, span) = self.workers.turn(worker, case)?;
        measured.heat = heat::extend(measured.heat, span);
        measured.turns.push(turn);
        let path = &self.workers.subject(case).path;
        if let (Some(program), Some(path), true) = (&self.request.llama_bench, path, self.first_alike(case)) {
            let (setup, stop) = (self.workers.setup(case), self.workers.harness.interrupted);
            let turn = llama_bench::turn(program, path, setup, case, stop);
            measured.llama_bench.push(self.workers.or_interrupted(turn)?);
        }
        Ok(())
    }

    /// True if no earlier case is the same for llama-bench, which knows only some of the settings.
    fn first_alike(&self, case: &Case) -> bool {
        let key = |case: &Case| {
            let values = self.workers.setup(case).values();
            (case.subject, case.depth, values.threads, values.threads_batch)
        };
        let first = self.cases.iter().find(|other| key(other) == key(case));
        first.is_some_and(|first| std::ptr::eq(first, case))
    }

    /// Measures the bandwidth of each thread count that decodes in this group.
    fn read_memory(&mut self, reader: &mut Worker, group: &[usize]) -> Result<(), BenchError> {
        let bytes = bandwidth::array_bytes(&Root::system(), self.request.available_bytes);
        let mut counts: Vec<usize> = group
            .iter()
            .map(|&index| self.workers.setup(&self.cases[index]).values().threads)
            .chain(self.request.bandwidth_threads.iter().copied())
            .collect();
        counts.sort_unstable();
        counts.dedup();
        for threads in counts {
            let found = self.workers.ask(reader, &Ask::Bandwidth { threads, bytes })?;
            match self.bandwidths.iter_mut().find(|entry| entry.0 == threads) {
                Some((_, samples)) => samples.push(found),
                None => self.bandwidths.push((threads, vec![found])),
            }
        }
        Ok(())
    }

    fn name(&self, case: &Case) -> String {
        let name = &self.workers.subject(case).info.model.name;
        format!("{name} at depth {}", case.depth)
    }
}
