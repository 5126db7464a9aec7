//! `siskin quantize`: turns a GGUF file into the same model in another type.

use std::path::PathBuf;
use std::process::ExitCode;

use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;

use super::target_args::{Target, TargetArgs, next_to};
use super::write::WriteArgs;
use crate::exit::usage_error;

/// Converts a GGUF file to another type; all other metadata is kept
///
/// Without OUT.gguf, as in siskin quantize IN.gguf q4_k_m, a file next to IN.gguf is named after it and the type. Without
/// TYPE, it is the one that OUT.gguf ends with, as in tinyllama-q4_k_m.gguf.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin quantize tinyllama-f16.gguf tinyllama-q4_k_m.gguf q4_k_m")]
pub(crate) struct QuantizeArgs {
    /// GGUF file to read, of type f32, f16 or bf16
    #[arg(index = 1, value_name = "IN.gguf")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Accept a file that is already quantized, although it loses precision a second time
    #[arg(long)]
    allow_requantize: bool,
    /// Keep every tensor as it is: joins the parts of a split model, or with --split splits one
    #[arg(long, conflicts_with_all = ["imatrix", "allow_requantize"])]
    copy: bool,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn main(args: QuantizeArgs) -> anyhow::Result<ExitCode> {
    let target = args.target.target()?;
    if args.copy {
        return copy(&args, &target);
    }
    let Some(file_type) = target.file_type.and_then(|ty| ty.0) else {
        if target.file_type.is_some() {
            return Err(usage_error("auto: give the type to write, for example q4_k_m"));
        }
        return Err(usage_error(
            "TYPE is missing, for example: siskin quantize IN.gguf q4_k_m; siskin quantize --help lists the types",
        ));
    };
    let plan = |imatrix: Option<&Imatrix>| {
        Conversion::from_gguf(&args.input, file_type, args.allow_requantize, imatrix)
    };
    let name = |ty| next_to(&args.input, ty);
    let task = format!("cannot quantize {}", args.input.display());
    let inputs = [args.input.clone()];
    args.write.carry_out(plan, &inputs, &target, name, &task)
}

/// Writes the same tensors and keys into one file, or into parts.
fn copy(args: &QuantizeArgs, target: &Target) -> anyhow::Result<ExitCode> {
    if target.file_type.is_some() && !target.by_name {
        return Err(usage_error(
            "--copy keeps the type of every tensor: leave TYPE out",
        ));
    }
    if target.output.is_none() {
        return Err(usage_error(
            "OUT.gguf is missing, for example: siskin quantize --copy model-00001-of-00002.gguf model.gguf",
        ));
    }
    let plan = |_: Option<&Imatrix>| Conversion::copy_of(&args.input);
    let name = |ty| next_to(&args.input, ty);
    let task = format!("cannot copy {}", args.input.display());
    args.write
        .carry_out(plan, std::slice::from_ref(&args.input), target, name, &task)
}
