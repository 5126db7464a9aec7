//! The harness and its worker processes: a line of JSON each way, over the worker's standard input and output.
//!
//! A process for each model, setup and depth, so that its peak memory is that of nothing else (Linux counts the peak
//! for a process). A worker that waits sleeps in a read.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use siskin_device::settings::Values;

use crate::result::Test;
use crate::{BenchError, WorkerError};

/// The longest time between two looks at whether to stop waiting.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// What a worker is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Load the model, fill its context to `depth`, warm up. Answer: [`Ready`].
    Start {
        /// The model.
        model: ModelFile,
        /// How to run it.
        values: Values,
        /// Tokens in the context before each test, in every sequence.
        depth: u32,
        /// Sequences in the context.
        sequences: u32,
        /// Prompt length of the warm-up.
        warm_up: u32,
    },
    /// Run these tests once. Answer: [`Turn`].
    Turn(Vec<Test>),
    /// Decode for about as long. Answer: the tokens decoded, and the seconds that they took.
    Sustain {
        /// How long.
        milliseconds: u64,
    },
    /// Load a model in this fresh process and compute one token. Answer: [`Loaded`].
    Load {
        /// The model.
        model: ModelFile,
        /// How to run it.
        values: Values,
        /// Drop the file's pages from the page cache first.
        cold: bool,
    },
    /// Read memory. Answer: bytes a second.
    Bandwidth {
        /// Threads that read.
        threads: usize,
        /// Bytes of all arrays together.
        bytes: u64,
    },
}

/// A model to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelFile {
    /// The file; `None` for the embedded model.
    pub(crate) path: Option<PathBuf>,
    /// Load it even if siskin cannot check its architecture.
    pub(crate) any_architecture: bool,
}

/// A worker has loaded its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The context it has, in tokens.
    pub(crate) context: u32,
    /// Whose kernels decode.
    pub(crate) kernels: String,
}

/// One round of one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// In the order of the tests.
    pub(crate) samples: Vec<Sample>,
    /// Most that was ever resident.
    pub(crate) peak_rss_bytes: Option<u64>,
    /// Resident now, anonymous.
    pub(crate) anonymous_bytes: Option<u64>,
    /// Resident now, mapped from files.
    pub(crate) file_bytes: Option<u64>,
    /// What measured energy, if something did.
    pub(crate) energy_source: Option<String>,
}

/// One test, once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Time of the computation; of a pass, the median of several.
    pub(crate) seconds: f64,
    /// With the choice of a first token; prefill only.
    pub(crate) first_token_seconds: Option<f64>,
    /// Times of the single tokens; decoding only.
    pub(crate) token_seconds: Vec<f64>,
    /// Energy drawn.
    pub(crate) joules: Option<f64>,
}

/// One load in a fresh process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    /// Until the model was loaded.
    pub(crate) load_seconds: f64,
    /// Until a first token was computed, loading included.
    pub(crate) first_token_seconds: f64,
    /// Bytes fetched from storage meanwhile.
    pub(crate) storage_read_bytes: Option<u64>,
}

/// A worker's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    /// As asked.
    Done(T),
    /// What went wrong.
    Failed(Failure),
}

/// What went wrong in a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// In one line.
    pub(crate) reason: String,
    /// True if siskin does not check the model's architecture.
    pub(crate) unknown_architecture: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure {
            reason,
            unknown_architecture: false,
        }
    }
}

/// A running worker; ended when dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `program`, this program with the flag that makes it a worker. It has the standard error of this process.
    pub(crate) fn start(mut program: Command) -> Result<Self, WorkerError> {
        let started = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(WorkerError::Start)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(WorkerError::Start(std::io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Worker {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Asks and waits for the answer, unless `stop` becomes true.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, ask: &Ask, stop: &AtomicBool) -> Result<T, BenchError> {
        let text = serde_json::to_string(ask).map_err(WorkerError::Answer)?;
        let mut line = String::new();
        let mut asked = writeln!(self.input, "{text}").map(|()| 0);
        if asked.is_ok() {
            if !self.has_answer(stop) {
                return Err(BenchError::Interrupted { signal: None });
            }
            asked = self.output.read_line(&mut line);
        }
        match asked {
            Ok(0) | Err(_) => return Err(self.ended().into()),
            Ok(_) => {}
        }
        match serde_json::from_str(&line).map_err(WorkerError::Answer)? {
            Answer::Done(answer) => Ok(answer),
            Answer::Failed(Failure {
                reason,
                unknown_architecture,
            }) => Err(WorkerError::Failed {
                reason,
                unknown_architecture,
            }
            .into()),
        }
    }

    /// Waits until there is something to read, or the end; false if `stop` became true before.
    fn has_answer(&self, stop: &AtomicBool) -> bool {
        let mut output = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
        // An answer is one line, so nothing is left in the reader's buffer.
        while self.output.buffer().is_empty() {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            match poll(&mut output, Some(&LOOK)) {
                // The time is over, or a signal came.
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return true,
            }
        }
        true
    }

    fn ended(&mut self) -> WorkerError {
        // Its pipe is closed: it has ended or is about to.
        match self.child.wait() {
            Ok(status) => WorkerError::Ended(status),
            Err(error) => WorkerError::Lost(error),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It holds nothing that must be saved. Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's side: answers each line of `input` until there are no more.
pub(crate) fn serve(
    input: impl BufRead,
    mut output: impl Write,
    mut answer: impl FnMut(Ask) -> Result<serde_json::Value, Failure>,
) -> std::io::Result<()> {
    for line in input.lines() {
        let asked = serde_json::from_str(&line?).map_err(|error| Failure::from(error.to_string()));
        let answered = match asked.and_then(&mut answer) {
            Ok(done) => Answer::Done(done),
            Err(failure) => Answer::Failed(failure),
        };
        writeln!(output, "{}", serde_json::to_string(&answered)?)?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_answers_each_line_and_outlives_a_bad_one() {
        let ask = Ask::Bandwidth { threads: 1, bytes: 8 };
        let input = format!("{}\nno json\n", serde_json::to_string(&ask).expect("JSON"));
        let mut output = Vec::new();
        serve(input.as_bytes(), &mut output, |got| {
            assert_eq!(got, ask);
            Ok(1.5.into())
        })
        .expect("served");
        let text = String::from_utf8(output).expect("text");
        let answers: Vec<Answer<f64>> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert!(
            matches!(answers[..], [Answer::Done(1.5), Answer::Failed(_)]),
            "{text}"
        );
    }

    #[test]
    fn a_worker_that_ends_is_an_error_and_does_not_hang() {
        let mut worker = Worker::start(Command::new("true")).expect("started");
        let error = worker
            .ask::<f64>(&Ask::Turn(vec![]), &AtomicBool::new(false))
            .expect_err("no answer")
            .to_string();
        assert!(
            error.contains("ended before it answered (exit status: 0)"),
            "{error}"
        );
        let missing = Worker::start(Command::new("/no/such/program"))
            .expect_err("no program")
            .to_string();
        assert!(missing.contains("cannot be started"), "{missing}");
    }

    #[test]
    fn nobody_waits_for_an_answer_after_the_user_asked_to_stop() {
        let mut sleep = Command::new("sleep");
        let mut worker = Worker::start({
            sleep.arg("1000");
            sleep
        })
        .expect("started");
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let later = stop.clone();
        let setter = std::thread::spawn(move || later.store(true, Ordering::Relaxed));
        let answer = worker.ask::<f64>(&Ask::Turn(vec![]), &stop);
        assert!(matches!(answer, Err(BenchError::Interrupted { signal: None })));
        setter.join().expect("set");
    }
}
