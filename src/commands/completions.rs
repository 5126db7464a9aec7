//! `siskin completions`: shell completions for the commands and their flags.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

/// Prints a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin completions bash > ~/.local/share/bash-completion/completions/siskin"
)]
pub(crate) struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

pub(crate) fn main(args: CompletionsArgs, mut program: clap::Command) -> anyhow::Result<ExitCode> {
    // clap_complete panics if a write fails; writes to memory do not.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "siskin", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
