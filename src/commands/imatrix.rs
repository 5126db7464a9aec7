//! `siskin imatrix`: a text is run through a model, and what its matrices met becomes an importance matrix.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::bail;
use serde_json::json;
use siskin::device::{self, memory::Memory};
use siskin::engine::{self, Importance, ImportanceOptions, Model, ModelOptions};
use siskin_quant::imatrix::Collected;
use siskin_model::atomic_file::{self, Overwrite};

use super::progress::Chunks;
use super::{interrupt, size, text, text_input};

/// The fewest tokens of a chunk: fewer say nothing of a model.
const MIN_CHUNK: u32 = 16;

/// Collects an importance matrix from a text, for convert and quantize --imatrix
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin imatrix tinyllama-f16.gguf --file calibration.txt -o tinyllama.imatrix.gguf"
)]
pub(crate) struct ImatrixArgs {
    /// GGUF file, best of an unquantized model
    model: PathBuf,
    /// Text to run: like what the model is for
    #[arg(short, long, value_name = "TEXT")]
    file: PathBuf,
    /// GGUF file to write, in llama.cpp's format
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// Tokens of a chunk: each is run alone
    #[arg(short, long, value_name = "N", default_value_t = 512)]
    ctx_size: u32,
    /// Stop after this many chunks [default: the whole text]
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,
    /// Collect for the output matrix too
    #[arg(long)]
    process_output: bool,
    /// Threads [default: the CPUs available]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Replace the output where it exists
    #[arg(long)]
    force: bool,
    /// No progress, no closing line
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: ImatrixArgs) -> anyhow::Result<ExitCode> {
    engine::silence();
    args.check()?;
    let existing = if args.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    atomic_file::check(&args.output, existing)?;
    let start = Instant::now();
    let content = text_input::file(&args.file)?;
    let model = Model::load(&args.model, &ModelOptions::default())?;
    let tokens = model.tokenize(&content, true, false);
    let chunk = args.ctx_size as usize;
    let whole = tokens.len() / chunk;
    if whole == 0 {
        bail!(
            "{}: {} tokens do not fill a chunk of {chunk}; give a longer text, or shorter chunks with -c",
            args.file.display(),
            tokens.len()
        );
    }
    let chunks = whole.min(args.chunks.unwrap_or(whole));
    let options = ImportanceOptions {
        chunk: args.ctx_size,
        threads: args.threads.unwrap_or_else(device::available_cpus),
        output: args.process_output,
    };
    let mut importance = Importance::new(&model, &options)?;
    let cancel = interrupt::listen();
    let shown = Chunks::new(args.quiet || args.json, chunks);
    for part in tokens.chunks_exact(chunk).take(chunks) {
        if cancel.load(Ordering::Relaxed) {
            shown.finish();
            say!("siskin: interrupted; {} is as it was", args.output.display());
            return Ok(ExitCode::from(interrupt::exit_code()));
        }
        importance.feed(part)?;
        shown.step();
    }
    shown.finish();
    let collected = Collected {
        tensors: importance.into_sums(),
        dataset: args.file.display().to_string(),
        chunks: u32::try_from(chunks)?,
        chunk_size: args.ctx_size,
    };
    if collected.tensors.is_empty() {
        bail!("{}: no matrix of it was multiplied", args.model.display());
    }
    collected.write(&args.output, existing)?;
    args.close(&collected, start.elapsed().as_secs_f64())
}

impl ImatrixArgs {
    fn check(&self) -> anyhow::Result<()> {
        if self.ctx_size < MIN_CHUNK {
            bail!("--ctx-size is {}; give at least {MIN_CHUNK}", self.ctx_size);
        }
        for (flag, count) in [("--chunks", self.chunks), ("--threads", self.threads)] {
            if count == Some(0) {
                bail!("{flag} is 0; give at least 1");
            }
        }
        Ok(())
    }

    fn close(&self, collected: &Collected, seconds: f64) -> anyhow::Result<ExitCode> {
        let (entries, chunks, tokens) = (
            collected.tensors.len(),
            collected.chunks,
            collected.chunks * collected.chunk_size,
        );
        let peak = Memory::now().peak_bytes;
        if self.json {
            let report = json!({
                "output": self.output.display().to_string(), "entries": entries, "chunks": chunks,
                "chunk_size": collected.chunk_size, "tokens": tokens, "seconds": seconds, "peak_rss_bytes": peak,
            });
            writeln!(std::io::stdout(), "{}", text::json(&report))?;
        } else if !self.quiet {
            say!(
                "{}: {entries} matrices, {chunks} chunks, {tokens} tokens, {seconds:.1} s, {:.0} tokens/s, peak RSS {}",
                self.output.display(),
                f64::from(tokens) / seconds,
                peak.map_or("unknown".into(), size::bytes),
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
