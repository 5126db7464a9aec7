//! `siskin path`: the file of a model.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::model_name::{find, store};
use crate::render::text;

/// Prints the path of a model that siskin list shows
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin path tinyllama")]
pub(crate) struct PathArgs {
    /// Name, as siskin list shows it
    name: String,
}

pub(crate) fn main(args: PathArgs) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    let model = find(&store()?, &args.name)?;
    let mut line = model.path().as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    // Programs read it: it is written as it is.
    text::stdout().write_all(&line)?;
    Ok(ExitCode::SUCCESS)
}
