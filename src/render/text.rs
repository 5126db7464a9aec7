//! Text from elsewhere on its way out: what a file, a model or a person wrote must not control the terminal.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use siskin::Utf8Stream;
use siskin_harness::report::wrap;

/// The characters of a line that one looks at before it is cut: names in files may be as long as the file.
const MOST: usize = 4096;

/// `text` on one line, with control characters (including terminal escapes) and invisible characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text, hidden);
    out
}

/// `text` cut to `width` characters, with an ellipsis if it was longer.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// A text of any length as [`escaped`], in at most `width` characters.
pub(crate) fn cell(text: &str, width: usize) -> String {
    shortened(&escaped(&shortened(text, width.saturating_add(1))), width)
}

/// The same as [`escaped`], of a text of any length: no more than a few thousand characters of it.
pub(crate) fn bounded(text: &str) -> String {
    escaped(&shortened(text, MOST))
}

/// Lines that are wider than the terminal on stdout, broken at spaces: the columns from `start` on are indented by as
/// much. Text for a pipe stays as it is.
pub(crate) fn fitted(text: &str, start: usize, columns: Option<usize>) -> String {
    let Some(columns) = columns else {
        return text.to_owned();
    };
    let fit = |line: &str| match line.char_indices().nth(start) {
        Some((at, _)) if line.chars().count() > columns => wrap(&line[at..], &line[..at], columns),
        _ => line.to_owned() + "\n",
    };
    text.lines().map(fit).collect()
}

/// JSON that also escapes those characters of [`escaped`] that JSON itself does not.
pub(crate) fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    if !text.contains(hidden) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// Writes text to stdout and flushes it. For a terminal, characters that steer it are replaced; a file or a pipe gets
/// the text unchanged.
pub(crate) fn put(text: &str) -> io::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Standard output. A terminal gets no character that steers it; a file or a pipe gets every byte.
pub(crate) fn stdout() -> Stdout {
    let out = io::stdout();
    Stdout {
        decoder: out.is_terminal().then(Utf8Stream::new),
        out,
    }
}

/// See [`stdout`].
pub(crate) struct Stdout {
    out: io::Stdout,
    /// What a terminal gets is text.
    decoder: Option<Utf8Stream>,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.decoder {
            None => self.out.write(bytes),
            Some(decoder) => {
                self.out.write_all(harmless(&decoder.push(bytes)).as_bytes())?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes lines to stderr; what is not text is escaped, because names in a message may come from anywhere. Write errors
/// are ignored.
pub(crate) fn say(words: fmt::Arguments<'_>) {
    note(&format!("{words}\n"));
}

/// The same, dimmed if the terminal has colours.
pub(crate) fn say_dimmed(line: &str) {
    let line = super::style::dim(&escaped(line), super::style::stderr()).into_owned();
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a part of a line, or lines, to stderr: as [`say`] does.
pub(crate) fn note(text: &str) {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text, |c| hidden(c) && c != '\n');
    let _ = io::stderr().write_all(out.as_bytes());
}

fn escape_into(out: &mut String, text: &str, escape: impl Fn(char) -> bool) {
    for c in text.chars() {
        if escape(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

/// `text` with characters that steer a terminal replaced, except line breaks and tabs.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| steers(c) && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        text.replace(steers, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Whether a character moves the cursor, changes colours, breaks lines, changes the direction of what follows, or is a
/// tag, which spells a text that nobody sees.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character steers a terminal or is invisible. Answers may have the latter: emoji are joined by some.
fn hidden(c: char) -> bool {
    steers(c)
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lines_are_broken_below_their_second_column() {
        let text = "CPU   2 x a very long name\nheat  none\n";
        assert_eq!(super::fitted(text, 6, None), text);
        assert_eq!(super::fitted(text, 6, Some(40)), text);
        assert_eq!(
            super::fitted(text, 6, Some(16)),
            "CPU   2 x a very\n      long name\nheat  none\n"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_that_is_not_text() {
        let cases = [
            ("a b\u{e9}\u{2581}", "a b\u{e9}\u{2581}"),
            ("\x1b[31m\n\t\\", "\\u{1b}[31m\\n\\t\\"),
            ("\u{9b}2J\u{202e}", "\\u{9b}2J\\u{202e}"),
            ("a\u{61c}b\u{200d}c", "a\\u{61c}b\\u{200d}c"),
            ("\u{e0041}\u{2029}", "\\u{e0041}\\u{2029}"),
            ("שלום 日本 👍🏽", "שלום 日本 👍🏽"),
        ];
        for (text, want) in cases {
            assert_eq!(escaped(text), want);
            let json = json(&serde_json::json!({ "a": text })).expect("JSON");
            assert!(!json.chars().any(hidden), "{json}");
            let back: serde_json::Value = serde_json::from_str(&json).expect("still JSON");
            assert_eq!(back["a"], *text);
        }
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
        let long = bounded(&"\u{9b}".repeat(1 << 20));
        assert!(long.ends_with('…') && long.len() < 10 * MOST, "{}", long.len());
    }

    #[test]
    fn an_answer_keeps_its_writing_and_loses_what_steers() {
        let cases = [
            ("a\tb\n\x1b[2J\r\u{9b}c", "a\tb\n\u{fffd}[2J\u{fffd}\u{fffd}c"),
            (
                "👩\u{200d}👩\u{200d}👧 שלום مرحبا",
                "👩\u{200d}👩\u{200d}👧 שלום مرحبا",
            ),
            ("نمی\u{200c}خواهم", "نمی\u{200c}خواهم"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("\u{2028}\u{e0041}", "\u{fffd}\u{fffd}"),
        ];
        for (text, want) in cases {
            assert_eq!(harmless(text), want, "{text:?}");
        }
    }
}
