//! `--spec` through the program: the same words whatever it says, and one clear line if it cannot be had.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value as Json;
use siskin::device::settings::{Kernels, Values};

use crate::util::{self, fail, siskin, siskin_that_hears_signals, succeed};

const HOWS: [&str; 3] = ["off", "auto", "lookup"];

fn has_kernels() -> bool {
    let status = siskin::ggml_hook::select(Kernels::Siskin, Values::default().prefetch_bytes);
    if status.kernels != Kernels::Siskin {
        siskin_testing::skip(&status.to_string());
    }
    status.kernels == Kernels::Siskin
}

fn fixture(name: &str, ty: &str, out: &Path) -> PathBuf {
    util::convert(&util::checkpoint(name), out, ty)
}

fn run(model: Option<&Path>, args: &[&str], how: &str) -> Output {
    let mut command = siskin(["run"]);
    command.args(model).args(args).args(["--spec", how]);
    succeed(&mut command)
}

fn json(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_run_prints_the_same_with_every_way_of_guessing() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = fixture("llama-spm", "q4_k_m", out.path());
    let prompt = ["-p", "the king and the king and the king and", "-n", "48"];
    let ways: [&[&str]; 3] = [
        &["--temp", "0"],
        &["--temp", "0.7", "--seed", "7"],
        &[
            "--temp",
            "1.5",
            "--seed",
            "8",
            "--repeat-penalty",
            "1.2",
            "--stop",
            "th",
        ],
    ];
    for (file, way) in [None, Some(&model)]
        .into_iter()
        .flat_map(|file| ways.map(|way| (file, way)))
    {
        let args = [&prompt[..], way].concat();
        let run = |args: &[&str], how| run(file.map(PathBuf::as_path), args, how);
        let want = run(&args, "off").stdout;
        assert!(!want.is_empty());
        let with_json = [&args[..], &["--json"]].concat();
        let plain = json(&run(&with_json, "off"));
        assert!(plain["stats"].get("speculation").is_none(), "{plain}");
        for how in HOWS {
            assert_eq!(run(&args, how).stdout, want, "{file:?} {way:?} {how}");
            let found = json(&run(&with_json, how));
            for key in ["text", "tokens", "stop"] {
                assert_eq!(found[key], plain[key], "{file:?} {way:?} {how} {key}");
            }
            for key in ["prompt_tokens", "generated_tokens"] {
                assert_eq!(found["stats"][key], plain["stats"][key], "{way:?} {how} {key}");
            }
            let guesses = found["stats"].get("speculation").is_some();
            assert_eq!(guesses, how != "off", "{found}");
        }
    }
}

#[test]
fn answers_line_by_line_are_the_same() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    // With f16 weights, a prompt of another length has other bits. So small a context drops turns.
    for (name, ty) in [("llama-spm", "q8_0"), ("stablelm-bpe", "f16")] {
        let model = fixture(name, ty, out.path());
        let talk = |how| {
            let mut command = siskin(["chat"]);
            command
                .arg(&model)
                .args(["--spec", how, "--temp", "0.7", "--seed", "3"]);
            command.args(["-n", "40", "-c", "160", "--json"]);
            let pipes = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut child = pipes.spawn().expect("the program starts");
            let mut input = child.stdin.take().expect("a pipe");
            let lines = "the king\nthe king and the fox\nand then the king\nthe king and the fox\n";
            input.write_all(lines.as_bytes()).expect("written");
            drop(input);
            let output = child.wait_with_output().expect("an end");
            assert!(output.status.success(), "{how}: {}", output.status);
            let lines = String::from_utf8(output.stdout).expect("text");
            let turns = lines.lines().map(|line| {
                let mut turn: Json = serde_json::from_str(line).expect("JSON");
                let stats = turn.as_object_mut().and_then(|turn| turn.remove("stats"));
                let counts =
                    stats.map(|stats| [stats["prompt_tokens"].clone(), stats["generated_tokens"].clone()]);
                (turn, counts)
            });
            turns.collect::<Vec<_>>()
        };
        let want = talk("off");
        assert_eq!(want.len(), 4);
        for how in ["auto", "lookup"] {
            assert_eq!(talk(how), want, "{name} {ty} {how}");
        }
    }
}

#[test]
fn what_cannot_be_had_is_one_line() {
    for (how, want) in [
        (
            "nonsense",
            "--spec: \"nonsense\": expected auto, off, lookup or draft=FILE",
        ),
        ("", "--spec"),
        ("Lookup ", "--spec"),
        ("draft", "--spec"),
        ("draft=", "--spec: draft= needs the file of a model"),
    ] {
        for command in ["run", "chat"] {
            let line = fail(siskin([command, "-p", "Once", "--spec"]).arg(how), 2);
            assert!(line.contains(want), "{line}");
        }
    }
}

#[test]
fn what_would_change_the_text_is_refused_or_left_out() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let with = |flags: &'static [&'static str]| (None, flags);
    let model = |name, ty| (Some(fixture(name, ty, out.path())), &[][..]);
    let mut cases = vec![(with(&["--kernels", "ggml"]), "llama.cpp computes this model")];
    if has_kernels() {
        cases.extend([
            (with(&["--flash-attn", "off"]), "flash attention is off"),
            (with(&["--cache-type", "f32"]), "flash attention is off"),
            (model("llama-spm", "bf16"), "siskin has no kernel for bf16"),
            (model("llama-spm", "f32"), "siskin has no kernel for f32"),
            (model("llama-bias", "q8_0"), "heads of 24 numbers"),
        ]);
    }
    for ((file, flags), want) in cases {
        let start = |how, more: &[&str]| {
            let mut command = siskin(["run", "-p", "the king", "-n", "12", "--temp", "0", "--spec", how]);
            command.args(&file).args(flags).args(more);
            command
        };
        let line = fail(&mut start("lookup", &[]), 1);
        assert!(
            line.contains("speculative decoding is not possible: ") && line.contains(want),
            "{line}"
        );
        let auto = succeed(&mut start("auto", &["--stats"]));
        let said = String::from_utf8_lossy(&auto.stderr).into_owned();
        let told = said.lines().find(|line| line.starts_with("guessed  nothing: "));
        assert!(told.is_some_and(|line| line.contains(want)), "{said}");
        assert_eq!(auto.stdout, succeed(&mut start("off", &[])).stdout, "{flags:?}");
        // Nobody asked for it, so nothing is said.
        assert!(succeed(&mut start("auto", &[])).stderr.is_empty());
    }
}

#[test]
fn an_interrupted_run_has_the_beginning_of_the_text() {
    let args = [
        "run",
        "-p",
        "Once upon a time",
        "-c",
        "2048",
        "-n",
        "1500",
        "--temp",
        "0",
        "--spec",
    ];
    let whole = succeed(siskin(args).arg("off")).stdout;
    for how in HOWS {
        let mut command = siskin_that_hears_signals(args);
        let pipes = command.arg(how).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = pipes.spawn().expect("the program starts");
        let mut pipe = child.stdout.take().expect("a pipe");
        let mut text = vec![0; 120];
        pipe.read_exact(&mut text).expect("text");
        // A child that was not waited for still has its id.
        rustix::process::kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
        pipe.read_to_end(&mut text).expect("text");
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{how}");
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        assert!(
            whole.starts_with(text),
            "{how}: {}",
            String::from_utf8_lossy(text)
        );
        assert!(text.len() < whole.len(), "{how} was not interrupted");
    }
}
