//! Checks that a program built for another device behaves like this one: the converter writes the same bytes,
//! and models give the same greedy tokens. `SISKIN_CROSS` holds the words that start the program, with an
//! emulator first if it needs one; scripts/test-cross.sh sets it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::util::{self, succeed};

/// File types to convert a checkpoint to.
const CONVERTED: [&str; 3] = ["f32", "q8_0", "q4_k_m"];
/// File types to quantize a GGUF file to: every quantized one.
const QUANTIZED: [&str; 7] = ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0"];

/// Flags with which every sum of attention is f32.
const EXACT: [&str; 2] = ["--cache-type", "f32"];

/// A function that starts the other program.
fn other() -> impl Fn() -> Command {
    let words =
        std::env::var("SISKIN_CROSS").expect("the words that start a program built for another device");
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    assert!(!words.is_empty(), "SISKIN_CROSS is empty");
    move || {
        let mut command = Command::new(&words[0]);
        command.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }
}

/// Converts a checkpoint and returns the file's path.
fn convert(mut program: Command, source: &Path, file_type: &str, file: &Path) -> PathBuf {
    let program = program.arg("convert").arg(source).arg("-o").arg(file);
    succeed(program.args(["--type", file_type, "--quiet"]));
    file.to_owned()
}

/// Quantizes a GGUF file and returns the new file's path.
fn quantize(mut program: Command, source: &Path, file_type: &str, file: &Path) -> PathBuf {
    let program = program.arg("quantize").arg(source).arg(file);
    succeed(program.args([file_type, "--quiet"]));
    file.to_owned()
}

/// Asserts that two files are the same, byte for byte.
fn assert_same(here: &Path, there: &Path, what: &str) {
    let read = |path: &Path| std::fs::read(path).expect("a file");
    assert!(read(here) == read(there), "{what}: the files differ");
}

/// Runs greedily with these additional flags and returns the JSON report.
fn greedy(mut program: Command, model: Option<&Path>, prompt: &str, count: usize, flags: &[&str]) -> Json {
    program.args(["run", "--raw"]).args(model);
    let count = count.to_string();
    let program = program.args(["-p", prompt, "-n", &count, "--temp", "0", "--json"]);
    let output = succeed(program.args(flags));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
#[ignore = "needs a program built for another device: scripts/test-cross.sh runs it"]
fn converted_checkpoints_are_the_same_byte_for_byte() {
    let other = other();
    let out = tempfile::tempdir().expect("a temporary folder");
    for (at, source) in util::checkpoints().iter().enumerate() {
        for file_type in CONVERTED {
            let file = |side: &str| out.path().join(format!("{at}-{file_type}-{side}.gguf"));
            let here = convert(util::siskin::<&str>([]), source, file_type, &file("here"));
            let there = convert(other(), source, file_type, &file("there"));
            assert_same(&here, &there, &format!("{} as {file_type}", source.display()));
        }
    }
}

#[test]
#[ignore = "needs a program built for another device: scripts/test-cross.sh runs it"]
fn quantized_files_are_the_same_byte_for_byte() {
    let other = other();
    let out = tempfile::tempdir().expect("a temporary folder");
    for name in ["llama-spm", "stablelm-bpe", "gptneox-bpe"] {
        let file = |what: &str| out.path().join(format!("{name}-{what}.gguf"));
        let source = convert(
            util::siskin::<&str>([]),
            &util::checkpoint(name),
            "f32",
            &file("f32"),
        );
        for file_type in QUANTIZED {
            let here = quantize(
                util::siskin::<&str>([]),
                &source,
                file_type,
                &file(&format!("{file_type}-here")),
            );
            let there = quantize(other(), &source, file_type, &file(&format!("{file_type}-there")));
            assert_same(&here, &there, &format!("{name} to {file_type}"));
        }
    }
}

#[test]
#[ignore = "needs a program built for another device: scripts/test-cross.sh runs it"]
fn fixtures_give_their_golden_tokens() {
    let other = other();
    let out = tempfile::tempdir().expect("a temporary folder");
    for (at, source) in util::checkpoints().iter().enumerate() {
        let text = std::fs::read_to_string(source.join("golden/golden.json")).expect("a golden");
        let golden: Json = serde_json::from_str(&text).expect("JSON");
        let want = golden["greedy_ids"].as_array().expect("tokens");
        let file = out.path().join(format!("{at}.gguf"));
        let model = convert(other(), source, "f32", &file);
        let prompt = golden["prompt"].as_str().expect("a prompt");
        let report = greedy(other(), Some(&model), prompt, want.len(), &[]);
        assert_eq!(report["tokens"].as_array(), Some(want), "{}", source.display());
    }
}

#[test]
#[ignore = "needs a program built for another device: scripts/test-cross.sh runs it"]
fn the_embedded_model_tells_the_same_story() {
    let other = other();
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/storyteller-q4_k_m.gguf");
    let out = tempfile::tempdir().expect("a temporary folder");
    let whole = |mut program: Command, side: &str| {
        let file = out.path().join(format!("{side}.gguf"));
        let program = program.arg("quantize").arg("--allow-requantize").arg(&embedded);
        succeed(program.arg(&file).args(["f32", "--quiet"]));
        file
    };
    let (here_file, there_file) = (whole(util::siskin::<&str>([]), "here"), whole(other(), "there"));
    assert_same(&here_file, &there_file, "the embedded model unpacked");
    for prompt in ["Once upon a time", "The king", "A little bird"] {
        let here = greedy(util::siskin::<&str>([]), Some(&here_file), prompt, 60, &EXACT);
        let there = greedy(other(), Some(&there_file), prompt, 60, &EXACT);
        let tokens = |report: &Json| report["tokens"].as_array().expect("tokens").clone();
        assert_eq!(tokens(&here).len(), 60, "{prompt}");
        assert_eq!(tokens(&here), tokens(&there), "{prompt}");
        // With quantized weights, ggml rounds activations to eight bits, and another CPU's order of sums may
        // round one differently: the stories are the same until two tokens are almost equally likely.
        let packed = |program| tokens(&greedy(program, None, prompt, 60, &[]));
        let (here, there) = (packed(util::siskin::<&str>([])), packed(other()));
        let same = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
        println!("{prompt}: of 60 tokens the first {same} are the same with packed weights");
        assert!(same >= 5, "{prompt}: {here:?} {there:?}");
    }
}

#[test]
#[ignore = "needs a program built for another device: scripts/test-cross.sh runs it"]
fn kernels_are_used_where_the_cpu_has_their_instructions() {
    let other = other();
    let words = std::env::var("SISKIN_CROSS").expect("set, as seen above");
    let report: Json =
        serde_json::from_slice(&succeed(other().args(["device", "--json"])).stdout).expect("JSON");
    let kernels = &report["kernels"];
    println!("kernels: {kernels}");
    // The CPUs that scripts/test-cross.sh emulates.
    let wanted = match () {
        _ if words.contains("cortex-a76") => Some("siskin"),
        _ if words.contains("cortex-a72") || words.contains("-arm-") => Some("ggml"),
        _ => None,
    };
    if let Some(wanted) = wanted {
        assert_eq!(kernels["kernels"], wanted, "{kernels}");
    }
    // With either kernels, and with any CPU's order of sums, a story begins with the same tokens.
    let with = |kernels: &str| {
        let report = greedy(other(), None, "The king", 20, &["--kernels", kernels]);
        report["tokens"].as_array().expect("tokens")[..5].to_vec()
    };
    assert_eq!(with("siskin"), with("ggml"));
}
