//! What users type, what they get, and which errors they see.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value as Json;

use crate::util::{self, fail, siskin, succeed};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_bare_run_tells_a_story_and_greedy_repeats_itself() {
    let story = || {
        let output = succeed(&mut siskin(["run", "-n", "40", "--temp", "0"]));
        assert_eq!(text(&output.stderr), "", "llama.cpp's log is silent");
        text(&output.stdout)
    };
    let first = story();
    assert!(
        first.starts_with("Once upon a time") && first.split_whitespace().count() > 15,
        "{first:?}"
    );
    assert_eq!(first, story());
}

#[test]
fn a_seed_that_was_drawn_gives_the_text_again() {
    let run = |seed: &str| {
        let output = succeed(&mut siskin(["run", "-n", "20", "--json", "--seed", seed]));
        let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        (report["settings"]["seed"].to_string(), report["text"].to_string())
    };
    let (seed, text) = run("-1");
    assert_eq!(run(&seed), (seed, text));
}

#[test]
fn seeds_repeat_and_differ() {
    let story = |seed: &str| succeed(&mut siskin(["run", "-n", "40", "--seed", seed])).stdout;
    assert_eq!(story("1"), story("1"));
    assert_ne!(story("1"), story("2"));
}

#[test]
fn json_holds_the_text_the_settings_and_what_was_measured() {
    let output = succeed(&mut siskin([
        "run", "-p", "The king", "-n", "8", "--json", "--temp", "0", "-c", "64",
    ]));
    let report: Json = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["prompt"], "The king");
    assert_eq!(report["tokens"].as_array().expect("tokens").len(), 8);
    assert_eq!(
        (&report["stop"], &report["settings"]["temp"]),
        (&"limit".into(), &0.0.into())
    );
    for figure in [
        "load_seconds",
        "time_to_first_token_seconds",
        "decode_tokens_per_second",
        "peak_rss_bytes",
    ] {
        assert!(report["stats"][figure].as_f64().expect(figure) > 0.0, "{report}");
    }
}

