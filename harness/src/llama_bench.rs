//! llama.cpp's llama-bench: run in the same rounds, or read from the JSON it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use siskin_device::memory::Memory;

use crate::plan::{Case, Setup};
use crate::result::{Kind, Model, Run, Setting, Test, Tool};
use crate::stats::{Summary, median};
use crate::worker::PASSES;
use crate::{BenchError, LlamaBenchError};

/// How often the other program's peak memory is read; the peak only grows, so the last reading counts.
const LOOK: Duration = Duration::from_millis(10);

/// The fields of llama-bench's JSON that are used (`tools/llama-bench`, `-o json`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Entry {
    model_filename: String,
    model_type: String,
    model_size: u64,
    model_n_params: u64,
    n_threads: usize,
    n_prompt: u32,
    n_gen: u32,
    #[serde(default)]
    n_depth: u32,
    samples_ts: Vec<f64>,
    #[serde(default)]
    build_commit: Option<String>,
    #[serde(default)]
    type_k: Option<String>,
    #[serde(default)]
    type_v: Option<String>,
}

/// The outcome of llama-bench for one case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LlamaBenchTurn {
    /// Tokens a second, in the order of the case's tests; `None` for those that it does not have.
    pub(crate) tokens_per_second: Vec<Option<f64>>,
    /// The largest resident size of its process.
    pub(crate) peak_rss_bytes: Option<u64>,
    /// The commit it was built from.
    pub(crate) build: Option<String>,
}

/// One call of llama-bench: tests with the same threads and repetitions.
struct Call {
    threads: usize,
    repetitions: usize,
    /// Indices of the case's tests.
    tests: Vec<usize>,
}

/// Runs llama-bench on `model` with its own defaults, once for each of the case's tests. A pass of one sequence is
/// its prompt of as many tokens; it has no passes of several.
///
/// # Errors
/// If the program cannot be started, fails, or prints no result for one of the tests.
pub(crate) fn turn(
    program: &Path,
    model: &Path,
    setup: &Setup,
    case: &Case,
    stop: &AtomicBool,
) -> Result<LlamaBenchTurn, BenchError> {
    let failed = |source: LlamaBenchError| BenchError::LlamaBench {
        path: program.to_owned(),
        source,
    };
    let mut turn = LlamaBenchTurn {
        tokens_per_second: vec![None; case.tests.len()],
        peak_rss_bytes: None,
        build: None,
    };
    for call in calls(setup, case) {
        let child = command(program, model, &call, case).spawn();
        let child = child.map_err(|error| failed(LlamaBenchError::Start(error)))?;
        let Some((output, peak)) = wait(child, stop).map_err(failed)? else {
            return Err(BenchError::Interrupted { signal: None });
        };
        let entries: Vec<Entry> =
            serde_json::from_str(&output).map_err(|error| failed(LlamaBenchError::Json(error)))?;
        for &index in &call.tests {
            let test = theirs(case.tests[index]);
            let entry = entries.iter().find(|entry| entry.test() == Some(test));
            let speed = entry.and_then(|entry| median(&entry.samples_ts));
            let missing = || failed(LlamaBenchError::Missing(test.name()));
            turn.tokens_per_second[index] = Some(speed.ok_or_else(missing)?);
        }
        turn.peak_rss_bytes = turn.peak_rss_bytes.max(peak);
        let build = entries.first().and_then(|entry| entry.build_commit.clone());
        turn.build = turn.build.or(build);
    }
    Ok(turn)
}

/// The calls for a case. llama-bench takes one thread count and one number of repetitions for all tests of a call; a
/// single pass is so short that the median of several counts.
fn calls(setup: &Setup, case: &Case) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (index, test) in case.tests.iter().enumerate() {
        let repetitions = match test.kind {
            Kind::Prefill | Kind::Decode => 1,
            Kind::Verify => PASSES,
            Kind::Parallel => continue,
        };
        let threads = setup.threads(*test);
        let known = |call: &&mut Call| (call.threads, call.repetitions) == (threads, repetitions);
        match calls.iter_mut().find(known) {
            Some(call) => call.tests.push(index),
            None => calls.push(Call {
                threads,
                repetitions,
                tests: vec![index],
            }),
        }
    }
    calls
}

/// A test as llama-bench has it.
fn theirs(test: Test) -> Test {
    let kind = match test.kind {
        Kind::Decode => Kind::Decode,
        Kind::Prefill | Kind::Verify | Kind::Parallel => Kind::Prefill,
    };
    Test { kind, ..test }
}

