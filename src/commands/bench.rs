//! `siskin bench`: how fast models run here, with how much memory, how near to what memory gives.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use siskin::bench::compare;
use siskin::bench::report::{self, Beside};
use siskin::bench::result::{Results, Tool};
use siskin::bench::{BenchError, worker};
use siskin::engine;
use siskin::kernel::Kernels;

use super::session_args::RuntimeArgs;
use super::{exit, interrupt};

pub(super) mod import;
mod measure;

/// Columns of a table that goes to a file or a pipe.
const PIPE_WIDTH: usize = 120;

/// Measures speed, memory, bandwidth and heat of models on this machine
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin bench a.gguf b.gguf -p 128,512 -n 32,128 -d 0,2048

Models and settings take turns, round by round, each in a process of its own, so that drift hits
all alike and peak memory is that of one model. Speeds are medians with their median absolute
deviation. Names of tests are llama-bench's: pp512 computes a prompt of 512 tokens, tg128 decodes
128 tokens one by one.

  siskin bench a.gguf -o json > before.json
  siskin bench a.gguf --compare before.json --fail-below 0.95   # exit code 3 where it is missed")]
pub(crate) struct BenchArgs {
    /// GGUF files [default: the embedded storyteller]
    models: Vec<PathBuf>,
    /// Prompt lengths in tokens; 0 for none
    #[arg(
        short = 'p',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "512"
    )]
    n_prompt: Vec<u32>,
    /// Tokens to decode; 0 for none
    #[arg(
        short = 'n',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "128"
    )]
    n_gen: Vec<u32>,
    /// Tokens in the context before
    #[arg(
        short = 'd',
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "0"
    )]
    n_depth: Vec<u32>,
    /// Threads, each count is measured [default: the CPUs available]
    #[arg(short, long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Threads for the prompt [default: as --threads]
    #[arg(long, value_name = "N")]
    threads_batch: Option<usize>,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
    /// Context in tokens [default: as many as the tests need]
    #[arg(short, long, value_name = "N")]
    ctx_size: Option<u32>,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Whose kernels decode, each is measured: ggml, siskin [default: $SISKIN_KERNELS, else as tuned,
    /// else siskin where they can be used]
    #[arg(long, value_name = "KERNELS,...", value_delimiter = ',')]
    kernels: Vec<Kernels>,
    /// Drop a file's pages from the page cache before each load
    #[arg(long)]
    cold: bool,
    /// Ratios to the results in this file, written by -o json
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Compare with results of another machine too
    #[arg(long, requires = "compare")]
    any_machine: bool,
    /// Exit with 3 where a speed is below this share of what it is compared with
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true)]
    fail_below: Option<f64>,
    /// Show results of llama-bench -o json or siskin bench -o json too (may be given several times)
    #[arg(long, value_name = "FILE")]
    import: Vec<PathBuf>,
    /// Take turns with this llama-bench program
    #[arg(long, value_name = "PROGRAM")]
    peer: Option<PathBuf>,
    /// A column for a machine that is not here: its speeds from a results file, or what bounds them
    #[arg(long, value_name = "DEVICE[=FILE]")]
    beside: Option<String>,
    /// Form of the results
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Go on even where a model does not fit into memory
    #[arg(long)]
    force: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
    /// Serve another siskin bench
    #[arg(long, hide = true)]
    worker: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
    Md,
    Html,
}

impl From<Format> for report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => report::Format::Table,
            Format::Json => report::Format::Json,
            Format::Jsonl => report::Format::Jsonl,
            Format::Csv => report::Format::Csv,
            Format::Md => report::Format::Md,
            Format::Html => report::Format::Html,
        }
    }
}

pub(crate) fn main(args: BenchArgs) -> anyhow::Result<ExitCode> {
    if !args.verbose {
        engine::silence();
    }
    if args.worker {
        worker::run(std::io::stdin().lock(), std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    check(&args)?;
    let beside = args.beside.as_deref().map(import::beside).transpose()?;
    let baseline = args.compare.as_deref().map(import::results).transpose()?;
    let imported = import::all(&args.import)?;
    let mut results = if args.models.is_empty() && !args.import.is_empty() {
        imported.into_results(&command_line())?
    } else {
        let measured = measure::measure(&args);
        let interrupted =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(BenchError::Interrupted));
        if measured.as_ref().is_err_and(interrupted) {
            return Ok(ExitCode::from(interrupt::exit_code()));
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
    print(&results, format.into(), beside.as_ref())?;
    verdict(&results, args.fail_below)
}

/// Mistakes that need no model to be seen.
fn check(args: &BenchArgs) -> anyhow::Result<()> {
    if let Some(limit) = args.fail_below {
        if !(limit.is_finite() && limit > 0.0) {
            bail!("--fail-below is {limit}; give a share above 0, such as 0.95");
        }
        if args.compare.is_none() && args.peer.is_none() && args.import.is_empty() {
            bail!("--fail-below has nothing to compare with; add --compare, --peer or --import");
        }
    }
    if args.peer.is_some() && args.models.is_empty() {
        bail!("--peer needs a model file: llama-bench cannot load the embedded one");
    }
    Ok(())
}

/// This second, RFC 3339.
fn now() -> String {
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

fn print(results: &Results, format: report::Format, beside: Option<&Beside>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(report::render(results, format, width(), beside).as_bytes())?;
    out.flush().context("standard output")
}

/// Columns of the terminal; `COLUMNS` where standard output is none.
pub(super) fn width() -> usize {
    let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
    let terminal =
        || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let found = if std::io::stdout().is_terminal() {
        terminal()
    } else {
        asked()
    };
    found.unwrap_or(PIPE_WIDTH).max(20)
}

/// Exit code 3 where a ratio is below what was asked for.
fn verdict(results: &Results, limit: Option<f64>) -> anyhow::Result<ExitCode> {
    let Some(limit) = limit else {
        return Ok(ExitCode::SUCCESS);
    };
    if results.comparisons.is_empty() {
        bail!(
            "--fail-below has nothing to compare with: no test was run by both siskin and {}",
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