#[test]
fn stop_strings_full_contexts_and_stats() {
    let json = |args: &[&str]| {
        let output = succeed(siskin(["run", "--json", "--temp", "0"]).args(args));
        serde_json::from_slice::<Json>(&output.stdout).expect("JSON")
    };
    let long = json(&["-n", "20"]);
    let words = long["text"].as_str().expect("a text");
    let stop = words.split_whitespace().nth(3).expect("four words");
    let short = json(&["-n", "20", "--stop", stop]);
    assert_eq!(short["stop"], "stop_string");
    assert_eq!(
        short["text"].as_str(),
        words.split_once(stop).map(|(before, _)| before)
    );
    assert_eq!(json(&["-c", "32"])["stop"], "context_full");
    let output = succeed(&mut siskin(["run", "-n", "4", "--stats"]));
    let stats = text(&output.stderr);
    assert!(
        ["prompt ", "decode ", "load ", "memory   peak RSS "]
            .iter()
            .all(|line| stats.contains(line)),
        "{stats}"
    );
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child = siskin(["run", "-n", "200"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut start = [0; 4];
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_exact(&mut start)
        .expect("a beginning");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{:?}", text(&output.stderr));
    assert_eq!((start, text(&output.stderr)), (*b"Once", String::new()));
}

#[test]
fn tokens_of_a_text() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-spm"), out.path(), "q8_0");
    let tokenize = |args: &[&str]| text(&succeed(siskin(["tokenize"]).arg(&model).args(args)).stdout);
    let ids = tokenize(&["a king", "--ids"]);
    assert!(ids.starts_with("1 ") && ids.lines().count() == 1, "{ids:?}");
    assert_eq!(tokenize(&["a king", "--ids", "--no-bos"]), ids["1 ".len()..]);
    let lines = tokenize(&["a\nking"]);
    assert!(lines.contains("\\n") || lines.contains("<0x0A>"), "{lines:?}");
    assert!(lines.lines().all(|line| {
        line.split_once('\t')
            .is_some_and(|(id, _)| id.parse::<u32>().is_ok())
    }));
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let dir = util::checkpoint("llama-spm");
    let table = text(&succeed(siskin(["convert", "--dry-run", "--type", "q4_k_m"]).arg(&dir)).stdout);
    assert!(
        table.contains("blk.1.ffn_down.weight") && table.contains("bits per weight"),
        "{table}"
    );
    let json = succeed(siskin(["convert", "--dry-run", "--json", "--type", "q4_k_m"]).arg(&dir)).stdout;
    let plan: Json = serde_json::from_slice(&json).expect("JSON");
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = util::convert(&dir, out.path(), "q4_k_m");
    assert_eq!(
        plan["file_bytes"].as_u64(),
        Some(std::fs::metadata(file).expect("written").len())
    );
}

/// What `run --json` reports, with this on standard input.
fn reported(args: &[&str], input: &str) -> Json {
    let mut child = siskin(["run", "--json", "--temp", "0", "-n", "4"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut pipe = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut pipe, input.as_bytes()).expect("taken");
    drop(pipe);
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn prompts_come_from_words_flags_files_and_pipes() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-tied"), out.path(), "f32");
    let file = out.path().join("prompt.txt");
    std::fs::write(&file, "from a file\n\n").expect("written");
    let (model, file) = (model.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let cases: [(&[&str], &str, &str); 13] = [
        (&[], "", "Once upon a time"),
        (&[], "from a pipe\n", "from a pipe"),
        (&["-p", "typed"], "", "typed"),
        (&["-p", "- typed"], "", "- typed"),
        (&["-p", "a\\n"], "", "a\\n"),
        (&["-e", "-p", "a\\n"], "", "a\n"),
        (&[model, "two", "words"], "", "two words"),
        (&["two", "words", "-m", model], "", "two words"),
        (&["--model", model, "-p", "typed"], "", "typed"),
        (&[model, "Sum up:"], "one\ntwo\n", "Sum up:\n\none\ntwo"),
        (&[model, "-f", file], "", "from a file\n"),
        (&[model, "-f", "-"], "piped\n", "piped"),
        (&[model, "-p", "-"], "piped\n", "piped"),
    ];
    for (args, input, want) in cases {
        assert_eq!(reported(args, input)["prompt"], want, "{args:?}");
    }
}

#[test]
fn a_model_with_a_template_answers_and_raw_continues() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-rope-llama3"), out.path(), "f32");
    let model = model.to_str().expect("UTF-8");
    let prompts = |args: &[&str]| {
        let report = reported(&[&[model, "Why?"], args].concat(), "");
        report["stats"]["prompt_tokens"].as_u64().expect("a count")
    };
    let (answer, raw) = (prompts(&[]), prompts(&["--raw"]));
    assert!(
        answer > raw,
        "the template is around the question: {answer}, {raw}"
    );
    assert!(prompts(&["--system", "Be kind."]) > answer);
    let template = out.path().join("own.jinja");
    std::fs::write(&template, "{% for m in messages %}{{ m.content }}{% endfor %}").expect("written");
    assert_eq!(
        prompts(&["--chat-template-file", template.to_str().expect("UTF-8")]),
        raw
    );

    let mut chat = siskin(["chat", model, "-p", "Why?", "--json", "--temp", "0", "-n", "4"]);
    let chat: Json = serde_json::from_slice(&succeed(&mut chat).stdout).expect("JSON");
    let run = reported(&[model, "Why?"], "");
    assert_eq!((&chat["text"], &chat["user"]), (&run["text"], &run["prompt"]));

    let plain = util::convert(&util::checkpoint("llama-spm"), out.path(), "f32");
    let plain = plain.to_str().expect("UTF-8");
    let line = fail(&mut siskin(["run", plain, "Why?", "--system", "Be kind."]), 1);
    assert!(line.contains("no chat template"), "{line}");
    let line = fail(&mut siskin(["run", model]), 2);
    assert!(line.contains("the prompt is empty"), "{line}");
}

#[test]
fn every_type_loads_and_runs() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for name in ["llama-spm", "stablelm-qknorm", "gptneox-sequential", "llama-bias"] {
        for ty in [
            "f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0", "auto",
        ] {
            let model = util::convert(&util::checkpoint(name), out.path(), ty);
            let args = ["-p", "There was", "-n", "4", "--temp", "0", "--json"];
            let output = succeed(siskin(["run"]).arg(&model).args(args));
            let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(
                report["tokens"].as_array().expect("tokens").len(),
                4,
                "{name} {ty}"
            );
        }
    }
}

#[test]
fn an_existing_target_needs_force_and_stays_whole() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let target = out.path().join("model.gguf");
    std::fs::write(&target, "mine").expect("written");
    let convert = |args: &[&str]| {
        let mut command = siskin(["convert"]);
        command
            .arg(util::checkpoint("llama-tied"))
            .arg("-o")
            .arg(&target)
            .args(["--type", "f16", "-q"])
            .args(args);
        command
    };
    let line = fail(&mut convert(&[]), 1);
    assert!(
        line.contains("already exists") && line.contains("--force"),
        "{line}"
    );
    assert_eq!(std::fs::read(&target).expect("there"), b"mine");
    succeed(&mut convert(&["--force"]));
    assert!(std::fs::read(&target).expect("there").starts_with(b"GGUF"));
    assert_eq!(
        std::fs::read_dir(out.path()).expect("a folder").count(),
        1,
        "no left-overs"
    );
}

