//! Reads texts from files and from standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use crate::render::size;

/// The longest text that is read, in bytes.
pub(crate) const MAX_TEXT: u64 = 64 << 20;

/// Reads a whole text file. Folders, texts over the limit and other encodings are errors.
pub(crate) fn file(path: &Path) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    let meta = std::fs::metadata(path).with_context(name)?;
    if meta.is_dir() {
        bail!("{}: is a folder; give a text file", path.display());
    }
    if meta.is_file() && meta.len() > MAX_TEXT {
        bail!(
            "{}: has more than {} of text",
            path.display(),
            size::bytes(MAX_TEXT)
        );
    }
    let file = std::fs::File::open(path).with_context(name)?;
    whole(file, &name())
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
    input
        .take(MAX_TEXT + 1)
        .read_to_string(&mut text)
        .with_context(|| name.to_owned())?;
    if text.len() as u64 > MAX_TEXT {
        bail!("{name}: has more than {} of text", size::bytes(MAX_TEXT));
    }
    Ok(text)
}
