//! `siskin quantize`: turns a GGUF file into the same model in another type.

use std::path::PathBuf;
use std::process::ExitCode;

use siskin_model::FileType;
use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;

use super::write::WriteArgs;

/// Converts a GGUF file to another type; all other metadata is kept
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin quantize tinyllama-f16.gguf tinyllama-q4_k_m.gguf q4_k_m")]
pub(crate) struct QuantizeArgs {
    /// GGUF file to read, of type f32, f16 or bf16
    #[arg(value_name = "IN.gguf")]
    input: PathBuf,
    /// GGUF file to write
    #[arg(value_name = "OUT.gguf")]
    output: PathBuf,
    /// File type: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q4_k_m, q4_k_s or q4_0
    #[arg(value_name = "TYPE")]
    file_type: FileType,
    /// Accept a file that is already quantized, although it loses precision a second time
    #[arg(long)]
    allow_requantize: bool,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn main(args: QuantizeArgs) -> anyhow::Result<ExitCode> {
    let plan = |imatrix: Option<&Imatrix>| {
        Conversion::from_gguf(&args.input, args.file_type, args.allow_requantize, imatrix)
    };
    let task = format!("cannot quantize {}", args.input.display());
    let inputs = [args.input.clone()];
    args.write.carry_out(plan, &inputs, Some(&args.output), &task)
}
