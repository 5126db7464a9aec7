//! `siskin hash`: hashes of a model's tensors, whatever its metadata, offsets and parts are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};
use siskin_model::files;
use siskin_quant::hash::{self, Check, HashError, Manifest, ModelHash, Verdict};

use crate::interrupt;
use crate::render::text;

/// Shows the SHA-256 of each tensor and of the model, or checks them
///
/// The hash of the model is that of the names, types, shapes and hashes of its tensors. It stays the same if the metadata
/// change, or if the model is split or joined.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin hash model.gguf --check model.gguf.manifest")]
pub(crate) struct HashArgs {
    /// GGUF file to read
    #[arg(value_name = "FILE.gguf")]
    pub(crate) file: PathBuf,
    /// Compare with a manifest, as llama-gguf-hash --sha256 prints it; the exit code is 1 if they differ
    #[arg(long, value_name = "MANIFEST")]
    check: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: HashArgs) -> anyhow::Result<ExitCode> {
    let manifest = args.check.as_deref().map(read_manifest).transpose()?;
    let is_plain = !args.json && manifest.is_none();
    let mut out = text::stdout();
    let mut failed = Ok(());
    let hashes = hash::hash_file(&args.file, interrupt::listen(), &mut |name, hash| {
        // Hashing a large model takes a minute: a line is shown as soon as it is known.
        if is_plain && failed.is_ok() {
            failed = writeln!(out, "{hash}  {}", text::escaped(name));
        }
    });
    let hashes = match hashes {
        Err(HashError::Interrupted) => {
            say!("siskin: interrupted");
            return Ok(ExitCode::from(interrupt::exit_code()));
        }
        hashes => hashes?,
    };
    failed?;
    let check = manifest.map(|manifest| manifest.check(&hashes));
    if args.json {
        let report = report(&args.file, &hashes, check.as_ref());
        writeln!(out, "{}", text::json(&report)?)?;
    } else if let Some(check) = &check {
        for (name, verdict) in &check.tensors {
            writeln!(out, "{:8}  {}", label(*verdict), text::escaped(name))?;
        }
        if let Some(verdict) = check.data {
            writeln!(out, "{:8}  (all tensors)", label(verdict))?;
        }
    } else {
        writeln!(out, "{}  (model)", hashes.model)?;
    }
    Ok(match check.is_none_or(|check| check.is_same()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn read_manifest(path: &Path) -> anyhow::Result<Manifest> {
    let read = files::read_text(path, hash::MAX_MANIFEST)?;
    Manifest::parse(&read).with_context(|| path.display().to_string())
}

fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Differs => "differs",
        Verdict::Missing => "missing",
        Verdict::Extra => "unlisted",
    }
}

fn report(path: &Path, hashes: &ModelHash, check: Option<&Check>) -> Value {
    let tensor = |(name, hash): &(String, hash::Hash)| json!({"name": name, "sha256": hash.to_string()});
    let tensors: Vec<Value> = hashes.tensors.iter().map(tensor).collect();
    let mut report = json!({
        "file": path.display().to_string(),
        "model": hashes.model.to_string(),
        "data": hashes.data.to_string(),
        "tensors": tensors,
    });
    if let Some(check) = check {
        let line = |(name, verdict): &(String, Verdict)| json!({"name": name, "verdict": label(*verdict)});
        report["check"] = json!({
            "same": check.is_same(),
            "data": check.data.map(label),
            "tensors": check.tensors.iter().map(line).collect::<Vec<_>>(),
        });
    }
    report
}
