//! JSON as Python writes and reads it: the one reader for every JSON file of a checkpoint.
//!
//! Checkpoints are written by Python's `json` and read by it, and it is not as strict as RFC 8259 is. [`strict`] turns
//! such a text into JSON that `serde_json` parses, without a tree in memory:
//!
//! | in the text | as Python reads it | here |
//! | --- | --- | --- |
//! | a key twice in an object | the last value counts | the earlier members are dropped |
//! | `NaN`, `Infinity`, `-Infinity`, `1e999` | a float | the text `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | half of a surrogate pair, `"\ud83d"` | a string that is not Unicode | U+FFFD in its place |
//! | a byte order mark | refused | passed over |
//!
//! Numbers that are not finite become texts, so that a reader of numbers can tell them from a missing value, and a
//! reader that does not know the key never sees them.

mod scanner;

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use scanner::Scanner;

/// Deepest nesting of arrays and objects; configurations have fewer than ten levels.
const MAX_DEPTH: usize = 100;
/// Most places in a text that may differ from strict JSON.
const MAX_EDITS: usize = 1 << 16;

/// A text cannot be read as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// There is nothing in the file.
    #[error("the file is empty; get it again")]
    Empty,
    /// The file has the form of HTML, usually the page of an error or of a login.
    #[error("an HTML page, not JSON; the download failed: get the file itself")]
    Html,
    /// The bytes are not UTF-8; this is the position of the first that is not.
    #[error("byte {0} is not UTF-8 text; get the file again, or save it as UTF-8")]
    Encoding(usize),
    /// The text is not JSON.
    #[error("line {line}, column {column}: {problem}")]
    Syntax {
        /// Line of the text, from 1.
        line: usize,
        /// Byte in the line, from 1.
        column: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The JSON has another form than the reader needs.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
}

/// Reads a value from a text as Python's `json` reads it. The caller bounds the text's size.
///
/// # Errors
/// Fails if the text is not JSON, or not the JSON of a `T`.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    Ok(serde_json::from_slice(&strict(text)?)?)
}

/// Returns the text as strict JSON in which no object has a key twice; see the module. Texts that are strict already,
/// nearly all, are not copied.
///
/// # Errors
/// Fails if the text is not JSON even for Python, or is nested deeper than any configuration.
pub fn strict(text: &[u8]) -> Result<Cow<'_, [u8]>, JsonError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match text.trim_ascii_start() {
        [] => return Err(JsonError::Empty),
        [b'<', ..] => return Err(JsonError::Html),
        _ => {}
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err(JsonError::Encoding(error.valid_up_to()));
    }
    let edits = Scanner::new(text).edits().map_err(|fault| fault.at_line(text))?;
    Ok(match edits.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(edited(text, edits)),
    })
}

/// What replaces a range of the text; nothing drops it.
struct Edit {
    start: usize,
    end: usize,
    text: &'static str,
}

/// Carries the edits out. An edit within another one has no effect: what it changes is dropped.
fn edited(text: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for edit in edits.iter() {
        if edit.start < at {
            continue;
        }
        out.extend_from_slice(&text[at..edit.start]);
        out.extend_from_slice(edit.text.as_bytes());
        at = edit.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[cfg(test)]
mod tests;
