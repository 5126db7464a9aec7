//! Saves conversations to files and loads them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use siskin::chat::Conversation;
use siskin_model::atomic_file::{self, AtomicFile, AtomicFileError, Overwrite};

use crate::text_input;

/// Writes a conversation to a file, completely or not at all.
/// None of `inputs` is replaced.
pub(crate) fn save(
    conversation: &Conversation,
    path: &Path,
    replace: bool,
    inputs: &[PathBuf],
) -> anyhow::Result<()> {
    atomic_file::check_inputs(path, inputs)?;
    let overwrite = if replace {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    let text = conversation.to_json()?;
    let write = || {
        let target = AtomicFile::create(path, overwrite)?;
        target.write_all(text.as_bytes())?;
        target.commit()
    };
    match write() {
        Err(AtomicFileError::Exists(path)) => {
            bail!("{}: already exists; /save! overwrites it", path.display())
        }
        written => Ok(written?),
    }
}

/// Writes a conversation that nobody has saved to `$XDG_STATE_HOME/siskin/last_chat.json`, in a folder that only the user
/// can read. The next such conversation replaces it.
pub(crate) fn keep(conversation: &Conversation) -> anyhow::Result<PathBuf> {
    let path = kept()?;
    save(conversation, &path, true, &[])?;
    Ok(path)
}

/// Removes what [`keep`] wrote.
pub(crate) fn forget() -> anyhow::Result<()> {
    Ok(std::fs::remove_file(kept()?)?)
}

fn kept() -> anyhow::Result<PathBuf> {
    let folder = state_folder().context("no folder to keep it in: set HOME, or use /save FILE")?;
    Ok(folder.join("last_chat.json"))
}

/// The user's folder for states, private to the user; `None` if there is no place for it.
pub(crate) fn state_folder() -> Option<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = siskin::device::paths::state()?;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder)
}

/// Reads a conversation from a file.
pub(crate) fn load(path: &Path) -> anyhow::Result<Conversation> {
    let text = text_input::file(path)?;
    Conversation::from_json(&text).with_context(|| path.display().to_string())
}