/// The command for the tests of a call.
fn command(program: &Path, model: &Path, call: &Call, case: &Case) -> Command {
    let list = |kind| {
        let tests = call.tests.iter().map(|&index| theirs(case.tests[index]));
        let some = tests.filter(|test| test.kind == kind);
        let lengths: Vec<String> = some.map(|test| test.tokens.to_string()).collect();
        if lengths.is_empty() {
            "0".into()
        } else {
            lengths.join(",")
        }
    };
    let (prompts, decodes) = (list(Kind::Prefill), list(Kind::Decode));
    let [depth, threads, repetitions] =
        [case.depth as usize, call.threads, call.repetitions].map(|number| number.to_string());
    let mut command = Command::new(program);
    command
        .arg("-m")
        .arg(model)
        .args(["-r", &repetitions, "-o", "json"]);
    command.args(["-p", &prompts, "-n", &decodes, "-t", &threads]);
    // ik_llama.cpp's does not have the flag.
    if case.depth > 0 {
        command.args(["-d", &depth]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Waits for the program; returns its output and its peak memory. If `stop` becomes true, it ends the program and
/// returns `None`.
fn wait(mut child: Child, stop: &AtomicBool) -> Result<Option<(String, Option<u64>)>, LlamaBenchError> {
    let mut pipe = child
        .stdout
        .take()
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
    let read = move || std::io::read_to_string(&mut pipe);
    let reader = match thread::Builder::new().spawn(read) {
        Ok(reader) => reader,
        Err(error) => {
            let _ = child.kill(); // it may have ended
            child.wait()?;
            return Err(error.into());
        }
    };
    let (mut peak, status) = (None, format!("/proc/{}/status", child.id()));
    let exit = loop {
        peak = fs::read_to_string(&status)
            .ok()
            .and_then(|text| Memory::parse(&text).peak_bytes)
            .max(peak);
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        if stop.load(Ordering::Relaxed) {
            // An error means that it has ended already.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    };
    let output = reader
        .join()
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::Other))??;
    if exit.success() {
        Ok(Some((output, peak)))
    } else {
        Err(LlamaBenchError::Ended(exit))
    }
}

/// Reads what `llama-bench -o json` (an array) or `-o jsonl` (one line per test) wrote.
///
/// # Errors
/// If the text is not such JSON, or contains no test.
pub(crate) fn import(text: &str, file: &Path) -> Result<Vec<Run>, BenchError> {
    let failed = |source: LlamaBenchError| BenchError::LlamaBench {
        path: file.to_owned(),
        source,
    };
    let entries: Vec<Entry> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::Deserializer::from_str(text).into_iter().collect()
    }
    .map_err(|error| failed(LlamaBenchError::NoResults(error)))?;
    // llama-bench also has combined tests (-pg), which measure neither speed alone.
    let runs: Vec<Run> = entries.into_iter().filter_map(Entry::run).collect();
    if runs.is_empty() {
        Err(failed(LlamaBenchError::NoTest))
    } else {
        Ok(runs)
    }
}

impl Entry {
    fn test(&self) -> Option<Test> {
        let (kind, tokens) = match (self.n_prompt, self.n_gen) {
            (tokens, 0) if tokens > 0 => (Kind::Prefill, tokens),
            (0, tokens) if tokens > 0 => (Kind::Decode, tokens),
            _ => return None,
        };
        Some(Test {
            kind,
            tokens,
            depth_tokens: self.n_depth,
        })
    }

    fn run(self) -> Option<Run> {
        let test = self.test()?;
        let (architecture, _) = self.model_type.split_once(' ').unwrap_or((&self.model_type, ""));
        let name = PathBuf::from(&self.model_filename);
        let model = Model {
            name: name
                .file_stem()
                .map_or("model".into(), |stem| stem.to_string_lossy().into_owned()),
            architecture: architecture.to_owned(),
            file_type: file_type(&self.model_type),
            sha256: None,
            file_bytes: self.model_size,
            parameters: self.model_n_params,
            bits_per_weight: self.model_size as f64 * 8.0 / self.model_n_params.max(1) as f64,
            training_context_tokens: None,
        };
        let setting = |name: &str, value: Option<String>| {
            Some(Setting {
                name: name.into(),
                value: value?,
                origin: "llama-bench".into(),
            })
        };
        let settings = [
            setting("build", self.build_commit),
            setting("cache-type-k", self.type_k),
            setting("cache-type-v", self.type_v),
        ];
        Some(Run {
            settings: settings.into_iter().flatten().collect(),
            tokens_per_second: Summary::from_samples(self.samples_ts)?,
            ..Run::bare(Tool::LlamaBench, model, self.n_threads, test)
        })
    }
}

/// Converts `llama 1B Q4_K - Medium` to `q4_k_m`, siskin's name for the type.
fn file_type(model_type: &str) -> String {
    let (rest, size) = match model_type.rsplit_once(" - ") {
        Some((rest, size)) => (
            rest,
            size.chars()
                .next()
                .map(|c| format!("_{}", c.to_ascii_lowercase())),
        ),
        None => (model_type, None),
    };
    let ty = rest.rsplit(' ').next().unwrap_or(rest).to_ascii_lowercase();
    ty + size.as_deref().unwrap_or("")
}

#[cfg(test)]
mod tests;
