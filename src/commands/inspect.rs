//! `siskin inspect`: what a GGUF file contains.
//!
//! It uses siskin's own reader, which keeps the keys' order and types; `tests/through_binary/inspect.rs`
//! compares it with gguf-rs.

mod check;
mod elsewhere;
mod report;
mod values;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use siskin_model::gguf::ModelFile;
use siskin_model::summary::Summary;
use siskin_quant::audit::Severity;

use super::{bench, model_name};
use crate::render::text;

/// Shows what a GGUF file contains: architecture, parameters, types, context, metadata
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin inspect tinyllama-q4_k_m.gguf --tensors")]
pub(crate) struct InspectArgs {
    /// GGUF file to read, a name that siskin list shows, or one of elsewhere, of which only headers are read: hf:OWNER/REPO
    #[arg(value_name = "FILE.gguf")]
    pub(crate) file: PathBuf,
    /// Also list the tensors
    #[arg(long)]
    tensors: bool,
    /// Also look for what is odd in the metadata: hidden characters, code, foreign keys, a chat template that depends on
    /// what is said; the exit code is 1 if there is a warning
    #[arg(long)]
    check: bool,
    /// Print one JSON object; its metadata is an object in the file's order. Of a list with more than 8 entries, only the
    /// length and the first entries
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: InspectArgs) -> anyhow::Result<ExitCode> {
    if model_name::is_elsewhere(&args.file) {
        return elsewhere::inspect(&args);
    }
    args.print(&ModelFile::open(&args.file)?)
}

impl InspectArgs {
    /// Prints what was asked for of a model.
    fn print(&self, model: &ModelFile) -> anyhow::Result<ExitCode> {
        let args = self;
        let header = &model.header;
        let summary = Summary::from_header(header);
        let findings = args.check.then(|| check::findings(header));
        let mut out = std::io::BufWriter::new(text::stdout());
        if args.json {
            let mut report = report::json(&args.file, &summary, header, args.tensors)?;
            if let Some(findings) = &findings {
                report["check"] = check::json(findings);
            }
            writeln!(out, "{}", text::json(&report)?)?;
        } else {
            // A pipe has no width: nothing is cut.
            let columns = bench::terminal_width().unwrap_or(values::UNLIMITED);
            report::print(&mut out, &args.file, &summary, model, columns)?;
            if args.tensors {
                report::print_tensors(&mut out, header, columns)?;
            }
            if let Some(findings) = &findings {
                check::print(&mut out, findings)?;
            }
        }
        out.flush()?;
        let mut severities = findings.iter().flatten().map(|finding| finding.severity);
        Ok(match severities.any(|severity| severity == Severity::Warning) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}
