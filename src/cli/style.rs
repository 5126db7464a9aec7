//! Colours and bars: on a terminal that can show them and where nobody objects.

use std::borrow::Cow;
use std::io::IsTerminal;

/// True where stdout may be coloured.
pub(crate) fn stdout() -> bool {
    std::io::stdout().is_terminal() && !is_refused()
}

/// True where lines on stderr may be drawn over.
pub(crate) fn redraws() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// True where stderr may be coloured.
pub(crate) fn stderr() -> bool {
    redraws() && !is_refused()
}

/// What clap does for help and usage.
pub(crate) fn of_help() -> clap::ColorChoice {
    match is_refused() {
        true => clap::ColorChoice::Never,
        false => clap::ColorChoice::Auto,
    }
}

/// `text` in bold, where `colour`.
pub(crate) fn bold(text: &str, colour: bool) -> Cow<'_, str> {
    wrapped(text, "1", colour)
}

/// `text` dimmed, where `colour`.
pub(crate) fn dim(text: &str, colour: bool) -> Cow<'_, str> {
    wrapped(text, "2", colour)
}

fn wrapped<'t>(text: &'t str, code: &str, colour: bool) -> Cow<'t, str> {
    if colour {
        format!("\x1b[{code}m{text}\x1b[0m").into()
    } else {
        text.into()
    }
}

/// <https://no-color.org>: set to anything but nothing.
fn is_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}
