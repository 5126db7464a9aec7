//! Colours and progress bars: used if the terminal supports them and the user has not disabled them.

use std::borrow::Cow;
use std::io::IsTerminal;

/// Whether stdout may be coloured.
pub(crate) fn stdout() -> bool {
    std::io::stdout().is_terminal() && !is_refused()
}

/// Whether lines on stderr may be redrawn.
pub(crate) fn redraws() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Whether stderr may be coloured.
pub(crate) fn stderr() -> bool {
    redraws() && !is_refused()
}

/// The setting for clap's help and usage texts.
pub(crate) fn help_colors() -> clap::ColorChoice {
    match is_refused() {
        true => clap::ColorChoice::Never,
        false => clap::ColorChoice::Auto,
    }
}

/// `text` in bold if `colour` is set.
pub(crate) fn bold(text: &str, colour: bool) -> Cow<'_, str> {
    wrapped(text, "1", colour)
}

/// `text` dimmed if `colour` is set.
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

/// Whether the user or the terminal rules colour out: a non-empty `NO_COLOR` (<https://no-color.org>), or a
/// dumb terminal.
fn is_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}
