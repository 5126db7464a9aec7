//! `siskin convert`: turns a Hugging Face checkpoint into a GGUF file in one step.

use std::path::PathBuf;
use std::process::ExitCode;

use siskin_model::{FileType, UnknownFileType};
use siskin_quant::checkpoint;
use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;

use super::write::WriteArgs;

/// Converts a Hugging Face checkpoint to a GGUF file, and quantizes it if asked
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin convert TinyLlama-1.1B-Chat-v1.0/ -o tinyllama-q4_k_m.gguf --type q4_k_m"
)]
pub(crate) struct ConvertArgs {
    /// Checkpoint folder with config.json, model.safetensors or its shards, and the tokenizer's files
    dir: PathBuf,
    /// GGUF file to write; may be left out with --dry-run
    #[arg(short, long, value_name = "OUT.gguf", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// File type: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q4_k_m, q4_k_s, q4_0, or auto (bf16 or f16, as in the
    /// checkpoint)
    #[arg(long = "type", value_name = "TYPE", default_value = "auto", value_parser = parse_type)]
    file_type: TypeArg,
    #[command(flatten)]
    write: WriteArgs,
}

/// A file type; `None` for the type in which the checkpoint is stored.
#[derive(Debug, Clone, Copy)]
struct TypeArg(Option<FileType>);

fn parse_type(text: &str) -> Result<TypeArg, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(TypeArg(None));
    }
    text.parse()
        .map(|ty| TypeArg(Some(ty)))
        .map_err(|error: UnknownFileType| format!("{error}, auto"))
}

pub(crate) fn main(args: ConvertArgs) -> anyhow::Result<ExitCode> {
    let plan = |imatrix: Option<&Imatrix>| Conversion::from_checkpoint(&args.dir, args.file_type.0, imatrix);
    let task = format!("cannot convert {}", args.dir.display());
    let inputs = checkpoint::inputs(&args.dir);
    args.write.carry_out(plan, &inputs, args.output.as_deref(), &task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        assert!(parse_type("AUTO").expect("known").0.is_none());
        assert_eq!(parse_type("Q4_K_M").expect("known").0, Some(FileType::Q4KM));
        let error = parse_type("q3_k").expect_err("unknown");
        assert!(error.contains("q4_k_m") && error.ends_with("auto"), "{error}");
    }
}
