//! The program: parse, run, print the error on one line, exit code.

#![deny(unsafe_code)]

use std::process::ExitCode;

/// Writes a line to stderr; write errors are ignored, and what is not text is escaped.
macro_rules! say {
    ($($words:tt)*) => { $crate::render::text::say(format_args!($($words)*)) };
}

mod cli;
mod commands;
mod environment;
mod exit;
mod habits;
mod hints;
mod interrupt;
mod last_resort;
mod render;
mod text_input;
mod usage;

fn main() -> ExitCode {
    siskin::report_lost_models(exit::lost_model);
    last_resort::guard(command)
}

fn command() -> ExitCode {
    let (args, flags) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(refused) => return exit::refused(&refused),
    };
    // A worker dies of a signal, so that the process which it works for sees that it did.
    if !args.is_worker() {
        interrupt::install(args.is_service());
    }
    match cli::run(args) {
        Ok(code) => code,
        Err(error) => exit::failure(&error, &flags),
    }
}
