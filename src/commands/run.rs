//! `siskin run`: continues a text with a model.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use siskin::{SamplerConfig, StopReason, Token, Tokenize, ggml_hook};

use super::sampling_args::SamplingArgs;
use super::session_args::SessionArgs;
use super::stats::Stats;
use crate::render::text;
use crate::{interrupt, text_input};

/// Default prompt of the embedded model.
const DEFAULT_PROMPT: &str = "Once upon a time";

/// Continues a text with a model; for answers to questions, use chat
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin run model.gguf -p \"Once upon a time\" -n 100 --temp 0")]
pub(crate) struct RunArgs {
    /// Prompt [default: standard input; "Once upon a time" on a terminal or without MODEL]
    #[arg(short, long, conflicts_with = "file")]
    prompt: Option<String>,
    /// Read the prompt from this file
    #[arg(short, long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Do not print the prompt
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
    kernels: ggml_hook::Status,
    #[serde(flatten)]
    sampler: SamplerConfig,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    prompt: &'a str,
    text: &'a str,
    tokens: &'a [Token],
    stop: Option<StopReason>,
    settings: Settings,
    stats: Stats,
}

pub(crate) fn main(args: RunArgs) -> anyhow::Result<ExitCode> {
    let plan = args.session.plan()?;
    let sampling = args.sampling.sampling()?;
    let prompt = prompt(&args)?;
    let interrupted = interrupt::listen();
    let model = plan.load()?;
    super::notices::print_vocabulary(&model);
    let mut session = model.session()?;
    let values = model.settings().values;
    let settings = Settings {
        context: session.capacity(),
        threads: values.threads,
        threads_batch: values.threads_batch,
        kernels: ggml_hook::status(),
        sampler: sampling.config,
    };

    let tokens = model.tokenize(&prompt, Tokenize::PROMPT);
    let mut generation = session.generate_from(&tokens, &sampling, Some(interrupted))?;
    // SentencePiece writes a space before a text's first word; it is not part of the text.
    if prompt.is_empty() && tokens.len() <= 1 && model.adds_space_prefix() {
        generation.strip_leading_space();
    }
    let show = |text: &str| {
        if args.json { Ok(()) } else { text::put(text) }
    };
    if !args.no_display_prompt {
        show(&prompt)?;
    }
    for piece in &mut generation {
        show(&piece?)?;
    }
    // A file or a pipe gets the text and nothing else.
    if std::io::stdout().is_terminal() {
        show("\n")?;
    }

    let stats = Stats::new(generation.usage(), &model);
    let stop = generation.stop_reason();
    if args.json {
        let report = Report {
            prompt: &prompt,
            text: generation.text(),
            tokens: generation.tokens(),
            stop,
            settings,
            stats,
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    } else if args.stats {
        stats.print();
    }
    let code = match stop {
        Some(StopReason::Interrupted) => interrupt::exit_code(),
        _ => 0,
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
