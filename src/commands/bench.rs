//! `siskin bench`: how fast models run here, with how much memory, how close to what memory allows.

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use siskin::device::settings::Kernels;
use siskin_harness::report::{self, Format, Layout};
use siskin_harness::result::{Results, Tool};
use siskin_harness::{BenchError, Imported, compare, nothing_measured};

use super::number;
use super::session_args::{self, RuntimeArgs};
use crate::render::text;
use crate::{exit, interrupt, text_input};

mod measure;
mod prompts;

/// No table is narrower than this.
const MIN_WIDTH: usize = 20;
/// Columns of a table that goes to a file or a pipe.
const PIPE_WIDTH: usize = 120;

/// Measures speed, memory, bandwidth and heat of models on this machine
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin bench a.gguf b.gguf -p 128,512 -n 32,128 -d 0,2048

Models and settings take turns, round by round, each in its own process, so that drift affects all of them alike \
and peak memory is that of one model. Speeds are medians with their median absolute deviation. Tests are named as \
in llama-bench: pp512 computes a prompt of 512 tokens, tg128 decodes 128 tokens one by one. The table is brief and ends with the speeds; --details shows the rest, and -o md is what one pastes into an issue.

What n tokens cost that are computed together, relative to one:

  siskin bench a.gguf -p 0 -n 0 --n-verify 2,4,8 --n-parallel 2,4,8 -d 0,512

A pass of one token is measured in the same rounds, with the threads for decoding; larger passes have those for the \
prompt. Of --peer, a prompt of n tokens is compared with --n-verify n.

To find out whether a change made siskin slower:

  siskin bench a.gguf -o json > before.json
  siskin bench a.gguf --compare before.json --fail-below 0.95

What guessing tokens (--spec of run and chat) is worth on your own prompts, one JSON object a line:

  siskin bench a.gguf --prompts prompts.jsonl -n 128 --limit 50

Each prompt is answered twice, without and with guesses, one directly after the other; a coin decides the order. Both \
texts must be the same, or the exit code is 1. The other tests decode random tokens, which nobody can guess.")]
#[command(group = clap::ArgGroup::new("baseline").args(["compare", "peer", "import"]).multiple(true))]
pub(crate) struct BenchArgs {
    /// GGUF files [default: the embedded storyteller]
    pub(crate) models: Vec<PathBuf>,
    /// Prompt lengths in tokens; 0 for none
    #[arg(
        short = 'p',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "512", value_parser = number::tokens::<u32>)]
    n_prompt: Vec<u32>,
    /// Tokens to decode; 0 for none
    #[arg(
        short = 'n',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "128", value_parser = number::tokens::<u32>)]
    n_gen: Vec<u32>,
    /// Tokens of one pass over one sequence, with logits after each, as for verifying a draft; 0 for none
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "0", value_parser = number::pass::<u32>)]
    n_verify: Vec<u32>,
    /// Sequences of one pass with one token each, as for answering several users; 0 for none
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "0", value_parser = number::pass::<u32>)]
    n_parallel: Vec<u32>,
    /// Tokens that are already in the context
    #[arg(
        short = 'd',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "0", value_parser = number::tokens::<u32>)]
    n_depth: Vec<u32>,
    /// Threads for decoding; each count is measured [default: tuned, else the device's profile]
    #[arg(short, long, value_name = "N,...", value_delimiter = ',', value_parser = number::threads::<NonZeroUsize>)]
    threads: Vec<NonZeroUsize>,
    /// Threads for the prompt [default: same as --threads, if given]
    #[arg(long, value_name = "N", value_parser = number::threads::<NonZeroUsize>)]
    threads_batch: Option<NonZeroUsize>,
    /// Repetitions of each test
    #[arg(short, long, value_name = "N", default_value = "5", value_parser = number::whole::<NonZeroUsize>)]
    repetitions: NonZeroUsize,
    /// Context in tokens [default: as many as the tests need]
    #[arg(short, long, value_name = "N", value_parser = number::tokens::<u32>)]
    ctx_size: Option<u32>,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Kernels to decode with; each is measured [default: $SISKIN_KERNELS, else tuned, else siskin's if
    /// this CPU can run them]
    #[arg(long, value_name = "KERNELS,...", value_delimiter = ',', value_parser = session_args::kernels(), ignore_case = true)]
    kernels: Vec<Kernels>,
    /// Drop the model file from the page cache before each load
    #[arg(long)]
    cold: bool,
    /// Show the ratios to the results in this file, which -o json wrote
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Accept a --compare file from another machine
    #[arg(long, requires = "compare")]
    any_machine: bool,
    /// Exit with code 3 if a speed is below this fraction of the baseline, e.g. 0.95; the baseline is --compare, --peer or
    /// --import
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true, requires = "baseline", value_parser = share)]
    fail_below: Option<f64>,
    /// Also show the results in this file, from llama-bench -o json or siskin bench -o json (may be given several times)
    #[arg(long, value_name = "FILE")]
    import: Vec<PathBuf>,
    /// Also run this llama-bench program, in turns; needs a model file
    #[arg(long, value_name = "PROGRAM", requires = "models")]
    peer: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = formats(), ignore_case = true)]
    output: Format,
    /// Same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Show every table and note, not only memory and speed; the other formats always have everything
    #[arg(long)]
    details: bool,
    #[command(flatten)]
    prompts: prompts::PromptsArgs,
    /// Run even if a model does not fit into memory
    #[arg(long)]
    force: bool,
    /// Measure architectures that siskin cannot check; llama.cpp may abort if such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
    /// Be a worker process of another siskin bench or tune
    #[arg(long, hide = true)]
    worker: bool,
}

