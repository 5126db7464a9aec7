//! The program: parse, run, print the error on one line, exit code.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    let args = match cli::parse() {
        Ok(args) => args,
        Err(message) => return cli::exit::usage(&message),
    };
    match cli::run(args) {
        Ok(code) => code,
        Err(error) => cli::exit::failure(&error),
    }
}
