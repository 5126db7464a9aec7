//! `siskin convert`: a Hugging Face checkpoint becomes a GGUF file in one step.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use siskin::device::{self, memory::Memory};
use siskin_quant::FileType;
use siskin_quant::convert::{Conversion, ConvertError};
use siskin_quant::stream::{Progress, StreamError, StreamOptions};
use siskin_quant::target::{self, Existing};

use super::{exit, interrupt, plan_table, size};

/// Turns a Hugging Face checkpoint into a GGUF file, quantized on the way
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin convert TinyLlama-1.1B-Chat-v1.0/ -o tinyllama-q4_k_m.gguf --type q4_k_m"
)]
pub(crate) struct ConvertArgs {
    /// Checkpoint folder: config.json, model.safetensors or its shards, tokenizer files
    dir: PathBuf,
    /// GGUF file to write; not needed with --dry-run
    #[arg(short, long, value_name = "OUT.gguf", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q4_k_m, q4_k_s, q4_0, or auto (bf16 or f16, as stored)
    #[arg(long = "type", value_name = "TYPE", default_value = "auto", value_parser = parse_type)]
    file_type: TypeArg,
    /// Worker threads [default: the CPUs available]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Replace the output where it exists
    #[arg(long)]
    force: bool,
    /// Print the plan and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Convert weights that are NaN or infinite instead of refusing them
    #[arg(long)]
    allow_nonfinite: bool,
    /// No progress, no closing line
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// A file type, or the stored one.
#[derive(Debug, Clone, Copy)]
struct TypeArg(Option<FileType>);

fn parse_type(text: &str) -> Result<TypeArg, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(TypeArg(None));
    }
    text.parse()
        .map(|ty| TypeArg(Some(ty)))
        .map_err(|error: String| format!("{error}, auto"))
}

pub(crate) fn main(args: ConvertArgs) -> anyhow::Result<ExitCode> {
    if args.threads == Some(0) {
        bail!("--threads is 0; give at least 1");
    }
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    if let (Some(output), false) = (&args.output, args.dry_run) {
        target::check(output, existing)?;
    }
    let start = Instant::now();
    let conversion = Conversion::of(&args.dir, args.file_type.0)?;
    let (plan, file_type, file_bytes) = (&conversion.plan, conversion.file_type, conversion.file_bytes());
    let mut report = plan_table::json(plan, file_type, file_bytes);
    let Some(output) = args.output.as_ref().filter(|_| !args.dry_run) else {
        let mut out = std::io::stdout().lock();
        if args.json {
            writeln!(out, "{report}")?;
        } else {
            plan_table::print(&mut out, plan, file_type, file_bytes)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let threads = args.threads.unwrap_or_else(device::available_cpus);
    let cancel: &AtomicBool = interrupt::listen();
    let options = StreamOptions {
        threads,
        allow_nonfinite: args.allow_nonfinite,
        cancel,
    };
    let shown = Shown::new(args.quiet || args.json, file_bytes);
    let written = conversion.write(output, existing, options, &mut |progress| shown.show(&progress));
    shown.finish();
    match written {
        Err(ConvertError::Stream(StreamError::Interrupted)) => {
            eprintln!("siskin: interrupted; {} is as it was", output.display());
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
        written => written.with_context(|| format!("cannot convert {}", args.dir.display()))?,
    }
    let seconds = start.elapsed().as_secs_f64();
    let memory = Memory::now();
    if args.json {
        report["seconds"] = json!(seconds);
        report["threads"] = json!(threads);
        report["peak_rss_bytes"] = json!(memory.peak_bytes);
        report["output"] = json!(output.display().to_string());
        writeln!(std::io::stdout(), "{report}")?;
    } else if !args.quiet {
        let rate = file_bytes as f64 / 1e6 / seconds;
        let peak = memory.peak_bytes.map_or("unknown".into(), size::bytes);
        eprintln!(
            "{}: {file_type}, {}, {:.2} bits per weight, {seconds:.1} s, {rate:.0} MB/s, peak RSS {peak}",
            output.display(),
            size::bytes(file_bytes),
            plan_table::bits(plan, file_bytes),
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Progress: a bar on a terminal, a line a tenth elsewhere, or nothing.
enum Shown {
    Bar(ProgressBar),
    Lines(std::sync::atomic::AtomicU64),
    Nothing,
}

impl Shown {
    fn new(quiet: bool, bytes: u64) -> Self {
        if quiet {
            return Shown::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Shown::Lines(0.into());
        }
        let style = ProgressStyle::with_template(
            "{bar:24} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4} {wide_msg}",
        );
        let bar = ProgressBar::new(bytes);
        bar.set_style(style.expect("a template that a test has drawn"));
        Shown::Bar(bar)
    }

    fn show(&self, progress: &Progress<'_>) {
        match self {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.written);
                bar.set_message(progress.tensor.name.clone());
            }
            Shown::Lines(tenths) => {
                let tenth = progress.written * 10 / progress.total.max(1);
                if tenths.swap(tenth, std::sync::atomic::Ordering::Relaxed) < tenth {
                    eprintln!("{:>3}%  {}", tenth * 10, progress.tensor.name);
                }
            }
        }
    }

    fn finish(&self) {
        if let Shown::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        let style = ProgressStyle::with_template(
            "{bar:24} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4} {wide_msg}",
        );
        assert!(style.is_ok());
    }

    #[test]
    fn types() {
        assert!(parse_type("AUTO").expect("known").0.is_none());
        assert_eq!(parse_type("Q4_K_M").expect("known").0, Some(FileType::Q4KM));
        let error = parse_type("q3_k").expect_err("unknown");
        assert!(error.contains("q4_k_m") && error.ends_with("auto"), "{error}");
    }
}
