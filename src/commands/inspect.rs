//! `siskin inspect`: what a GGUF file contains.
//!
//! It uses siskin's own reader, which keeps the keys' order and types; `tests/through_binary/inspect.rs`
//! compares it with gguf-rs.

mod report;
mod values;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use siskin_model::gguf::ModelFile;
use siskin_model::summary::Summary;

use super::bench;
use crate::render::text;

/// Shows what a GGUF file contains: architecture, parameters, types, context, metadata
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin inspect tinyllama-q4_k_m.gguf --tensors")]
pub(crate) struct InspectArgs {
    /// GGUF file to read
    #[arg(value_name = "FILE.gguf")]
    file: PathBuf,
    /// Also list the tensors
    #[arg(long)]
    tensors: bool,
    /// Print one JSON object; its metadata is an object in the file's order. Of a list with more than 8 entries, only the
    /// length and the first entries
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: InspectArgs) -> anyhow::Result<ExitCode> {
    let model = ModelFile::open(&args.file)?;
    let header = &model.header;
    let summary = Summary::from_header(header);
    let mut out = std::io::BufWriter::new(text::stdout());
    if args.json {
        let report = report::json(&args.file, &summary, header, args.tensors)?;
        writeln!(out, "{}", text::json(&report)?)?;
    } else {
        // A pipe has no width: nothing is cut.
        let columns = bench::terminal_width().unwrap_or(values::UNLIMITED);
        report::print(&mut out, &args.file, &summary, &model, columns)?;
        if args.tensors {
            report::print_tensors(&mut out, header, columns)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
