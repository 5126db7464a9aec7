//! What users of other programs type: flags, commands and names of llama.cpp and ollama either work or are answered with
//! what to type here.

mod commands;
mod table;

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use commands::COMMANDS;
pub(crate) use table::DOWNLOAD;
use table::{FLAGS, Here, Row};

/// Flags that name the model; siskin has a place for it.
const MODEL: [&str; 2] = ["-m", "--model"];
/// The arguments whose place is the model's. Only the second takes several.
const MODEL_PLACES: [&str; 3] = ["model", MODELS, "file"];
const MODELS: &str = "models";

/// `args`, the words after the program's name, with other programs' flags replaced by those that siskin has.
///
/// # Errors
/// The answer to a word that means nothing here.
pub(crate) fn translate(args: Vec<OsString>, program: &Command) -> Result<Vec<OsString>, String> {
    let Some((first, rest)) = args.split_first() else {
        return Ok(args);
    };
    let name = first.to_string_lossy();
    if let Some(command) = program.find_subcommand(&*name) {
        let translated = Flags { command }.translate(rest)?;
        return Ok(std::iter::once(first.clone()).chain(translated).collect());
    }
    no_command(&name).map_or(Ok(args), Err)
}

/// The answer to a first word that is no command; `None` if the parser has one.
fn no_command(word: &str) -> Option<String> {
    if let Some((_, instead)) = COMMANDS.iter().find(|(names, _)| names.contains(&word)) {
        return Some(format!("there is no command {word}: {instead}"));
    }
    if ["-h", "--help", "-V", "--version", "help", "--"].contains(&word) {
        return None;
    }
    if word.starts_with('-') {
        return Some(format!(
            "{word}: the command comes first, for example siskin run or siskin chat; siskin --help lists them"
        ));
    }
    let is_model = word.ends_with(".gguf");
    is_model.then(|| format!("{word}: the command comes first: siskin run {word}, or siskin chat {word}"))
}

/// The flags of a command.
struct Flags<'c> {
    command: &'c Command,
}

impl Flags<'_> {
    fn translate(&self, args: &[OsString]) -> Result<Vec<OsString>, String> {
        let (mut models, mut rest) = (Vec::new(), Vec::new());
        let mut args = args.iter().peekable();
        while let Some(word) = args.next() {
            let (flag, value) = split(word);
            if word == "--" {
                rest.push(word.clone());
                rest.extend(args.by_ref().cloned());
            } else if flag == "-fa" && self.find("--flash-attn").is_some() {
                rest.push("--flash-attn".into());
                // Older versions of llama.cpp have no value here.
                let bare = args.peek().is_none_or(|next| is_flag(next));
                rest.push(if bare {
                    "on".into()
                } else {
                    args.next().cloned().unwrap_or_default()
                });
            } else if let Some(own) = self.find(&flag) {
                rest.push(word.clone());
                if takes_value(own) && value.is_none() {
                    rest.extend(args.next().cloned());
                }
            } else if MODEL.contains(&flag.as_str()) && self.model_place().is_some() {
                match value.or_else(|| args.next().cloned()) {
                    Some(model) => models.push(model),
                    None => return Err(format!("{flag} needs a model's file")),
                }
            } else {
                match self.meaning(&flag)? {
                    Some(Here::As(own)) => {
                        rest.push((*own).into());
                        let wants = self.find(own).is_some_and(takes_value);
                        rest.extend(value.or_else(|| args.next_if(|_| wants).cloned()));
                    }
                    Some(Here::Always(values)) => args.by_ref().take(*values).for_each(drop),
                    _ => rest.push(word.clone()),
                }
            }
        }
        // Several models are several rows of a benchmark; elsewhere the last of two flags counts.
        if self.model_place() != Some(MODELS) {
            models.drain(..models.len().saturating_sub(1));
        }
        models.extend(rest);
        Ok(models)
    }

    /// What another program's flag means for this command.
    fn meaning(&self, flag: &str) -> Result<Option<&'static Here>, String> {
        let row = FLAGS
            .iter()
            .find(|row| row.names.contains(&flag) && self.fits(row));
        match row.map(|row| &row.here) {
            Some(Here::Say(answer)) => Err(format!("{flag}: {answer}")),
            found => Ok(found),
        }
    }

    /// Whether the row is for this command, which must have the flags that the row names.
    fn fits(&self, row: &Row) -> bool {
        let names = match row.here {
            Here::As(flag) => flag,
            // Another command's flags.
            Here::Say(answer)
                if ["run", "chat", "serve"]
                    .iter()
                    .any(|name| answer.contains(&format!("siskin {name}"))) =>
            {
                ""
            }
            Here::Say(answer) => answer,
            Here::Always(_) => "",
        };
        // What is quoted is another program's.
        let own = names.split('`').step_by(2);
        let mut flags = own
            .flat_map(|text| text.split(|c: char| c.is_whitespace() || ",;:".contains(c)))
            .filter(|word| word.starts_with("--"));
        (row.only.is_empty() || row.only.contains(&self.command.get_name()))
            && flags.all(|flag| self.find(flag).is_some())
    }

    /// The command's own flag of this name.
    fn find(&self, flag: &str) -> Option<&Arg> {
        self.command.get_arguments().find(|arg| is_named(arg, flag))
    }

    /// The id of the argument that takes the model.
    fn model_place(&self) -> Option<&str> {
        let mut ids = self.command.get_positionals().map(|arg| arg.get_id().as_str());
        ids.find(|id| MODEL_PLACES.contains(id))
    }
}

fn is_named(arg: &Arg, flag: &str) -> bool {
    match flag.strip_prefix("--") {
        Some("help") => true,
        Some(name) => {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|names| names.contains(&name))
        }
        None => {
            let mut letters = flag.chars().skip(1);
            let letter = letters.next();
            letter.is_some() && letters.next().is_none() && arg.get_short() == letter
        }
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// A long flag apart from a value after `=`; any other word as it is.
fn split(word: &OsStr) -> (String, Option<OsString>) {
    match word
        .to_str()
        .and_then(|word| word.strip_prefix("--")?.split_once('='))
    {
        Some((name, value)) => (format!("--{name}"), Some(value.into())),
        None => (word.to_string_lossy().into_owned(), None),
    }
}

fn is_flag(word: &OsStr) -> bool {
    word.to_string_lossy().starts_with('-')
}

#[cfg(test)]
mod tests;
