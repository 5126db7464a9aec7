//! A program built for another device does what this one does: the same bytes out of the converter, the same greedy
//! tokens out of models. `SISKIN_CROSS` holds the words that start it, an emulator first where one is needed;
//! scripts/test-cross.sh sets it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::util::{self, succeed};

/// File types written by both: plain, 8-bit, and a mix of K formats.
const TYPES: [&str; 4] = ["f32", "bf16", "q8_0", "q4_k_m"];

/// The other program, or nothing after a word why.
fn other() -> Option<impl Fn() -> Command> {
    let Ok(words) = std::env::var("SISKIN_CROSS") else {
        println!("skipped: SISKIN_CROSS names no program built for another device");
        return None;
    };
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    assert!(!words.is_empty(), "SISKIN_CROSS is empty");
    Some(move || {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    })
}

/// Converts with a program into `out` and gives the file's path.
fn convert(mut program: Command, source: &Path, out: &Path, file_type: &str) -> PathBuf {
    std::fs::create_dir_all(out).expect("a folder");
    let name = source.file_stem().expect("a name").to_string_lossy();
    let file = out.join(format!("{name}-{file_type}.gguf"));
    let arguments = ["--type", file_type, "--quiet"];
    succeed(
        program
            .arg("convert")
            .arg(source)
            .arg("-o")
            .arg(&file)
            .args(arguments),
    );
    file
}

/// What a greedy run makes: the JSON report.
fn greedy(mut program: Command, model: Option<&Path>, prompt: &str, count: usize) -> Json {
    program.arg("run").args(model);
    let count = count.to_string();
    let output = succeed(program.args(["-p", prompt, "-n", &count, "--temp", "0", "--json"]));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn files_are_the_same_byte_for_byte() {
    let Some(other) = other() else { return };
    let out = tempfile::tempdir().expect("a temporary folder");
    for source in util::checkpoints() {
        for file_type in TYPES {
            let here = convert(
                util::siskin::<&str>([]),
                &source,
                &out.path().join("here"),
                file_type,
            );
            let there = convert(other(), &source, &out.path().join("there"), file_type);
            let read = |path: &Path| std::fs::read(path).expect("a file");
            assert!(
                read(&here) == read(&there),
                "{} as {file_type}: the files differ",
                source.display()
            );
        }
    }
}

#[test]
fn fixtures_give_their_golden_tokens() {
    let Some(other) = other() else { return };
    let out = tempfile::tempdir().expect("a temporary folder");
    for source in util::checkpoints() {
        let text = std::fs::read_to_string(source.join("golden/golden.json")).expect("a golden");
        let golden: Json = serde_json::from_str(&text).expect("JSON");
        let want = golden["greedy_ids"].as_array().expect("tokens");
        let model = convert(other(), &source, out.path(), "f32");
        let prompt = golden["prompt"].as_str().expect("a prompt");
        let report = greedy(other(), Some(&model), prompt, want.len());
        assert_eq!(report["tokens"].as_array(), Some(want), "{}", source.display());
    }
}

#[test]
fn the_embedded_model_tells_the_same_story() {
    let Some(other) = other() else { return };
    for prompt in ["Once upon a time", "The king", "A little bird"] {
        let here = greedy(util::siskin::<&str>([]), None, prompt, 60);
        let there = greedy(other(), None, prompt, 60);
        assert_eq!(here["tokens"].as_array().expect("tokens").len(), 60, "{prompt}");
        assert_eq!(
            (&here["tokens"], &here["text"]),
            (&there["tokens"], &there["text"]),
            "{prompt}"
        );
    }
}
