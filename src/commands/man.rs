//! `siskin man`: the manual pages, for packagers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Writes the manual pages into a folder: siskin.1 and one per command
#[derive(Debug, clap::Args)]
#[command(hide = true, after_long_help = "Example:\n  siskin man target/man")]
pub(crate) struct ManArgs {
    /// Output folder; created if it is missing
    dir: PathBuf,
}

pub(crate) fn main(args: ManArgs, program: clap::Command) -> anyhow::Result<ExitCode> {
    let name = || args.dir.display().to_string();
    std::fs::create_dir_all(&args.dir).with_context(name)?;
    clap_mangen::generate_to(program.disable_help_subcommand(true), &args.dir).with_context(name)?;
    Ok(ExitCode::SUCCESS)
}
