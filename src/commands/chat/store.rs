//! Saves conversations to files and loads them.

use std::path::Path;

use anyhow::{Context, bail};
use siskin::chat::Conversation;
use siskin_model::atomic_file::{AtomicFile, AtomicFileError, Overwrite};

use crate::text_input;

/// Writes a conversation to a file, completely or not at all.
pub(crate) fn save(conversation: &Conversation, path: &Path, replace: bool) -> anyhow::Result<()> {
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

/// Reads a conversation from a file.
pub(crate) fn load(path: &Path) -> anyhow::Result<Conversation> {
    let text = text_input::file(path)?;
    Conversation::from_json(&text).with_context(|| path.display().to_string())
}
