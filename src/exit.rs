//! How the program ends.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::Refused;
use crate::hints::{self, Flags};
use crate::interrupt;
use crate::render::text;

/// Exit code of a mistake on the command line.
pub(crate) const USAGE: u8 = 2;
/// Exit code of a benchmark that is slower than required.
pub(crate) const TOO_SLOW: u8 = 3;

/// Prints help to stdout, or a mistake on the command line to stderr.
pub(crate) fn refused(refused: &Refused) -> ExitCode {
    match refused {
        Refused::Mistake(line) => {
            say!("siskin: {}", text::escaped(line));
            ExitCode::from(USAGE)
        }
        Refused::Text(help) => {
            // If the text itself cannot be printed, nothing more can be done.
            let _ = help.print();
            ExitCode::from(u8::try_from(help.exit_code()).unwrap_or(USAGE))
        }
    }
}

/// A mistake on the command line that the parser cannot see.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// An error that ends the program with 2, as other mistakes on the command line do.
pub(crate) fn usage_error(text: impl Into<String>) -> anyhow::Error {
    UsageError(text.into()).into()
}

/// A signal ended the work: what is kept, and what goes on from there.
#[derive(Debug)]
pub(crate) struct Interrupted(String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// An error that ends the program as the signal would.
pub(crate) fn interrupted(text: impl Into<String>) -> anyhow::Error {
    Interrupted(text.into()).into()
}

/// Prints an error and its causes on one line. A closed pipe counts as success: the reader has read enough.
pub(crate) fn failure(error: &anyhow::Error, flags: &Flags) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    say!("siskin: {}", with_hint(error, flags));
    if error.is::<UsageError>() {
        ExitCode::from(USAGE)
    } else if error.is::<Interrupted>() {
        ExitCode::from(interrupt::exit_code())
    } else {
        ExitCode::FAILURE
    }
}

/// The line for a model file that is cut or overwritten while the program uses it.
pub(crate) fn lost_model(path: &Path) -> String {
    let path = text::escaped(&path.display().to_string());
    format!(
        "siskin: {path}: the file was truncated or overwritten while it was in use; start again with the whole file\n"
    )
}

/// An error with its causes, and what to do about it.
pub(crate) fn with_hint(error: &anyhow::Error, flags: &Flags) -> String {
    let line = one_line(error);
    match hints::hint(error, flags) {
        Some(hint) => format!("{line}; {hint}"),
        None => line,
    }
}

/// An error and its causes on one line.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent error repeats its cause's text.
        if !line.ends_with(&text) {
            let separator = if line.is_empty() { "" } else { ": " };
            line = line + separator + &text;
        }
    }
    // Names in the message may come from a hostile file.
    text::bounded(&line.replace('\n', " "))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error
        .chain()
        .filter_map(io_error)
        .any(|kind| kind == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_found_anywhere_in_the_chain() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(
            &anyhow::Error::new(closed()).context("writing text")
        ));
        assert!(!is_closed_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