#[test]
fn what_cannot_be_done_is_reported_in_one_line() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let bad = out.path().join("bad.gguf");
    std::fs::write(&bad, "no model at all").expect("written");
    let broken = out.path().join("broken");
    copy(&util::checkpoint("llama-tied"), &broken);
    let weights = std::fs::read(broken.join("model.safetensors")).expect("weights");
    std::fs::write(broken.join("model.safetensors"), &weights[..weights.len() / 2]).expect("cut");
    let (bad, broken) = (bad.to_string_lossy(), broken.to_string_lossy());
    let here = out.path().to_string_lossy();
    let target = format!("{here}/out.gguf");
    let cases: [(&[&str], &str); 8] = [
        (
            &["run", "/no/such/model.gguf"],
            "/no/such/model.gguf: No such file",
        ),
        (&["run", &here], "not a regular file"),
        (&["run", &bad], "bad.gguf: "),
        (
            &[
                "run",
                "-c",
                "8",
                "-p",
                "a prompt that is a good deal longer than the context",
            ],
            "do not fit",
        ),
        (&["run", "-f", &here], "a folder, not a regular file; name a file"),
        (&["convert", "/no/such/folder", "-o", &target], "no such folder"),
        (&["convert", &here, "-o", &target], "no config.json"),
        (
            &["convert", &broken, "-o", &target],
            "the file is truncated or damaged; get it again",
        ),
    ];
    for (args, want) in cases {
        let line = fail(&mut siskin(args), 1);
        assert!(
            line.starts_with("siskin: ") && line.contains(want),
            "{args:?}: {line}"
        );
    }
    assert!(!Path::new(&target).exists());
}

#[test]
fn mistakes_on_the_command_line_exit_with_2() {
    let cases: [(&str, &str); 32] = [
        ("run --temp -1", "--temp: "),
        ("run --top-p 2", "--top-p: "),
        ("run -n -5", "-n (--n-predict): "),
        ("run --seed -2", "-s (--seed): "),
        ("run --repeat-last-n -2", "--repeat-last-n: "),
        ("chat --min-p -0.1", "--min-p: "),
        ("bench --fail-below 0.9", ""),
        ("imatrix m -f t -o o --chunks 0", "--chunks is 0; give at least 1"),
        ("imatrix m -f t -o o -c 8", "--ctx-size is 8; give at least 16"),
        ("run -t 0", "-t (--threads): \"0\": must be at least 1"),
        (
            "run --no-such-flag",
            "run has no --no-such-flag; siskin run --help lists the flags",
        ),
        ("run m --temprature 1", "did you mean --temp?"),
        ("run m -n abc", "-n (--n-predict): \"abc\": "),
        ("run m -t q8_0", "-t (--threads): \"q8_0\": "),
        ("run m --cache-type q9", "possible: f32, f16, q8_0, q4_0"),
        ("run m --flash-attn maybe", "possible: auto, on, off"),
        ("run m --seed", "-s (--seed) needs a value"),
        ("run m -p a -f b", "exclude each other"),
        ("run m --raw --system x", "exclude each other"),
        ("run m -ngl 99", "-ngl: siskin computes on the CPU"),
        ("run m -cnv", "siskin chat MODEL"),
        ("convert x -o y --type q3_k", "\"q3_k\" is not possible"),
        ("convert x -o -", "name a file"),
        ("quantize x", "TYPE is missing"),
        ("quantize x y q4", "did you mean q4_k_m or q4_k_s or q4_0"),
        ("fit", "MODEL is missing; siskin fit --help"),
        ("device x", "device has no place for \"x\""),
        ("fly", "there is no command fly; siskin --help lists them"),
        ("help fly", "there is no command fly; siskin --help lists them"),
        ("download llama3.2:1b", "siskin pull NAME gets a model"),
        ("-m a.gguf -p x", "the command comes first"),
        ("a.gguf", "siskin run a.gguf"),
    ];
    for (line, want) in cases {
        let error = fail(&mut siskin(line.split(' ')), 2);
        assert!(
            error.starts_with("siskin: ") && error.contains(want),
            "{line}: {error}"
        );
    }
}

#[test]
fn what_is_no_model_is_answered_with_how_to_get_one() {
    let cases = [
        ("llama3.1:8b", "siskin pull NAME gets a model"),
        ("org/name", "siskin pull NAME gets a model"),
        ("no-such-model", "give the path of a GGUF file"),
        (
            "What is this?",
            "the first word after the command is the model's file",
        ),
    ];
    for (model, want) in cases {
        let error = fail(&mut siskin(["run", model]), 1);
        assert!(error.contains(want), "{model}: {error}");
    }
    let error = fail(siskin(["run"]).arg(util::checkpoint("llama-spm")), 1);
    assert!(error.contains("siskin convert DIR"), "{error}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from)
        .expect("a folder")
        .flatten()
        .filter(|e| e.path().is_file())
    {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}
