//! What every command promises: help with an example, JSON output, success if a pipe is closed, and no
//! colours outside terminals.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::util::{self, siskin, succeed};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The commands that help lists, and the hidden one.
fn commands() -> Vec<String> {
    let help = text(&succeed(&mut siskin(["--help"])).stdout);
    let listed = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| !name.starts_with('-') && *name != "help");
    listed.chain(["man"]).map(str::to_owned).collect()
}

/// Commands without `--json`: what they print or write is for machines, they print nothing, or they answer over HTTP.
const NO_JSON: [&str; 5] = ["completions", "man", "path", "rm", "serve"];

/// Commands that measure for long and write files of their own, or need a network; their own tests run them.
const SLOW: [&str; 3] = ["pull", "report", "tune"];

/// One command line for each command that takes the embedded model or a fixture. The test reads all of its
/// output with `--json`, and then closes the pipe without reading.
fn examples(fixture: &Path, model: &Path) -> Vec<Vec<String>> {
    let (fixture, model) = (fixture.to_str().expect("UTF-8"), model.to_str().expect("UTF-8"));
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let prompts = format!("{model}.jsonl");
    std::fs::write(&prompts, "{\"prompt\":\"Once upon a time\"}\n").expect("written");
    let words = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
    vec![
        words("run|-p|Once|-n|8"),
        words("chat|-n|8"),
        words(&format!("convert|{fixture}|--dry-run|--type|q4_k_m")),
        words(&format!("quantize|{model}|/no/such/file.gguf|q8_0|--dry-run")),
        words(&format!("inspect|{model}")),
        words("device"),
        words("list"),
        words(&format!("hash|{model}")),
        words(&format!("fit|{model}")),
        words(&format!(
            "imatrix|{model}|-f|{text}|-o|{model}.imatrix|-c|64|--chunks|1|--force"
        )),
        words("bench|-p|16|-n|8|-r|1|-t|1"),
        words(&format!("bench|--prompts|{prompts}|-n|8|-t|1")),
        words("models"),
        words(&format!("tokenize|{model}|Once upon a time")),
    ]
}

#[test]
fn every_help_shows_one_example_and_json_where_there_is_anything_to_read() {
    let commands = commands();
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        let help = text(&succeed(&mut siskin([&command, "--help"])).stdout);
        let example = format!("Example:\n  siskin {command} ");
        assert_eq!(help.matches("Example:").count(), 1, "{command}: {help}");
        assert!(help.contains(&example), "{command}: {help}");
        let json = help.contains("--json\n") || help.contains("--json ");
        assert_eq!(json, !NO_JSON.contains(&command.as_str()), "{command}: {help}");
        assert!(!help.contains('\x1b'), "{command}: {help:?}");
        let wide = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{command}");
    }
}

#[test]
fn json_is_json_and_a_closed_pipe_is_success() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let fixture = util::checkpoint("llama-spm");
    let model = util::convert(&fixture, out.path(), "f16");
    let examples = examples(&fixture, &model);
    for command in commands() {
        let name = command.as_str();
        let known =
            examples.iter().any(|line| line[0] == name) || NO_JSON.contains(&name) || SLOW.contains(&name);
        assert!(known, "{command}: give it a row in `examples`");
    }
    for line in examples {
        let start = |extra: &[&str]| {
            let mut command = siskin(line.iter().map(String::as_str).chain(extra.iter().copied()));
            // `chat` reads its messages from standard input.
            command.stdin(if line[0] == "chat" {
                Stdio::piped()
            } else {
                Stdio::null()
            });
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            if let Some(mut input) = child.stdin.take() {
                std::io::Write::write_all(&mut input, b"hello\n").expect("taken");
            }
            child
        };
        let mut whole = Vec::new();
        let mut child = start(&["--json"]);
        child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_end(&mut whole)
            .expect("read");
        assert!(child.wait().expect("ended").success(), "{line:?}");
        serde_json::from_slice::<Json>(&whole).unwrap_or_else(|error| panic!("{line:?}: {error}"));

        for closed in ["stdout", "both"] {
            let mut child = start(&[]);
            drop(child.stdout.take());
            if closed == "both" {
                drop(child.stderr.take());
            }
            let output = child.wait_with_output().expect("ended");
            assert_eq!(
                output.status.code(),
                Some(0),
                "{line:?}, {closed} closed: {}",
                text(&output.stderr)
            );
            assert!(
                !text(&output.stderr).contains("panic"),
                "{line:?}: {}",
                text(&output.stderr)
            );
        }
    }
    for line in [["completions", "bash"], ["help", "run"]] {
        let mut child = siskin(line)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("ended").code(), Some(0), "{line:?}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let listed: Vec<String> = commands().into_iter().filter(|name| name != "man").collect();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&succeed(&mut siskin(["completions", shell])).stdout);
        assert!(
            listed.iter().all(|name| script.contains(name.as_str())),
            "{shell}"
        );
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let pages = out.path().join("man");
    succeed(siskin(["man"]).arg(&pages));
    assert!(pages.join("siskin.1").is_file());
    for name in listed {
        let page = std::fs::read_to_string(pages.join(format!("siskin-{name}.1"))).expect("a page");
        for section in ["EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{name}: {section}");
        }
    }
    assert!(
        !pages.join("siskin-man.1").exists(),
        "for packagers, not for readers"
    );
}

/// Runs siskin on a terminal that `script` creates; `None` if the machine has no `script`.
fn on_a_terminal(environment: &[(&str, &str)], line: &str) -> Option<String> {
    if Command::new("script").arg("--version").output().is_err() {
        siskin_testing::skip("no program `script` to make a terminal");
        return None;
    }
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_siskin"));
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    Some(text(&command.output().expect("ended").stdout))
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let cases: [(&[(&str, &str)], bool); 5] = [
        (&[], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("TERM", "dumb"), ("CI", "")], false),
        (&[("TERM", "dumb"), ("CI", "true")], false),
    ];
    for (environment, coloured) in cases {
        let Some(help) = on_a_terminal(environment, "run --help") else {
            return;
        };
        assert!(help.contains("Usage:"), "{help:?}");
        assert_eq!(help.contains("\x1b["), coloured, "{environment:?}: {help:?}");
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let fixture = util::checkpoint("llama-spm");
    let line = format!(
        "convert {} -o {}/x.gguf --force",
        fixture.display(),
        out.path().display()
    );
    let dumb = on_a_terminal(&[("TERM", "dumb")], &line).expect("a terminal, as before");
    assert!(dumb.contains("100%") && !dumb.contains('\x1b'), "{dumb:?}");
}
