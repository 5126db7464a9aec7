//! Escapes text that comes from a file, so that it cannot control the terminal.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// `text` on one line, with control characters (including terminal escapes) and invisible direction marks
/// escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` cut to `width` characters, with an ellipsis if it was longer.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// JSON that also escapes those characters of [`escaped`] that JSON itself does not.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            // All of them are in the basic plane, which JSON writes in four digits.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes text to stdout and flushes it. For a terminal, control characters are replaced; a file or a pipe
/// gets the text unchanged.
pub(crate) fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        out.write_all(harmless(text).as_bytes())?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

/// `text` with control characters replaced, except line breaks and tabs.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        text.replace(steers, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Whether a character moves the cursor, changes colours, is invisible, or changes the direction of what
/// follows.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_reaches_the_terminal_that_is_not_text() {
        let cases = [
            ("a b\u{e9}\u{2581}", "a b\u{e9}\u{2581}"),
            ("\x1b[31m\n\t\\", "\\u{1b}[31m\\n\\t\\"),
            ("\u{9b}2J\u{202e}", "\\u{9b}2J\\u{202e}"),
        ];
        for (text, want) in cases {
            assert_eq!(super::escaped(text), want);
            let json = super::json(&serde_json::json!({ "a": text }));
            assert!(!json.chars().any(super::hidden), "{json}");
            let back: serde_json::Value = serde_json::from_str(&json).expect("still JSON");
            assert_eq!(back["a"], *text);
        }
        assert_eq!(super::shortened("abc", 3), "abc");
        assert_eq!(super::shortened("abcd", 3), "ab…");
        assert_eq!(
            super::harmless("a\tb\n\x1b[2J\r\u{9b}c"),
            "a\tb\n\u{fffd}[2J\u{fffd}\u{fffd}c"
        );
    }
}