impl BenchArgs {
    pub(crate) fn is_worker(&self) -> bool {
        self.worker
    }
}

/// The formats of results.
fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.name()))
        .try_map(|name| name.to_ascii_lowercase().parse::<Format>())
}

/// A fraction above 0.
fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    let share = share.filter(|share| share.is_finite() && *share > 0.0);
    share.ok_or_else(|| "give a fraction above 0, such as 0.95".into())
}

pub(crate) fn main(args: BenchArgs) -> anyhow::Result<ExitCode> {
    if args.verbose {
        siskin::show_log(text::note);
    }
    if args.worker {
        // Nothing of it is needed once the process is gone that it works for.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        siskin_harness::serve_worker(std::io::stdin().lock(), std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &args.prompts.prompts {
        return prompts::main(&args, file);
    }
    let baseline = args.compare.as_deref().map(results).transpose()?;
    let mut imported = Imported::default();
    for file in &args.import {
        imported.add(&text_input::file(file)?, file)?;
    }
    let mut results = if args.models.is_empty() && !args.import.is_empty() {
        imported.into_results(nothing_measured(&command_line(), &now()))
    } else {
        let measured = measure::measure(&args);
        if let Some(code) = measured.as_ref().err().and_then(interruption) {
            return Ok(code);
        }
        let mut results = measured?;
        imported.add_to(&mut results);
        results
    };
    if let (Some(baseline), Some(file)) = (&baseline, &args.compare) {
        let comparison = compare::with_baseline(&results, baseline, file, args.any_machine)?;
        results.comparisons.push(comparison);
    }
    let format = if args.json { Format::Json } else { args.output };
    let mut out = text::stdout();
    let layout = Layout {
        width: width(),
        details: args.details,
        hints: hints(args.details),
    };
    out.write_all(report::render(&results, format, &layout).as_bytes())?;
    out.flush().context("standard output")?;
    verdict(&results, args.fail_below)
}

/// How to see more.
fn hints(details: bool) -> Vec<String> {
    let more = if details {
        ""
    } else {
        "latencies, loading, all settings: --details; "
    };
    vec![format!("{more}to paste into an issue: -o md")]
}

/// Reads results that siskin bench wrote.
pub(super) fn results(file: &Path) -> anyhow::Result<Results> {
    Ok(compare::parse(&text_input::file(file)?, file)?)
}

/// The exit code, if the user asked to stop.
pub(super) fn interruption(error: &anyhow::Error) -> Option<ExitCode> {
    match error.downcast_ref()? {
        // A worker dies of the same Ctrl-C, perhaps before this process has noticed it.
        BenchError::Interrupted { signal: Some(signal) } => {
            Some(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))
        }
        BenchError::Interrupted { signal: None } => Some(ExitCode::from(interrupt::exit_code())),
        _ => None,
    }
}

/// This program as a worker.
pub(super) fn worker_command(program: &Path, verbose: bool) -> Command {
    let mut command = Command::new(program);
    command.args(["bench", "--worker"]);
    if verbose {
        command.arg("--verbose");
    }
    command
}

/// The time in seconds, RFC 3339.
pub(super) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "unknown".into(), |now| now.to_string())
}

/// What was typed, without the folder of the program.
fn command_line() -> String {
    let quoted = |word: String| {
        if word.contains([' ', '\'', '"']) {
            format!("{word:?}")
        } else {
            word
        }
    };
    let words = std::env::args_os()
        .skip(1)
        .map(|word| quoted(word.to_string_lossy().into_owned()));
    ["siskin".to_owned()]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Columns for a table on stdout: the terminal's, or `COLUMNS` if stdout is not a terminal.
pub(super) fn width() -> usize {
    let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
    let found = if std::io::stdout().is_terminal() {
        columns(std::io::stdout())
    } else {
        asked()
    };
    found.unwrap_or(PIPE_WIDTH).max(MIN_WIDTH)
}

/// Columns of the terminal on stdout; `None` of anything else. A terminal that does not know its width has 80.
pub(super) fn terminal_width() -> Option<usize> {
    let out = std::io::stdout();
    out.is_terminal()
        .then(|| columns(out).unwrap_or(80).max(MIN_WIDTH))
}

/// Columns of a terminal. Some report 0 because they do not know.
fn columns(terminal: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Exit code 3 if a ratio is below what was asked for.
fn verdict(results: &Results, limit: Option<f64>) -> anyhow::Result<ExitCode> {
    let Some(limit) = limit else {
        return Ok(ExitCode::SUCCESS);
    };
    if results.comparisons.is_empty() {
        bail!(
            "--fail-below has no baseline: no test was run by both siskin and {}",
            Tool::LlamaBench.name()
        );
    }
    let mut code = ExitCode::SUCCESS;
    for comparison in &results.comparisons {
        for row in compare::below(comparison, limit) {
            let (model, test, ratio) = (&row.model, row.test.name(), row.speed.ratio);
            say!(
                "siskin: {model} {test} is {ratio:.3} of {}, below {limit}",
                comparison.with
            );
            code = ExitCode::from(exit::TOO_SLOW);
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        assert_eq!(share("0.95"), Ok(0.95));
        for wrong in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
