//! The source of messages: an editor on a terminal, otherwise lines of standard input.

use std::borrow::Cow;
use std::io::{BufRead, ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler, Helper,
    KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use siskin_model::files::{self, FileError};

use super::command::COMMANDS;
use super::store;
use crate::render::style;
use crate::text_input;

const PROMPT: &str = "> ";
/// Why a line cannot be read.
const NOT_UTF8: &str = "this line is not UTF-8, and was not sent";
/// Opens and closes a message of several lines.
const QUOTES: &str = "\"\"\"";

/// What the user entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// A line that cannot be read, and why; the next one may be.
    Unreadable(&'static str),
    End,
}

/// The source of messages.
pub(crate) enum Input {
    Terminal {
        editor: Box<Editor<Assistance, FileHistory>>,
        /// A key was pressed since the last message or Ctrl-C.
        touched: Arc<AtomicBool>,
    },
    Lines,
}

impl Input {
    /// Opens an editor if standard input and output are a terminal; otherwise lines are read.
    pub(crate) fn new() -> anyhow::Result<Self> {
        if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
            return Ok(Input::Lines);
        }
        let config = Config::builder()
            .history_ignore_space(false)
            .auto_add_history(false)
            .max_history_size(1000)?
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Assistance {
            files: FilenameCompleter::new(),
        }));
        let alt_enter = KeyEvent(KeyCode::Enter, Modifiers::ALT);
        editor.bind_sequence(Event::from(alt_enter), Cmd::Newline);
        let touched = Arc::new(AtomicBool::new(false));
        let key = |handler| EventHandler::Conditional(Box::new(handler));
        let seen = Arc::clone(&touched);
        editor.bind_sequence(Event::Any, key(AnyKey { seen }));
        editor.bind_sequence(
            KeyEvent::ctrl('C'),
            EventHandler::Conditional(Box::new(ClearLine)),
        );
        if let Some(file) = history_file() {
            // A chat works without a history.
            let _ = editor.load_history(&file);
        }
        Ok(Input::Terminal {
            editor: Box::new(editor),
            touched,
        })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Input::Terminal { .. })
    }

    /// Whether any key but Ctrl-C was pressed since this was asked before.
    pub(crate) fn was_touched(&self) -> bool {
        match self {
            Input::Terminal { touched, .. } => touched.swap(false, Ordering::Relaxed),
            Input::Lines => false,
        }
    }

    /// Waits for the next message. A terminal's line begins with `offered`.
    pub(crate) fn next(&mut self, offered: &str) -> anyhow::Result<Typed> {
        match self {
            Input::Lines => line(std::io::stdin().lock()),
            Input::Terminal { editor, .. } => match editor.readline_with_initial(PROMPT, (offered, "")) {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    if let Some(file) = history_file() {
                        let _ = editor.append_history(&file);
                    }
                    Ok(Typed::Line(joined(&line)))
                }
                Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    Ok(Typed::Unreadable(NOT_UTF8))
                }
                Err(error) => Err(error).context("the terminal"),
            },
        }
    }
}

/// The next line that is not blank, without its line break.
fn line(mut input: impl BufRead) -> anyhow::Result<Typed> {
    loop {
        let mut bytes = Vec::new();
        let read = input
            .by_ref()
            .take(text_input::MAX_TEXT + 1)
            .read_until(b'\n', &mut bytes)
            .context("standard input")?;
        if read as u64 > text_input::MAX_TEXT {
            skip_line(&mut input).context("standard input")?;
            return Ok(Typed::Unreadable("a line has more than 64 MiB; shorten it"));
        }
        if read == 0 {
            return Ok(Typed::End);
        }
        let Ok(line) = String::from_utf8(bytes) else {
            return Ok(Typed::Unreadable(NOT_UTF8));
        };
        let line = line.trim_end_matches(['\n', '\r']);
        if !line.trim().is_empty() {
            return Ok(Typed::Line(line.to_owned()));
        }
    }
}

/// Reads up to the next line break, and forgets it.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = buffer.len();
        input.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// A message of several lines without what joined them: backslashes at line ends, or quotes around it.
fn joined(typed: &str) -> String {
    let quoted = typed
        .trim()
        .strip_prefix(QUOTES)
        .and_then(|text| text.strip_suffix(QUOTES));
    match quoted {
        Some(text) => text.trim_matches('\n').to_owned(),
        None => typed.replace("\\\n", "\n"),
    }
}

