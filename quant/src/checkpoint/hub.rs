//! The cache of huggingface_hub: `models--ORG--NAME/snapshots/COMMIT`, and `refs/main` with the newest commit.

use std::path::{Path, PathBuf};

use siskin_model::files;

use super::CheckpointError;

/// Most bytes of a file in `refs`: a commit takes 40.
const MAX_REF: u64 = 256;

/// The folder of the checkpoint: the newest snapshot if `dir` is a model's folder in the hub cache, else `dir`.
///
/// # Errors
/// Fails if the cache has several snapshots and names none of them, or has none.
pub fn snapshot(dir: &Path) -> Result<PathBuf, CheckpointError> {
    let snapshots = dir.join("snapshots");
    if dir.join("config.json").exists() || !snapshots.is_dir() {
        return Ok(dir.to_owned());
    }
    let newest = main_commit(dir).map(|commit| snapshots.join(commit));
    if let Some(newest) = newest.filter(|path| path.is_dir()) {
        return Ok(newest);
    }
    let problem = |reason: &str| CheckpointError::Snapshot {
        path: snapshots.clone(),
        reason: reason.into(),
    };
    let entries = snapshots
        .read_dir()
        .map_err(|error| problem(&error.to_string()))?;
    let mut folders = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    match (folders.next(), folders.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(problem(
            "several snapshots, and refs/main names none of them; name one",
        )),
        _ => Err(problem("no snapshot of the model; get it again")),
    }
}

/// The commit in `refs/main`, if it is a plain name.
fn main_commit(dir: &Path) -> Option<String> {
    let text = files::read_text(&dir.join("refs/main"), MAX_REF).ok()?;
    let commit = text.trim().to_owned();
    let plain = Path::new(&commit)
        .file_name()
        .is_some_and(|name| name == commit.as_str());
    plain.then_some(commit)
}

/// The repository's name without its owner, if `dir` is a snapshot in the hub cache.
pub(super) fn repository(dir: &Path) -> Option<String> {
    let snapshots = dir.parent()?;
    if snapshots.file_name()? != "snapshots" {
        return None;
    }
    let folder = snapshots.parent()?.file_name()?.to_string_lossy().into_owned();
    let repository = folder.strip_prefix("models--")?;
    let name = repository.split_once("--").map_or(repository, |(_, name)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// True for names that are hashes: nobody's name for a model.
pub(super) fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
