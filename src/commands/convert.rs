//! `siskin convert`: turns a Hugging Face checkpoint into a GGUF file in one step.

use std::path::PathBuf;
use std::process::ExitCode;

use siskin_quant::checkpoint::{self, Checkpoint};
use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;

use super::target_args::{TargetArgs, named_after};
use super::write::WriteArgs;

/// Converts a Hugging Face checkpoint to a GGUF file, and quantizes it if asked
///
/// Without OUT.gguf, a file in the current folder is named after DIR and the type. Without TYPE, it is the one that OUT.gguf
/// ends with, as in tinyllama-q4_k_m.gguf, else bf16 or f16 as in the checkpoint.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin convert TinyLlama-1.1B-Chat-v1.0/ -o tinyllama-q4_k_m.gguf --type q4_k_m"
)]
pub(crate) struct ConvertArgs {
    /// Checkpoint folder with config.json, model.safetensors or pytorch_model.bin or their shards, and the tokenizer's files
    #[arg(index = 1)]
    dir: PathBuf,
    /// Name of the model in the file [default: the folder's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn main(args: ConvertArgs) -> anyhow::Result<ExitCode> {
    let target = args.target.target()?;
    let file_type = target.file_type.and_then(|ty| ty.0);
    let plan = |imatrix: Option<&Imatrix>| {
        let checkpoint = Checkpoint::open(&args.dir)?;
        Conversion::of(checkpoint, args.name.as_deref(), file_type, imatrix)
    };
    let name = |ty| named_after(&args.dir, ty);
    let task = format!("cannot convert {}", args.dir.display());
    let inputs = checkpoint::inputs(&args.dir);
    args.write.carry_out(plan, &inputs, &target, name, &task)
}
