//! Worker processes and their turns: what measuring and tuning share.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering;

use serde::de::DeserializeOwned;
use siskin_device::probe::Root;
use siskin_device::settings::Values;

use crate::event::Harness;
use crate::llama_bench::LlamaBenchTurn;
use crate::plan::{Case, Setup, Subject};
use crate::protocol::{Ask, ModelFile, Ready, Turn, Worker};
use crate::result::Heat;
use crate::{BenchError, LlamaBenchError, WorkerError, heat};

/// Signals by which a user asks a program to end: SIGHUP, SIGINT, SIGTERM.
const ASK_TO_END: [i32; 3] = [1, 2, 15];

/// What one case gave, a turn a round.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) turns: Vec<Turn>,
    pub(crate) kernels: Option<String>,
    pub(crate) heat: Option<Heat>,
    pub(crate) llama_bench: Vec<LlamaBenchTurn>,
}

/// The workers of some subjects.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'w> {
    pub(crate) harness: &'w Harness<'w>,
    pub(crate) subjects: &'w [Subject],
}

impl<'w> Workers<'w> {
    pub(crate) fn subject(&self, case: &Case) -> &'w Subject {
        &self.subjects[case.subject]
    }

    pub(crate) fn setup(&self, case: &Case) -> &'w Setup {
        &self.subject(case).setups[case.setup]
    }

    /// Starts a process with a setup's environment.
    pub(crate) fn spawn(&self, setup: &Setup) -> Result<Worker, BenchError> {
        let mut program = (self.harness.worker)();
        program.envs(setup.environment.iter().copied());
        Ok(Worker::start(program)?)
    }

    /// Starts a case's process: it loads the model, fills its context and warms up.
    pub(crate) fn start(&self, case: &Case, warm_up: u32) -> Result<(Worker, Ready), BenchError> {
        let setup = self.setup(case);
        let mut worker = self.spawn(setup)?;
        let ask = Ask::Start {
            model: self.subject(case).file(),
            values: Values {
                context: case.context,
                ..*setup.values()
            },
            depth: case.depth,
            sequences: case.sequences,
            warm_up,
        };
        let ready = self.ask(&mut worker, &ask)?;
        Ok((worker, ready))
    }

    /// One turn of a case, and the machine's heat meanwhile.
    pub(crate) fn turn(&self, worker: &mut Worker, case: &Case) -> Result<(Turn, Option<Heat>), BenchError> {
        let root = Root::system();
        let before = heat::State::now(&root);
        let turn = self.ask(worker, &Ask::Turn(case.tests.clone()))?;
        Ok((turn, heat::between(&before, &heat::State::now(&root))))
    }

    pub(crate) fn ask<T: DeserializeOwned>(&self, worker: &mut Worker, ask: &Ask) -> Result<T, BenchError> {
        self.or_interrupted(worker.ask(ask, self.harness.interrupted))
    }

    /// Refuses to go on once the user asked to stop.
    pub(crate) fn check_interrupted(&self) -> Result<(), BenchError> {
        if self.harness.interrupted.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted { signal: None });
        }
        Ok(())
    }

    /// Ctrl-C reaches the other processes too: their end is then not a failure. It may reach them first, so their
    /// status counts like this process's flag.
    pub(crate) fn or_interrupted<T>(&self, answer: Result<T, BenchError>) -> Result<T, BenchError> {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        self.check_interrupted()?;
        match ended_by(&error).filter(|signal| ASK_TO_END.contains(signal)) {
            Some(signal) => Err(BenchError::Interrupted { signal: Some(signal) }),
            None => Err(error),
        }
    }
}

/// The signal that ended the other process.
pub(crate) fn ended_by(error: &BenchError) -> Option<i32> {
    match error {
        BenchError::Worker(WorkerError::Ended(status)) => status.signal(),
        BenchError::LlamaBench {
            source: LlamaBenchError::Ended(status),
            ..
        } => status.signal(),
        _ => None,
    }
}

impl Subject {
    pub(crate) fn file(&self) -> ModelFile {
        ModelFile {
            path: self.path.clone(),
            any_architecture: self.any_architecture,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A worker that a signal ends before the flag is set, and one that ends by itself.
    #[test]
    fn a_worker_ended_by_ctrl_c_is_an_interruption() {
        let cases = [
            ("kill -INT $$", Some(2)),
            ("kill -TERM $$", Some(15)),
            ("kill -SEGV $$", None),
            ("exit 3", None),
        ];
        for (script, want) in cases {
            let program = || {
                let mut command = Command::new("env");
                command.args(["--default-signal=INT,TERM", "sh", "-c", script]);
                command
            };
            let (interrupted, subjects) = (AtomicBool::new(false), []);
            let harness = Harness {
                worker: &program,
                interrupted: &interrupted,
            };
            let workers = Workers {
                harness: &harness,
                subjects: &subjects,
            };
            let ask = |interrupted: bool| {
                harness.interrupted.store(interrupted, Ordering::Relaxed);
                let mut worker = Worker::start(program()).expect("started");
                workers
                    .ask::<f64>(&mut worker, &Ask::Turn(vec![]))
                    .expect_err("it ended")
            };
            match ask(false) {
                BenchError::Interrupted { signal } => assert_eq!(signal, want, "{script}"),
                error => assert_eq!(want, None, "{script}: {error}"),
            }
            let error = ask(true);
            assert!(
                matches!(error, BenchError::Interrupted { signal: None }),
                "{script}: {error}"
            );
        }
    }
}
