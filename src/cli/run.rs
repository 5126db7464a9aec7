//! `siskin run`: text from a model, streamed as it is made.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use siskin::device::{self, memory::Memory};
use siskin::engine::{
    self, Cut, Model, ModelOptions, SamplerConfig, Session, SessionOptions, StopStrings, Token, Utf8Stream,
};

use super::{exit, interrupt, size};

/// What the embedded storyteller is asked where nobody says anything.
const DEFAULT_PROMPT: &str = "Once upon a time";
/// The longest prompt file read.
const MAX_PROMPT: u64 = 64 << 20;

/// Continues a text with a model
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin run model.gguf -p \"Once upon a time\" -n 100 --temp 0")]
pub(crate) struct RunArgs {
    /// GGUF file [default: the embedded storyteller]
    model: Option<PathBuf>,
    /// Prompt; read from standard input where neither this nor -f is given
    #[arg(short, long, conflicts_with = "file")]
    prompt: Option<String>,
    /// Read the prompt from this file
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Tokens to make at most; -1 until the model ends the text or the context is full
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
    n_predict: i64,
    /// Context in tokens [default: the training length, at most 4096]
    #[arg(short, long)]
    ctx_size: Option<u32>,
    /// Temperature; 0 always takes the most likely token
    #[arg(long, default_value_t = SamplerConfig::default().temp, allow_negative_numbers = true)]
    temp: f32,
    /// Only the K most likely tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = SamplerConfig::default().top_k)]
    top_k: i32,
    /// Only the most likely tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().top_p)]
    top_p: f32,
    /// Only tokens at least this likely relative to the most likely
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().min_p)]
    min_p: f32,
    /// Penalty on the last 64 tokens; 1 for none
    #[arg(long, value_name = "X", default_value_t = SamplerConfig::default().repeat_penalty)]
    repeat_penalty: f32,
    /// Seed of the random numbers [default: another each time]
    #[arg(short, long)]
    seed: Option<u32>,
    /// End before this text comes (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Threads for decoding [default: the CPUs available]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Threads for the prompt [default: as --threads]
    #[arg(long, value_name = "N")]
    threads_batch: Option<usize>,
    /// Let llama.cpp repack the weights: a second copy in memory
    #[arg(long)]
    repack: bool,
    /// Read the weights into memory instead of mapping the file
    #[arg(long)]
    no_mmap: bool,
    /// Do not print the prompt before the text
    #[arg(long)]
    no_display_prompt: bool,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr at the end
    #[arg(long)]
    stats: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StopReason {
    EndOfText,
    Limit,
    ContextFull,
    StopString,
    Interrupted,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Stats {
    prompt_tokens: usize,
    generated_tokens: usize,
    load_seconds: f64,
    time_to_first_token_seconds: Option<f64>,
    prompt_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
    peak_rss_bytes: Option<u64>,
    rss_anonymous_bytes: Option<u64>,
    rss_file_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Settings {
    context: u32,
    threads: usize,
    threads_batch: usize,
    #[serde(flatten)]
    sampler: SamplerConfig,
}

#[derive(Debug, Serialize)]
struct Report {
    prompt: String,
    text: String,
    tokens: Vec<Token>,
    stop: StopReason,
    settings: Settings,
    stats: Stats,
}

pub(crate) fn main(args: RunArgs) -> anyhow::Result<ExitCode> {
    if !args.verbose {
        engine::silence();
    }
    let (threads, threads_batch) = threads(&args)?;
    let sampler = SamplerConfig {
        temp: args.temp,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repeat_penalty: args.repeat_penalty,
        seed: args.seed,
        ..SamplerConfig::default()
    };
    sampler.check()?;
    if args.n_predict < -1 {
        bail!(
            "-n is {}; give -1 for no limit, or a number of tokens",
            args.n_predict
        );
    }
    let prompt = prompt(&args)?;
    let interrupted = interrupt::listen();
    let options = ModelOptions {
        repack: args.repack,
        mmap: !args.no_mmap,
        ..ModelOptions::default()
    };
    let model = match &args.model {
        Some(path) => Model::load(path, &options)?,
        None => Model::load_bytes(siskin::engine::STORYTELLER, &options)?,
    };
    let mut session = Session::new(
        &model,
        &SessionOptions {
            context: args.ctx_size,
            threads,
            threads_batch,
            ..SessionOptions::default()
        },
    )?;
    let tokens = model.tokenize(&prompt, true, true);
    let start = Instant::now();
    session.feed(&tokens)?;
    let prefill = start.elapsed();

    let mut output = Output::new(&args, &model, &prompt, tokens.len())?;
    let context = session.capacity();
    let mut generated = Vec::new();
    let mut first = None;
    let limit = usize::try_from(args.n_predict).unwrap_or(usize::MAX);
    let mut generate = session.generate(&sampler)?;
    let stop = loop {
        if interrupted.load(Ordering::Relaxed) {
            break StopReason::Interrupted;
        }
        if generated.len() >= limit {
            break StopReason::Limit;
        }
        let Some(token) = generate.next() else {
            break if generate.is_full() {
                StopReason::ContextFull
            } else {
                StopReason::EndOfText
            };
        };
        let token = token?;
        first.get_or_insert_with(|| start.elapsed());
        generated.push(token);
        if output.push(&model.piece(token, false))? {
            break StopReason::StopString;
        }
    };
    let text = output.finish(stop != StopReason::StopString)?;
    let stats = stats(
        &model,
        tokens.len(),
        generated.len(),
        prefill,
        first,
        start.elapsed(),
    );
    if args.json {
        let settings = Settings {
            context,
            threads,
            threads_batch,
            sampler,
        };
        let report = Report {
            prompt,
            text,
            tokens: generated,
            stop,
            settings,
            stats,
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    } else if args.stats {
        print_stats(&stats);
    }
    let code = if stop == StopReason::Interrupted {
        exit::INTERRUPTED
    } else {
        0
    };
    Ok(ExitCode::from(code))
}

/// Threads for decoding and for the prompt.
fn threads(args: &RunArgs) -> anyhow::Result<(usize, usize)> {
    let cpus = device::available_cpus();
    let decode = args.threads.unwrap_or(cpus);
    let batch = args.threads_batch.unwrap_or(decode);
    for (flag, count) in [("--threads", decode), ("--threads-batch", batch)] {
        if count == 0 {
            bail!("{flag} is 0; give at least 1");
        }
        if count > cpus {
            eprintln!(
                "siskin: {flag} {count} is more than the {cpus} CPUs available; this is slower, not faster"
            );
        }
    }
    Ok((decode, batch))
}

fn prompt(args: &RunArgs) -> anyhow::Result<String> {
    match (&args.prompt, &args.file) {
        (Some(prompt), _) => Ok(prompt.clone()),
        (None, Some(path)) => read_text(path),
        (None, None) if args.model.is_none() || std::io::stdin().is_terminal() => Ok(DEFAULT_PROMPT.into()),
        (None, None) => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("standard input")?;
            Ok(text)
        }
    }
}

/// A text file, whole; folders, endless devices and other encodings are refused.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    let meta = std::fs::metadata(path).with_context(name)?;
    if meta.is_dir() {
        bail!("{}: a folder; name a text file", path.display());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(name)?;
    file.take(MAX_PROMPT + 1)
        .read_to_string(&mut text)
        .with_context(name)?;
    if text.len() as u64 > MAX_PROMPT {
        bail!(
            "{}: more than {} of text",
            path.display(),
            size::bytes(MAX_PROMPT)
        );
    }
    Ok(text)
}

/// Where the text goes: to stdout as it is made, or into one JSON object.
struct Output {
    stream: bool,
    utf8: Utf8Stream,
    stops: StopStrings,
    text: String,
    strip_space: bool,
}

impl Output {
    fn new(args: &RunArgs, model: &Model, prompt: &str, prompt_tokens: usize) -> anyhow::Result<Self> {
        let stream = !args.json;
        if stream && !args.no_display_prompt {
            let mut out = std::io::stdout();
            out.write_all(prompt.as_bytes())?;
            out.flush()?;
        }
        let stops = StopStrings::new(args.stop.iter().cloned());
        // SentencePiece writes a space before a text's first word; it is no part of the text.
        let strip_space = prompt_tokens <= 1 && prompt.is_empty() && model.leads_with_space();
        Ok(Output {
            stream,
            utf8: Utf8Stream::new(),
            stops,
            text: String::new(),
            strip_space,
        })
    }

    /// Takes a token's bytes; true where a stop string came.
    fn push(&mut self, piece: &[u8]) -> anyhow::Result<bool> {
        let mut text = self.utf8.push(piece);
        if self.strip_space && !text.is_empty() {
            self.strip_space = false;
            text = text.strip_prefix(' ').map_or(text.clone(), str::to_owned);
        }
        let (text, stop) = match self.stops.push(&text) {
            Cut::More(text) => (text, false),
            Cut::Stop(text) => (text, true),
        };
        self.show(&text)?;
        Ok(stop)
    }

    /// Shows what was held back, unless a stop string came, and ends the line. Gives the whole text.
    fn finish(mut self, show_held: bool) -> anyhow::Result<String> {
        if show_held {
            let rest = self.utf8.finish();
            let held = match self.stops.push(&rest) {
                Cut::More(text) => text + &self.stops.finish(),
                Cut::Stop(text) => text,
            };
            self.show(&held)?;
        }
        // A file or a pipe gets the text and nothing else.
        if self.stream && std::io::stdout().is_terminal() {
            writeln!(std::io::stdout())?;
        }
        Ok(self.text)
    }

    fn show(&mut self, text: &str) -> anyhow::Result<()> {
        self.text.push_str(text);
        if self.stream && !text.is_empty() {
            let mut out = std::io::stdout();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

fn stats(
    model: &Model,
    prompt_tokens: usize,
    generated_tokens: usize,
    prefill: Duration,
    first: Option<Duration>,
    total: Duration,
) -> Stats {
    let memory = Memory::now();
    let rate = |count: usize, time: Duration| {
        (count > 0 && !time.is_zero()).then(|| count as f64 / time.as_secs_f64())
    };
    // The first token comes out of the prompt's computation; each later one costs a decode.
    let decoding = first.map(|first| total.saturating_sub(first)).unwrap_or_default();
    Stats {
        prompt_tokens,
        generated_tokens,
        load_seconds: model.load_time().as_secs_f64(),
        time_to_first_token_seconds: first.map(|time| time.as_secs_f64()),
        prompt_tokens_per_second: rate(prompt_tokens, prefill),
        decode_tokens_per_second: rate(generated_tokens.saturating_sub(1), decoding),
        peak_rss_bytes: memory.peak_bytes,
        rss_anonymous_bytes: memory.anonymous_bytes,
        rss_file_bytes: memory.file_bytes,
    }
}

fn print_stats(stats: &Stats) {
    let rate = |rate: Option<f64>| rate.map_or("unmeasured".into(), |rate| format!("{rate:.1} tokens/s"));
    let bytes = |count: Option<u64>| count.map_or("unknown".into(), size::bytes);
    let millis = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
    eprintln!(
        "prompt   {} tokens, {}",
        stats.prompt_tokens,
        rate(stats.prompt_tokens_per_second)
    );
    eprintln!(
        "decode   {} tokens, {}",
        stats.generated_tokens,
        rate(stats.decode_tokens_per_second)
    );
    let first = stats.time_to_first_token_seconds.map_or("none".into(), millis);
    eprintln!("load     {}, first token {first}", millis(stats.load_seconds));
    let (peak, anonymous, file) = (
        bytes(stats.peak_rss_bytes),
        bytes(stats.rss_anonymous_bytes),
        bytes(stats.rss_file_bytes),
    );
    eprintln!("memory   peak RSS {peak}; now {anonymous} anonymous, {file} mapped from files");
}
