//! `siskin imatrix`: runs a text through a model, and makes an importance matrix of what enters its matrix products.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::bail;
use serde_json::json;
use siskin::device::memory::Memory;
use siskin::device::settings::Overrides;
use siskin::{Importance, Model, Tokenize};
use siskin_model::atomic_file::{self, Overwrite};
use siskin_quant::imatrix::{Collected, Sums};

use super::number;
use super::{kernels, notices};
use crate::exit::usage_error;
use crate::render::progress::ChunkProgress;
use crate::render::{size, text};
use crate::{environment, interrupt, text_input};

/// The fewest tokens of a chunk: fewer give too little context.
const MIN_CHUNK: u32 = 16;

/// Makes an importance matrix from a text, for convert --imatrix and quantize --imatrix
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin imatrix tinyllama-f16.gguf --file calibration.txt -o tinyllama.imatrix.gguf"
)]
pub(crate) struct ImatrixArgs {
    /// GGUF file, preferably unquantized
    pub(crate) model: PathBuf,
    /// Calibration text, similar to the intended use
    #[arg(short, long, value_name = "TEXT")]
    file: PathBuf,
    /// GGUF file to write, in llama.cpp's format
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// Tokens per chunk; chunks are independent
    #[arg(short, long, value_name = "N", default_value_t = 512, value_parser = number::tokens::<u32>)]
    ctx_size: u32,
    /// Stop after this many chunks [default: the whole text]
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>)]
    chunks: Option<usize>,
    /// Also collect for the output matrix
    #[arg(long)]
    process_output: bool,
    /// Threads [default: tuned, else the device's profile]
    #[arg(short, long, value_name = "N", value_parser = number::threads::<usize>)]
    threads: Option<usize>,
    /// Overwrite the output file if it exists
    #[arg(long)]
    force: bool,
    /// Print no progress and no summary
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: ImatrixArgs) -> anyhow::Result<ExitCode> {
    args.check()?;
    environment::prepare();
    let overwrite = if args.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    atomic_file::check_inputs(&args.output, [&args.model, &args.file])?;
    atomic_file::check(&args.output, overwrite)?;
    let start = Instant::now();
    let content = text_input::file(&args.file)?;
    let model = args.load()?;
    let chunk = args.ctx_size as usize;
    // Until here and while it tokenizes, a signal ends the program at once: there is nothing to end cleanly.
    let most = args
        .chunks
        .map_or(usize::MAX, |chunks| chunks.saturating_mul(chunk));
    let tokens = model.tokenize_start(&content, Tokenize::TEXT, most, None);
    let tokens = tokens.unwrap_or_default();
    let whole = tokens.len() / chunk;
    if whole == 0 {
        bail!(
            "{}: its {} tokens do not fill one chunk of {chunk}; give a longer text, or shorter chunks with -c",
            args.file.display(),
            tokens.len()
        );
    }
    let chunks = whole.min(args.chunks.unwrap_or(whole));
    let mut importance = Importance::new(&model, args.ctx_size, args.process_output)?;
    let cancel = interrupt::listen();
    let bar = ChunkProgress::new(args.quiet || args.json, chunks);
    for part in tokens.chunks_exact(chunk).take(chunks) {
        if cancel.load(Ordering::Relaxed) || !importance.add(part, Some(cancel))? {
            bar.finish();
            say!("siskin: interrupted; nothing was written");
            return Ok(ExitCode::from(interrupt::exit_code()));
        }
        bar.step();
    }
    bar.finish();
    let sums = importance.into_sums().into_iter();
    let sums = sums.map(|(tensor, sums)| {
        let (squares, count) = (sums.squares, sums.count);
        (tensor, Sums { squares, count })
    });
    let collected = Collected {
        tensors: sums.collect(),
        dataset: args.file.display().to_string(),
        chunks: u32::try_from(chunks)?,
        chunk_size: args.ctx_size,
    };
    if collected.tensors.is_empty() {
        bail!(
            "{}: no matrix product of this model could be observed",
            args.model.display()
        );
    }
    collected.write(&args.output, overwrite)?;
    args.close(&collected, start.elapsed().as_secs_f64())
}

impl ImatrixArgs {
    /// Loads the model for chunks: in a context of one, with the tuned threads.
    fn load(&self) -> anyhow::Result<Model> {
        let plan = Model::builder(&self.model)
            .overrides(Overrides {
                context: Some(self.ctx_size),
                threads: self.threads,
                ..Overrides::default()
            })
            .environment(kernels::environment()?)
            .plan()?;
        notices::print(&plan.notices);
        Ok(plan.load()?)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.ctx_size < MIN_CHUNK {
            let line = format!("--ctx-size is {}; give at least {MIN_CHUNK}", self.ctx_size);
            return Err(usage_error(line));
        }
        if self.chunks == Some(0) {
            return Err(usage_error("--chunks is 0; give at least 1"));
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
            writeln!(text::stdout(), "{}", text::json(&report)?)?;
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
