//! `siskin completions`: shell completions for the commands, their flags and values.

use std::io::Write;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Prints a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin completions bash > ~/.local/share/bash-completion/completions/siskin"
)]
pub(crate) struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

/// The commands that read a GGUF file.
const READS_MODELS: [&str; 10] = [
    "bench", "chat", "fit", "imatrix", "inspect", "quantize", "report", "run", "tokenize", "tune",
];

pub(crate) fn main(args: CompletionsArgs, program: &Command) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(script(args.shell, program).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The script, which offers GGUF files if a model is due.
fn script(shell: Shell, program: &Command) -> String {
    // clap_complete panics if a write fails; writes to memory do not.
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(program), "siskin", &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        Shell::Bash => script + &bash(),
        Shell::Zsh => zsh(&script),
        Shell::Fish => script + &fish(),
        _ => script,
    }
}

/// The program without the commands that are not for users: some shells' scripts would list them.
fn without_hidden(program: &Command) -> Command {
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("siskin")
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments())
        .subcommands(shown.cloned())
}

/// A word that is no flag and follows none is a model, or a folder on the way to it.
fn bash() -> String {
    format!(
        r#"
_siskin_models() {{
    _siskin "$@"
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    if [[ ${{COMP_CWORD}} -ge 2 && ${{cur}} != -* && ( ${{prev}} != -* || ${{prev}} == -m ) ]]; then
        case "${{COMP_WORDS[1]}}" in
            {commands})
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -X '!*.gguf' -- "${{cur}}"; compgen -d -- "${{cur}}")
                ;;
        esac
    fi
}}
complete -F _siskin_models -o bashdefault -o default siskin
"#,
        commands = READS_MODELS.join("|")
    )
}

/// Arguments that are described as GGUF files get a pattern.
fn zsh(script: &str) -> String {
    let line = |line: &str| {
        let place = line.contains(" -- GGUF file");
        let changed = line.strip_suffix(":_files' \\").filter(|_| place);
        changed.map_or_else(
            || line.to_owned(),
            |start| format!("{start}:_files -g \"*.gguf\"' \\"),
        )
    };
    script.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn fish() -> String {
    let line = |command: &&str| {
        format!(
            "complete -c siskin -n \"__fish_siskin_using_subcommand {command}\" -k -a \"(__fish_complete_suffix .gguf)\"\n"
        )
    };
    READS_MODELS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn values_and_models_are_offered_and_hidden_commands_are_not() {
        let program = cli::command();
        let bash = script(Shell::Bash, &program);
        for values in [
            "q8_0 q6_k q5_k_m",
            "f32 f16 q8_0 q4_0",
            "auto on off",
            "normal high",
            "raspberry-pi-5",
            "*.gguf",
        ] {
            assert!(bash.contains(values), "{values}");
        }
        assert!(
            !bash.contains("siskin__man") && !bash.contains(" man "),
            "for packagers"
        );
        let zsh = script(Shell::Zsh, &program);
        assert!(zsh.contains(":_files -g \"*.gguf\"' \\"), "{zsh}");
        assert!(script(Shell::Fish, &program).contains("__fish_complete_suffix .gguf"));
        for name in READS_MODELS {
            assert!(program.find_subcommand(name).is_some(), "{name}");
        }
    }
}