/// Whether the message continues on the next line.
fn is_open(typed: &str) -> bool {
    match typed.trim().strip_prefix(QUOTES) {
        Some(text) => !text.ends_with(QUOTES),
        None => typed.ends_with('\\'),
    }
}

/// `$XDG_STATE_HOME/siskin/chat_history`, in a folder that only the user can read; `None` if there is no place for it.
fn history_file() -> Option<PathBuf> {
    let file = store::state_folder()?.join("chat_history");
    is_history(&file).then_some(file)
}

/// Whether a history can be read from this file, or begun in it: the editor itself would wait for a FIFO, and read an
/// endless file for ever.
fn is_history(file: &Path) -> bool {
    /// Far above a thousand entries, in bytes.
    const MAX_HISTORY: u64 = 16 << 20;
    match files::open(file) {
        Ok(open) => open.metadata().is_ok_and(|meta| meta.len() <= MAX_HISTORY),
        Err(FileError::Io { source, .. }) => source.kind() == ErrorKind::NotFound,
        Err(_) => false,
    }
}

/// Notes that a key was pressed.
struct AnyKey {
    seen: Arc<AtomicBool>,
}

impl ConditionalEventHandler for AnyKey {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.seen.store(true, Ordering::Relaxed);
        None
    }
}

/// Ctrl-C clears a line that is not empty; else it does what it usually does.
struct ClearLine;

impl ConditionalEventHandler for ClearLine {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        (!context.line().is_empty()).then_some(Cmd::Kill(Movement::WholeBuffer))
    }
}

/// What the editor knows about messages: where they end, how to complete commands, how the prompt looks.
pub(crate) struct Assistance {
    files: FilenameCompleter,
}

impl Helper for Assistance {}

impl Hinter for Assistance {
    type Hint = String;
}

impl Validator for Assistance {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_open(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Highlighter for Assistance {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        style::bold(prompt, style::stdout())
    }
}

impl Completer for Assistance {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..at];
        if !before.starts_with('/') {
            return Ok((at, Vec::new()));
        }
        let takes_file = |name: &&str| matches!(*name, "/load" | "/save" | "/save!");
        match before.split_once(' ') {
            Some((name, _)) if takes_file(&name) => self.files.complete(line, at, context),
            Some(_) => Ok((at, Vec::new())),
            None => {
                let names = COMMANDS.iter().flat_map(|(names, argument, _)| {
                    let space = if argument.is_empty() { "" } else { " " };
                    names.iter().map(move |name| (*name, space))
                });
                let fitting = names.filter(|(name, _)| name.starts_with(before));
                let pair = |(name, space): (&str, &str)| Pair {
                    display: name.to_owned(),
                    replacement: format!("{name}{space}"),
                };
                Ok((0, fitting.map(pair).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_and_empty_ones_are_none() {
        let mut input = "one\r\n\n  \ntwo".as_bytes();
        assert_eq!(line(&mut input).expect("a line"), Typed::Line("one".into()));
        assert_eq!(line(&mut input).expect("a line"), Typed::Line("two".into()));
        assert_eq!(line(&mut input).expect("the end"), Typed::End);
        let mut input = b"\xff\ntwo".as_slice();
        assert_eq!(line(&mut input).expect("a line"), Typed::Unreadable(NOT_UTF8));
        assert_eq!(line(&mut input).expect("a line"), Typed::Line("two".into()));
    }

    #[test]
    fn a_history_is_a_file_of_a_sensible_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "#V2\none\n").expect("written");
        let large = std::fs::File::create(at("large")).expect("created");
        large.set_len(1 << 30).expect("sparse");
        std::os::unix::fs::symlink("/dev/zero", at("endless")).expect("linked");
        for (name, want) in [
            ("file", true),
            ("none", true),
            ("large", false),
            ("endless", false),
            (".", false),
        ] {
            assert_eq!(is_history(&at(name)), want, "{name}");
        }
    }

    #[test]
    fn messages_of_several_lines() {
        let cases = [
            ("one", false, "one"),
            ("one\\", true, "one\\"),
            ("one\\\ntwo", false, "one\ntwo"),
            ("\"\"\"one", true, "\"\"\"one"),
            ("\"\"\"", true, "\"\"\""),
            ("\"\"\"\none\\\n\ntwo\n\"\"\"", false, "one\\\n\ntwo"),
        ];
        for (typed, open, want) in cases {
            assert_eq!(
                (is_open(typed), joined(typed).as_str()),
                (open, want),
                "{typed:?}"
            );
        }
    }
}
