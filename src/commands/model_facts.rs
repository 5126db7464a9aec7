//! A model's shape from what was named on the command line.

use std::path::Path;

use anyhow::{Context, bail};
use siskin::device::budget::ModelFacts;
use siskin::engine::STORYTELLER;
use siskin_model::FileType;
use siskin_model::config::Config;
use siskin_model::files::Files;
use siskin_model::gguf::Header;

use super::text_input;

/// The shape of the GGUF file `path`, or of the embedded model. `None` where it does not tell: loading it says why.
pub(crate) fn of_model(path: Option<&Path>) -> Option<ModelFacts> {
    needed(path).ok()
}

/// The same, where nothing can be done without it.
pub(crate) fn needed(path: Option<&Path>) -> anyhow::Result<ModelFacts> {
    match path {
        Some(path) => of_gguf(path),
        None => Ok(ModelFacts::of_header(&Header::parse(
            STORYTELLER,
            STORYTELLER.len() as u64,
        )?)?),
    }
}

/// The shape of a GGUF file, of a `config.json`, or of a checkpoint's folder; the latter two in files of type
/// `file_type`.
pub(crate) fn of_any(path: &Path, file_type: FileType) -> anyhow::Result<ModelFacts> {
    let config = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let name = || config.display().to_string();
    if config.extension().is_some_and(|extension| extension == "json") {
        let config: Config = serde_json::from_str(&text_input::file(&config)?).with_context(name)?;
        return ModelFacts::of_config(&config, file_type).with_context(name);
    }
    if !path.exists() {
        bail!(
            "{}: no such file; name a GGUF file, a config.json or a checkpoint's folder",
            path.display()
        );
    }
    of_gguf(path)
}

fn of_gguf(path: &Path) -> anyhow::Result<ModelFacts> {
    let mut files = Files::new();
    let file = files.open(path)?;
    let header = Header::read(&files, file)?;
    ModelFacts::of_header(&header).with_context(|| path.display().to_string())
}
