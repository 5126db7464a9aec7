//! Reads texts from files and from standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use siskin_model::files;

use crate::interrupt;
use crate::render::size;

/// The longest text that is read, in bytes.
pub(crate) const MAX_TEXT: u64 = 64 << 20;

/// Reads a whole text file, or what a pipe brings until its writer ends. Folders, devices, texts over the limit and other
/// encodings are errors.
pub(crate) fn file(path: &Path) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    // What is too long is not read first.
    let too_long = |meta: &std::fs::Metadata| meta.is_file() && meta.len() > MAX_TEXT;
    if std::fs::metadata(path).is_ok_and(|meta| too_long(&meta)) {
        bail!("{}: has more than {} of text", name(), size::bytes(MAX_TEXT));
    }
    whole(files::open_text(path)?, &name())
}

/// Reads all of standard input, within the same limit.
pub(crate) fn stdin() -> anyhow::Result<String> {
    whole(std::io::stdin(), "standard input")
}

/// `text` without its last line break, which editors and `echo` add.
pub(crate) fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn whole(input: impl Read, name: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    // A pipe may be silent for ever: a signal ends the program.
    interrupt::waiting(|| input.take(MAX_TEXT + 1).read_to_string(&mut text))
        .with_context(|| name.to_owned())?;
    if text.len() as u64 > MAX_TEXT {
        bail!("{name}: has more than {} of text", size::bytes(MAX_TEXT));
    }
    Ok(text)
}
