//! The command line: which commands there are, and which flags each has.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    bench, chat, completions, convert, device, fit, hash, imatrix, inspect, list, model_name, models, path,
    quantize, report, rm, run, serve, tokenize, tune,
};
use crate::hints::Flags;
use crate::render::style;
use crate::{habits, usage};

/// Small language models on small machines.
#[derive(Debug, Parser)]
#[command(name = "siskin", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

impl Args {
    /// Whether the command serves until it is asked to end.
    pub(crate) fn is_service(&self) -> bool {
        matches!(&self.command, Command::Serve(args) if args.serves())
    }

    /// Whether this process works for another siskin.
    pub(crate) fn is_worker(&self) -> bool {
        matches!(&self.command, Command::Bench(args) if args.is_worker())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    #[cfg(feature = "pull")]
    Pull(crate::commands::pull::PullArgs),
    List(list::ListArgs),
    Rm(rm::RmArgs),
    Path(path::PathArgs),
    Serve(Box<serve::ServeArgs>),
    Convert(convert::ConvertArgs),
    Quantize(quantize::QuantizeArgs),
    Inspect(inspect::InspectArgs),
    Hash(hash::HashArgs),
    Tokenize(tokenize::TokenizeArgs),
    Bench(Box<bench::BenchArgs>),
    Report(report::ReportArgs),
    Models(models::ModelsArgs),
    Device(device::DeviceArgs),
    Fit(fit::FitArgs),
    Tune(tune::TuneArgs),
    Chat(chat::ChatArgs),
    Completions(completions::CompletionsArgs),
    #[cfg(feature = "man")]
    Man(crate::commands::man::ManArgs),
    Imatrix(imatrix::ImatrixArgs),
}

/// The command line. If a flag is typed twice, the last counts, as with llama.cpp and git.
pub(crate) fn command() -> clap::Command {
    Args::command().mut_subcommands(|sub| sub.args_override_self(true))
}

/// The command line was not understood.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A mistake, in one line.
    Mistake(String),
    /// A help text or a version, which was asked for.
    Text(clap::Error),
}

/// Reads the command line, and which flags the command has. Colours are not clap's rule: it takes CI for a terminal.
pub(crate) fn parse() -> Result<(Args, Flags), Refused> {
    let mut command = command().color(style::help_colors());
    let words = std::env::args_os().skip(1).collect();
    command.build();
    let words = habits::translate(words, &command).map_err(Refused::Mistake)?;
    let typed = words.first().map(|word| word.to_string_lossy().into_owned());
    let refuse = |error: clap::Error, command: &clap::Command| {
        let name = typed.as_deref().filter(|name| *name != "help");
        match usage::line(&error, name.and_then(|name| command.find_subcommand(name))) {
            Some(line) => Refused::Mistake(line),
            None => Refused::Text(error),
        }
    };
    let words = [OsString::from("siskin")].into_iter().chain(words);
    let matches = command
        .try_get_matches_from_mut(words)
        .map_err(|error| refuse(error, &command))?;
    let sub = matches
        .subcommand_name()
        .and_then(|name| command.find_subcommand(name));
    let flags = sub.map(Flags::from_command).unwrap_or_default();
    let args = Args::from_arg_matches(&matches).map_err(|error| refuse(error, &command))?;
    Ok((args, flags))
}

/// Puts the files of models in the place of their names. What looks at a model elsewhere looks at its headers only.
fn resolve(command: &mut Command) -> anyhow::Result<()> {
    let models: Vec<&mut PathBuf> = match command {
        Command::Run(args) => args.session.model.iter_mut().collect(),
        Command::Chat(args) => args.session.model.iter_mut().collect(),
        Command::Serve(args) => args.models.iter_mut().collect(),
        Command::Bench(args) => args.models.iter_mut().collect(),
        Command::Report(args) => args.models.iter_mut().collect(),
        Command::Tune(args) => args.model.iter_mut().collect(),
        Command::Tokenize(args) => vec![&mut args.model],
        Command::Imatrix(args) => vec![&mut args.model],
        Command::Quantize(args) => vec![&mut args.input],
        Command::Hash(args) => vec![&mut args.file],
        Command::Inspect(args) if !model_name::is_elsewhere(&args.file) => vec![&mut args.file],
        Command::Fit(args) => {
            let models = std::iter::once(&mut args.model).chain(&mut args.draft);
            models.filter(|model| !model_name::is_elsewhere(model)).collect()
        }
        _ => Vec::new(),
    };
    for model in models {
        *model = model_name::file(model)?;
    }
    Ok(())
}

/// Carries out what was typed.
pub(crate) fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    resolve(&mut args.command)?;
    match args.command {
        Command::Run(args) => run::main(args),
        #[cfg(feature = "pull")]
        Command::Pull(args) => crate::commands::pull::main(args),
        Command::List(args) => list::main(args),
        Command::Rm(args) => rm::main(args),
        Command::Path(args) => path::main(args),
        Command::Serve(args) => serve::main(*args),
        Command::Convert(args) => convert::main(args),
        Command::Quantize(args) => quantize::main(args),
        Command::Inspect(args) => inspect::main(args),
        Command::Hash(args) => hash::main(args),
        Command::Tokenize(args) => tokenize::main(args),
        Command::Bench(args) => bench::main(*args),
        Command::Report(args) => report::main(args),
        Command::Models(args) => models::main(args),
        Command::Device(args) => device::main(args),
        Command::Fit(args) => fit::main(args),
        Command::Tune(args) => tune::main(args),
        Command::Chat(args) => chat::main(args),
        Command::Completions(args) => completions::main(args, &command()),
        #[cfg(feature = "man")]
        Command::Man(args) => crate::commands::man::main(args, command()),
        Command::Imatrix(args) => imatrix::main(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_flags_counts_and_lists_grow() {
        let parse = |words: &str| command().try_get_matches_from(words.split(' ')).expect(words);
        let twice = parse("siskin run -c 1 -c 2 --stop a --stop b --no-mmap --no-mmap");
        let twice = twice.subcommand_matches("run").expect("run");
        assert_eq!(twice.get_one("ctx_size"), Some(&2u32));
        let stops: Vec<&String> = twice.get_many("stop").expect("stops").collect();
        assert_eq!(stops, ["a", "b"]);
    }

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        let mut command = Args::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Example:\n  siskin "), "{}: {help}", sub.get_name());
        }
    }
}
