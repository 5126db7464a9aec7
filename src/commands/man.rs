//! `siskin man`: the manual pages, for packagers.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;

/// Writes the manual pages into a folder: siskin.1 and one per command
#[derive(Debug, clap::Args)]
#[command(hide = true, after_long_help = "Example:\n  siskin man target/man")]
pub(crate) struct ManArgs {
    /// Output folder; created if it is missing
    dir: PathBuf,
}

/// Heading, and its terms with their meanings.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// What every page ends with.
const SECTIONS: [Section; 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "Done, or the reader closed the pipe."),
            ("1", "An error; one line on standard error."),
            ("2", "A mistake on the command line; one line on standard error."),
            ("3", "siskin bench: slower than --fail-below allows."),
            (
                "129, 130, 143",
                "Ended by SIGHUP, Ctrl-C or SIGTERM; nothing half-written is left.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "SISKIN_KERNELS",
                "Kernels to decode with, siskin or ggml, if --kernels is not given.",
            ),
            (
                "XDG_STATE_HOME",
                "Folder of what siskin keeps; ~/.local/state if it is not set.",
            ),
            (
                "XDG_CONFIG_HOME",
                "Folder of your own device profiles; ~/.config if it is not set.",
            ),
            (
                "NO_COLOR",
                "No colours if it is set and not empty. TERM=dumb does the same.",
            ),
            (
                "OMP_WAIT_POLICY",
                "How threads wait, active or passive; it comes before siskin's own choice.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            (
                "$XDG_STATE_HOME/siskin/tuned.json",
                "The settings that siskin tune saved.",
            ),
            (
                "$XDG_STATE_HOME/siskin/chat_history",
                "The messages typed in siskin chat, for the up-arrow key.",
            ),
            (
                "$XDG_STATE_HOME/siskin/last_chat.json",
                "The last conversation that a key ended before it was saved; siskin chat --load continues it.",
            ),
            (
                "$XDG_CONFIG_HOME/siskin/targets/*.toml",
                "Your own device profiles.",
            ),
        ],
    ),
];

pub(crate) fn main(args: ManArgs, program: Command) -> anyhow::Result<ExitCode> {
    let name = || args.dir.display().to_string();
    std::fs::create_dir_all(&args.dir).with_context(name)?;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    for command in shown.chain([&program]) {
        let file = Man::new(command.clone()).get_filename();
        std::fs::write(args.dir.join(file), page(command)?).with_context(name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of a command.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let examples = command.get_after_long_help().map(ToString::to_string);
    let man = Man::new(command.clone().override_usage(usage));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = examples {
        page.write_all(examples_section(&text).as_bytes())?;
    }
    for (title, terms) in SECTIONS {
        writeln!(page, ".SH {title}")?;
        for (term, meaning) in terms {
            writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(meaning))?;
        }
    }
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// The text after a help text: indented lines are commands, the others explain them.
fn examples_section(text: &str) -> String {
    let text = text.strip_prefix("Example:\n").unwrap_or(text);
    let lines = text.lines().map(|line| match line.strip_prefix("  ") {
        Some(command) => format!(".RS 4\n.nf\n{}\n.fi\n.RE\n", escaped(command)),
        None if line.is_empty() => ".PP\n".into(),
        None => escaped(line) + "\n",
    });
    std::iter::once(".SH EXAMPLES\n".to_owned())
        .chain(lines)
        .collect()
}

/// A line for roff.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn every_page_has_the_usual_sections() {
        let mut program = cli::command();
        program.build();
        // clap writes the page of `help`.
        for command in program
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            let page = String::from_utf8(page(command).expect("written")).expect("UTF-8");
            for section in [
                "NAME",
                "SYNOPSIS",
                "OPTIONS",
                "EXAMPLES",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
            ] {
                assert!(page.contains(&format!(".SH {section}\n")), "{section}: {page}");
            }
        }
        assert_eq!(escaped(".a\\b-c"), "\\&.a\\eb\\-c");
    }
}
