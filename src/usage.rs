//! Mistakes on the command line, in one line each: what is wrong, and what is possible.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The line, or `None` for a help text or a version, which the parser prints itself. `command` is the command that was
/// typed.
pub(crate) fn line(error: &Error, command: Option<&Command>) -> Option<String> {
    let get = |kind| text(error.get(kind));
    let arg = || {
        let arg = get(ContextKind::InvalidArg);
        arg.map(|arg| with_short(plain(&arg), command))
            .unwrap_or_default()
    };
    let value = || get(ContextKind::InvalidValue).unwrap_or_default();
    let name = command.map(Command::get_name);
    let help = name.map_or("siskin --help".into(), |name| format!("siskin {name} --help"));
    Some(match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::UnknownArgument => {
            let what = match name {
                Some(name) if !arg().starts_with('-') => {
                    return Some(format!("{name} has no place for {:?}", arg()));
                }
                Some(name) => format!("{name} has no {}", arg()),
                None => format!("there is no {}", arg()),
            };
            let meant = get(ContextKind::SuggestedArg).map(|arg| format!("did you mean {}? ", plain(&arg)));
            format!("{what}; {}{help} lists the flags", meant.unwrap_or_default())
        }
        ErrorKind::InvalidSubcommand => {
            let meant = get(ContextKind::SuggestedSubcommand).map(|name| format!("did you mean {name}? "));
            let typed = get(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!(
                "there is no command {typed}; {}{help} lists them",
                meant.unwrap_or_default()
            )
        }
        ErrorKind::InvalidValue if value().is_empty() => {
            format!("{} needs a value{}", arg(), possible(error))
        }
        ErrorKind::InvalidValue => {
            format!("{}: {:?} is not possible{}", arg(), value(), possible(error))
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            let (arg, value) = (arg(), value());
            if reason.contains(&value) && !value.is_empty() {
                format!("{arg}: {reason}")
            } else {
                format!("{arg}: {value:?}: {reason}")
            }
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing; {help} explains it", list(&arg())),
        ErrorKind::ArgumentConflict => {
            let prior = get(ContextKind::PriorArg)
                .map(|arg| plain(&arg))
                .unwrap_or_default();
            if prior.is_empty() || prior == arg() {
                format!("{} is given twice", arg())
            } else {
                format!("{} and {prior} exclude each other", arg())
            }
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".into(),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    })
}

/// What is possible instead of a value, and what may have been meant: names that begin alike, else the nearest.
fn possible(error: &Error) -> String {
    let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) else {
        return String::new();
    };
    if values.is_empty() {
        return String::new();
    }
    let typed = text(error.get(ContextKind::InvalidValue))
        .unwrap_or_default()
        .to_lowercase();
    let begin: Vec<&str> = values
        .iter()
        .filter(|value| !typed.is_empty() && value.starts_with(&typed))
        .map(String::as_str)
        .collect();
    let meant = match begin.is_empty() {
        true => text(error.get(ContextKind::SuggestedValue)),
        false => Some(begin.join(" or ")),
    };
    let meant = meant
        .map(|name| format!("; did you mean {name}"))
        .unwrap_or_default();
    format!("{meant}; possible: {}", values.join(", "))
}

fn text(value: Option<&ContextValue>) -> Option<String> {
    match value? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `--flag <VALUE>` without brackets and dots.
fn plain(arg: &str) -> String {
    let name = match arg.split_once(" <") {
        Some((flag, _)) if flag.starts_with('-') => flag,
        _ => arg,
    };
    name.replace(['<', '>', '[', ']'], "").replace("...", "")
}

/// A long flag with its letter, if it has one: people look for what they typed.
fn with_short(flag: String, command: Option<&Command>) -> String {
    let Some(long) = flag.strip_prefix("--") else {
        return flag;
    };
    let letter = command.and_then(|command| {
        let mut args = command.get_arguments();
        args.find(|arg| arg.get_long() == Some(long))?.get_short()
    });
    letter.map_or(flag.clone(), |letter| format!("-{letter} ({flag})"))
}

fn list(args: &str) -> String {
    match args.rsplit_once(", ") {
        Some((first, last)) => format!("{first} or {last}"),
        None => args.to_owned(),
    }
}
