//! `siskin bench --prompts` end to end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

use crate::util::{fail, siskin, siskin_that_hears_signals, succeed};

const PROMPTS: &str = "\
{\"kind\":\"tale\",\"id\":1,\"prompt\":\"Once upon a time there was a king\"}
{\"kind\":\"tale\",\"id\":2,\"prompt\":\"Once upon a time there was a king\"}
{\"kind\":\"tale\",\"id\":3,\"prompt\":\"The fox said to the bear\"}
{\"kind\":\"list\",\"id\":\"a\",\"prompt\":\"one two three one two three one two\"}
{\"kind\":\"list\",\"id\":\"b\",\"prompt\":\"red blue red blue red blue\"}
";

/// A file of prompts in this folder.
fn file(folder: &Path, text: &[u8]) -> PathBuf {
    let path = folder.join("prompts.jsonl");
    std::fs::write(&path, text).expect("written");
    path
}

fn bench(file: &Path, args: &[&str]) -> Command {
    let mut command = siskin(["bench", "-n", "24", "-t", "1", "--prompts"]);
    command.arg(file).args(args);
    command
}

fn stdout(output: Output) -> String {
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn both_texts_of_every_prompt_are_the_same_and_no_prompt_comes_twice() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let prompts = file(out.path(), PROMPTS.as_bytes());
    for temp in ["0", "0.7"] {
        let output = succeed(&mut bench(&prompts, &["--temp", temp, "--seed", "7", "--json"]));
        let results: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (
                results["duplicates"].as_u64(),
                results["settings"]["seed"].as_u64()
            ),
            (Some(1), Some(7))
        );
        let pairs = results["pairs"].as_array().expect("pairs");
        let ids: Vec<String> = pairs.iter().map(|pair| pair["id"].to_string()).collect();
        assert_eq!(ids, ["1", "\"a\"", "3", "\"b\""], "kinds take turns");
        for pair in pairs {
            assert_eq!(pair["same_text"], true, "{pair}");
            let seconds = |field: &str| pair[field].as_f64().is_some_and(|seconds| seconds > 0.0);
            assert!(seconds("off_seconds") && seconds("on_seconds"), "{pair}");
            let count = |field: &str| pair["speculation"][field].as_u64().expect("a count");
            let computed = pair["computed_tokens"].as_u64().expect("a count");
            assert_eq!(count("passes") + count("accepted"), computed, "{pair}");
        }
        assert_eq!(results["all"]["same_text"], 4);
    }
}

#[test]
fn tables_name_every_kind_and_a_limit_takes_some_of_each() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let prompts = file(out.path(), PROMPTS.as_bytes());
    let table = stdout(succeed(bench(&prompts, &["--limit", "2"]).env("COLUMNS", "80")));
    let wide: Vec<&str> = table.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    for want in [
        "tale ",
        "list ",
        "all ",
        "100 %",
        "seed 1",
        "guesses by lookup",
        "worst: ",
    ] {
        assert!(table.contains(want), "{want}: {table}");
    }
    // Two equal sides are measured too.
    let equal = stdout(succeed(&mut bench(
        &prompts,
        &["--spec", "off", "-o", "csv", "--limit", "1"],
    )));
    assert!(
        equal.starts_with("kind,id,line,") && equal.lines().count() == 2,
        "{equal}"
    );
    assert!(
        stdout(succeed(&mut bench(&prompts, &["-o", "md", "--keep-acceptance"])))
            .contains("| kind | prompts |")
    );
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let cases: [(&[u8], &str); 5] = [
        (
            b"{\"prompt\":\"a\"}\nOnce upon a time\n",
            "prompts.jsonl: line 2 is not a JSON object",
        ),
        (
            b"{\"text\":\"a\"}\n",
            "prompts.jsonl: line 1: missing field `prompt`",
        ),
        (b"\n", "prompts.jsonl: has no prompts"),
        (
            b"{\"prompt\":\"\xff\"}\n",
            "prompts.jsonl: stream did not contain valid UTF-8",
        ),
        (
            b"{\"prompt\":\"\xe2\x80",
            "prompts.jsonl: stream did not contain valid UTF-8",
        ),
    ];
    for (text, want) in cases {
        let line = fail(&mut bench(&file(out.path(), text), &[]), 1);
        assert!(
            line.starts_with("siskin: ") && line.contains(want),
            "{want}: {line}"
        );
    }
    let prompts = file(out.path(), PROMPTS.as_bytes());
    let mistakes: [&[&str]; 8] = [
        &["-t", "1,2"],
        &["-n", "0"],
        &["-n", "8,16"],
        &["-o", "toml"],
        &["-p", "16"],
        &["--limit", "0"],
        &["--spec", "magic"],
        &["a.gguf", "b.gguf"],
    ];
    for args in mistakes {
        fail_usage(&mut bench(&prompts, args), args);
    }
    fail_usage(&mut siskin(["bench", "--limit", "3"]), &["--limit"]);
}

fn fail_usage(command: &mut Command, args: &[&str]) {
    let output = command.output().expect("started");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
}

#[test]
fn ctrl_c_gives_the_table_of_what_was_measured() {
    use rustix::process::{Pid, Signal, kill_process};
    let out = tempfile::tempdir().expect("a temporary folder");
    let many: String = (0..20_000)
        .map(|number| format!("{{\"prompt\":\"Once upon a time there were {number} kings\"}}\n"))
        .collect();
    let prompts = file(out.path(), many.as_bytes());
    let mut command = siskin_that_hears_signals(["bench", "-n", "24", "-t", "1", "--prompts"]);
    let child = command
        .arg(&prompts)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    std::thread::sleep(std::time::Duration::from_secs(3));
    kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(130), &b""[..])
    );
    let table = stdout(output);
    assert!(
        table.contains("interrupted after") && table.contains("of 20000 prompts"),
        "{table}"
    );
}
