//! `siskin rm`: removes a model.

use std::process::ExitCode;

use super::model_name::{find, store};
use crate::render::{size, text};

/// Removes models that siskin list shows
///
/// What a link leads to, and files that have another name, keep their bytes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin rm TinyLlama-1.1B-Chat-v1.0-q4_k_m")]
pub(crate) struct RmArgs {
    /// Names, as siskin list shows them
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) fn main(args: RmArgs) -> anyhow::Result<ExitCode> {
    let store = store()?;
    // All are looked up before one is removed.
    let models = args.names.iter().map(|name| find(&store, name));
    for model in models.collect::<Result<Vec<_>, _>>()? {
        let freed = store.remove(&model)?;
        let kept = match freed.kept {
            0 => String::new(),
            kept => format!("; {} stay, because they have another name too", size::bytes(kept)),
        };
        let name = text::escaped(&model.name);
        say!(
            "siskin: {name} is removed, {} are free{kept}",
            size::bytes(freed.bytes)
        );
    }
    Ok(ExitCode::SUCCESS)
}
