//! The program: parse, run, print the error on one line, exit code.

#![deny(unsafe_code)]

use std::process::ExitCode;

/// Writes a line to stderr; write errors are ignored.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
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
    last_resort::guard(command)
}

fn command() -> ExitCode {
    let (args, flags) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(refused) => return exit::refused(&refused),
    };
    match cli::run(args) {
        Ok(code) => code,
        Err(error) => exit::failure(&error, &flags),
    }
}
