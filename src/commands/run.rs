//! `siskin run`: text from a model, streamed as it is made.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use siskin::engine::{SamplerConfig, Token};
use siskin::kernel;

use super::answer::{StopReason, Writer};
use super::sampling_args::SamplingArgs;
use super::session_args::SessionArgs;
use super::stats::{self, Clock, Stats};
use super::{interrupt, text, text_input};

/// What the embedded storyteller is asked where nobody says anything.
const DEFAULT_PROMPT: &str = "Once upon a time";

/// Continues a text with a model
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin run model.gguf -p \"Once upon a time\" -n 100 --temp 0")]
pub(crate) struct RunArgs {
    /// Prompt; read from standard input where neither this nor -f is given
    #[arg(short, long, conflicts_with = "file")]
    prompt: Option<String>,
    /// Read the prompt from this file
    #[arg(short, long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Do not print the prompt before the text
    #[arg(long)]
    no_display_prompt: bool,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr at the end
    #[arg(long)]
    stats: bool,
}

#[derive(Debug, Serialize)]
struct Settings {
    context: u32,
    threads: usize,
    threads_batch: usize,
    kernels: kernel::Status,
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
    let runtime = args.session.resolve()?;
    let sampling = args.sampling.resolve()?;
    let prompt = prompt(&args)?;
    let interrupted = interrupt::listen();
    let model = runtime.load()?;
    let mut session = runtime.start(&model)?;

    let tokens = model.tokenize(&prompt, true, true);
    let mut clock = Clock::start();
    session.feed(&tokens)?;
    clock.prompt_done();
    let mut show = |text: &str| {
        if args.json { Ok(()) } else { Ok(text::put(text)?) }
    };
    if !args.no_display_prompt {
        show(&prompt)?;
    }
    // SentencePiece writes a space before a text's first word; it is no part of the text.
    let strip_space = tokens.len() <= 1 && prompt.is_empty() && model.leads_with_space();
    let mut writer = Writer::new(&sampling, strip_space, &mut show);
    let stop = writer.draw(&mut session, interrupted, &mut clock)?;
    let answer = writer.finish(stop)?;
    // A file or a pipe gets the text and nothing else.
    if std::io::stdout().is_terminal() {
        show("\n")?;
    }

    let stats = clock.stats(&model, tokens.len(), answer.tokens.len());
    if args.json {
        let (threads, threads_batch) = runtime.threads();
        let settings = Settings {
            context: session.capacity(),
            threads,
            threads_batch,
            kernels: kernel::status(),
            sampler: sampling.config,
        };
        let report = Report {
            prompt,
            text: answer.text,
            tokens: answer.tokens,
            stop: answer.stop,
            settings,
            stats,
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    } else if args.stats {
        stats::print(&stats);
    }
    let code = if answer.stop == StopReason::Interrupted {
        interrupt::exit_code()
    } else {
        0
    };
    // The process ends here, and the system takes its memory back at once; to free a large vocabulary piece by piece
    // takes as long as a token or two.
    std::mem::forget(session);
    std::mem::forget(model);
    Ok(ExitCode::from(code))
}

fn prompt(args: &RunArgs) -> anyhow::Result<String> {
    let storyteller = args.session.model.is_none();
    match (&args.prompt, &args.file) {
        (Some(prompt), _) => Ok(prompt.clone()),
        (None, Some(path)) => text_input::file(path),
        (None, None) if storyteller || std::io::stdin().is_terminal() => Ok(DEFAULT_PROMPT.into()),
        (None, None) => text_input::stdin(),
    }
}
