//! The harness and its worker processes: a line of JSON each way, over the worker's standard input and output.
//!
//! A process for each model, setting and depth, so that its peak memory is that of nothing else (Linux counts
//! the peak for a process). They stay alive and take turns; one that waits sleeps in a read.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::BenchError;
use super::plan::Launch;
use super::result::Test;

/// What a worker is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Load the model, fill a context of `context` tokens to `depth`, warm up. Answer: [`Ready`].
    Start {
        /// The file; the embedded model where `None`.
        model: Option<PathBuf>,
        /// Settings.
        launch: Launch,
        /// Length of the context in tokens.
        context: u32,
        /// Tokens in it before each test.
        depth: u32,
        /// Prompt length of the warm-up.
        warm_up: u32,
    },
    /// Run these tests once. Answer: [`Turn`].
    Turn(Vec<Test>),
    /// Load a model in this fresh process and compute one token. Answer: [`Loaded`].
    Load {
        /// The file; the embedded model where `None`.
        model: Option<PathBuf>,
        /// Settings.
        launch: Launch,
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

/// A worker has loaded its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The context it has, in tokens.
    pub context: u32,
    /// Whose kernels decode.
    pub kernels: String,
}

/// One round of one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// In the order of the tests.
    pub samples: Vec<Sample>,
    /// Most that was ever resident.
    pub peak_rss_bytes: Option<u64>,
    /// Resident now, anonymous.
    pub anonymous_bytes: Option<u64>,
    /// Resident now, mapped from files.
    pub file_bytes: Option<u64>,
    /// What measured energy, where something did.
    pub energy_source: Option<String>,
}

/// One test, once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Time of the computation.
    pub seconds: f64,
    /// With the choice of a first token; prefill only.
    pub first_token_seconds: Option<f64>,
    /// Times of the single tokens; decoding only.
    pub token_seconds: Vec<f64>,
    /// Energy drawn.
    pub joules: Option<f64>,
}

/// One load in a fresh process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Until the model was loaded.
    pub load_seconds: f64,
    /// Until a first token was computed, loading included.
    pub first_token_seconds: f64,
    /// Bytes fetched from storage meanwhile.
    pub storage_read_bytes: Option<u64>,
}

/// A worker's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// As asked.
    Done(T),
    /// What went wrong, in one line.
    Failed(String),
}

/// A running worker; ended when dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `program`, this program told to be a worker. Its messages go where this process's go.
    pub fn start(mut program: Command) -> Result<Self, BenchError> {
        let started = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| BenchError::Worker(format!("cannot be started: {error}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Worker("has no pipes".into()));
        };
        Ok(Worker {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Asks and waits for the answer.
    pub fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> Result<T, BenchError> {
        let broken = |reason: String| BenchError::Worker(reason);
        let text = serde_json::to_string(ask).map_err(|error| broken(error.to_string()))?;
        let mut line = String::new();
        let asked = writeln!(self.input, "{text}").and_then(|()| self.output.read_line(&mut line));
        match asked {
            Ok(0) | Err(_) => return Err(broken(format!("ended before it answered ({})", self.end()))),
            Ok(_) => {}
        }
        match serde_json::from_str(&line).map_err(|error| broken(format!("answered nonsense: {error}")))? {
            Answer::Done(answer) => Ok(answer),
            Answer::Failed(reason) => Err(BenchError::Text(reason)),
        }
    }

    fn end(&mut self) -> String {
        // Its pipe is closed: it has ended or is about to.
        self.child
            .wait()
            .map_or("no status".into(), |status| status.to_string())
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
pub fn serve(
    input: impl BufRead,
    mut output: impl Write,
    mut answer: impl FnMut(Ask) -> Result<serde_json::Value, String>,
) -> std::io::Result<()> {
    for line in input.lines() {
        let asked = serde_json::from_str(&line?).map_err(|error| error.to_string());
        let answered = match asked.and_then(&mut answer) {
            Ok(done) => Answer::Done(done),
            Err(reason) => Answer::Failed(reason),
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
    fn a_worker_that_ends_is_an_error_and_no_hang() {
        let mut worker = Worker::start(Command::new("true")).expect("started");
        let error = worker
            .ask::<f64>(&Ask::Turn(vec![]))
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
}
