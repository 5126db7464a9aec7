//! Characters of a grammar's source, and where they are.

use crate::error::{ErrorKind, GrammarError};

/// A reader of the source.
pub(super) struct Scanner<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(source: &'a str) -> Scanner<'a> {
        Scanner { source, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes `text` if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes characters as long as `which` says so.
    pub(super) fn take_while(&mut self, which: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !which(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Skips blanks and comments, and newlines if `newlines`.
    pub(super) fn skip(&mut self, newlines: bool) {
        loop {
            self.take_while(|c| c == ' ' || c == '\t' || (newlines && (c == '\r' || c == '\n')));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\r' && c != '\n');
        }
    }

    /// Skips to the next line's `|` if that is what is next after blanks, comments and newlines.
    pub(super) fn skip_to_alternative(&mut self) {
        let before = self.at;
        self.skip(true);
        if self.peek() != Some('|') {
            self.at = before;
        }
    }

    /// An error at this place.
    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> GrammarError {
        let before = &self.source[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        GrammarError::new(kind, format!("line {line}, column {column}"), message)
    }
}
