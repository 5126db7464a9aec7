//! What cannot be pulled: one line that says why and what to do, and nothing left.

use siskin_testing::hub::{File, Gate, Hub};

use super::{Site, TOKEN, converted, files_of, names, put, read, said, silent, upload};
use crate::util::{self, fail};

/// A hub with repositories that each lack something.
fn odd(hub: &Hub) {
    let small = |name: &str, text: &str| (name.to_owned(), File::small(text));
    let weights = |name: &str| (name.to_owned(), File::large(vec![0; 100_000]));
    upload(hub, "org/good", "llama-tied");
    put(
        hub,
        "org/good",
        "step1",
        &files_of(&util::checkpoint("llama-tied")),
    );
    put(hub, "org/good", "empty", &[small("README.md", "soon")]);
    put(
        hub,
        "org/none",
        "main",
        &[small("config.json", "{}"), small("README.md", "x")],
    );
    put(
        hub,
        "org/adapter",
        "main",
        &[weights("adapter_model.safetensors")],
    );
    put(hub, "org/onnx", "main", &[weights("model.onnx")]);
    let mamba = r#"{"architectures":["MambaForCausalLM"],"model_type":"mamba"}"#;
    put(
        hub,
        "org/mamba",
        "main",
        &[small("config.json", mamba), weights("model.safetensors")],
    );
    let half: Vec<(String, File)> = files_of(&util::checkpoint("llama-sharded"))
        .into_iter()
        .filter(|(name, _)| !name.contains("00002"))
        .collect();
    put(hub, "org/half", "main", &half);
    let mut damaged = files_of(&util::checkpoint("llama-tied"));
    damaged.retain(|(name, _)| name != "model.safetensors");
    damaged.push(weights("model.safetensors"));
    put(hub, "org/zeros", "main", &damaged);
    let mut evil = files_of(&util::checkpoint("llama-tied"));
    evil.retain(|(name, _)| name != "model.safetensors");
    evil.push((
        "pytorch_model.bin".into(),
        File::large(b"cos\nsystem\n(S'id'\ntR.".to_vec()),
    ));
    put(hub, "org/evil", "main", &evil);
    upload(hub, "org/gated", "llama-tied");
    hub.gate("org/gated", Gate::Token(TOKEN.into()));
}

#[test]
fn each_reason_not_to_pull_is_one_line() {
    let site = Site::new();
    odd(&site.hub);
    let cases = [
        (
            "org/unknown",
            1,
            "there is no repository org/unknown, or it is private",
        ),
        (
            "org/good@nowhere",
            1,
            "org/good has no revision nowhere; it has empty, main, step1",
        ),
        (
            "org/good@empty",
            1,
            "revision empty: no weights in this repository: ",
        ),
        ("org/good --type q9_9", 1, "q9_9: siskin converts to no such type"),
        ("org/good:q9_9", 1, "q9_9: siskin converts to no such type"),
        (
            "org/good/config.json",
            1,
            "config.json: the repository has no such GGUF file",
        ),
        (
            "org/none",
            1,
            "no weights in this repository: neither model.safetensors, ",
        ),
        ("org/adapter", 1, "it is an adapter; take its base model"),
        ("org/onnx", 1, "it has only weights for ONNX"),
        ("org/half", 1, "the repository lacks shard 2 of 3"),
        ("org/mamba", 1, "MambaForCausalLM"),
        ("org/zeros", 1, "model.safetensors"),
        ("org/evil", 1, "pytorch_model.bin"),
        ("org/gated", 1, "org/gated needs a token: "),
        (
            "nobody",
            1,
            "nobody: no model has this short name; there is llama-3.2-1b, tinyllama, ",
        ),
        ("org/a/../b", 1, "org/a/../b"),
        ("-x/y", 2, "-x"),
        ("ftp://x/y", 1, "ftp://x/y"),
        ("org/good --steps 3", 2, "--steps 3: there are 0, 1, 2, 4 … 512"),
        ("org/good --steps x", 2, "--steps"),
        (
            "org/good@step1 --steps 1",
            2,
            "--steps: the name has a revision already",
        ),
        (
            "ollama:x:y --steps 1",
            2,
            "--steps: only repositories of Hugging Face",
        ),
        ("org/good --steps 1 -o x.gguf", 2, "exclude each other"),
        ("org/good --threads 0", 2, "--threads"),
        ("org/good --imatrix /nonexistent/x", 1, "/nonexistent/x"),
        ("org/good -o /proc/no/x.gguf", 1, "/proc/no"),
    ];
    for (line, code, want) in cases {
        site.hub.take_log();
        let said = fail(&mut site.pull(line), code);
        assert!(
            said.starts_with("siskin: ") && said.contains(want),
            "{line}: {said}"
        );
        assert_eq!((site.shown(), site.unfinished()), (vec![], vec![]), "{line}");
        let log = site.hub.take_log();
        let weights = log.iter().filter(|request| request.path.contains("/cdn/"));
        let weights: u64 = weights.map(|request| request.sent).sum();
        let reads_header = ["org/zeros", "org/evil", "org/good -o /proc/no/x.gguf"];
        assert!(
            weights == 0 || reads_header.contains(&line),
            "{line}: {weights} bytes of weights"
        );
        // Except for what the user must do, nothing is asked twice.
        assert!(log.len() <= 20, "{line}: {} requests", log.len());
    }
}

#[test]
fn a_gated_repository_needs_the_right_token_which_may_be_in_a_file() {
    let site = Site::new();
    odd(&site.hub);
    let line = fail(site.pull("org/gated").env("HF_TOKEN", "hf_other"), 1);
    assert!(
        line.contains("org/gated is gated, and the account of this token may not download it"),
        "{line}"
    );
    assert!(!line.contains("hf_other"), "{line}");
    silent(site.pull("org/gated --type q8_0").env("HF_TOKEN", TOKEN));
    std::fs::create_dir_all(site.path("hf")).expect("a folder");
    std::fs::write(site.path("hf/token"), format!("{TOKEN}\n")).expect("written");
    silent(&mut site.pull("org/gated --type f16"));
    assert_eq!(site.shown(), ["gated-f16.gguf", "gated-q8_0.gguf"]);
    let record = String::from_utf8(read(&site.path("models/.siskin/gated-f16.json"))).expect("text");
    assert!(!record.contains(TOKEN), "{record}");
}

#[test]
fn without_the_network_what_is_here_is_enough() {
    let site = Site::new();
    upload(&site.hub, "org/good", "llama-tied");
    let offline = |line: &str| {
        let mut pull = site.siskin(["pull"].into_iter().chain(line.split(' ')));
        pull.env("HF_HUB_OFFLINE", "1");
        pull
    };
    let line = fail(&mut offline("org/good --type q8_0"), 1);
    assert!(
        line.contains("org/good") && line.contains("HF_HUB_OFFLINE forbids the network"),
        "{line}"
    );
    assert_eq!(site.asked(), [""; 0]);
    silent(&mut site.pull("org/good --type q8_0"));
    site.hub.take_log();
    let line = said(&mut offline("org/good --type q8_0"));
    assert_eq!(line, "siskin: offline; good-q8_0 is here\n");
    let mut run = site.line("run hf:org/good --raw -n 4 --temp 0 -p hello");
    util::succeed(run.env("HF_HUB_OFFLINE", "1"));
    fail(&mut offline("org/good --type f16"), 1);
    assert_eq!(site.asked(), [""; 0]);
}

#[test]
fn a_file_that_is_there_is_not_replaced() {
    let site = Site::new();
    upload(&site.hub, "org/good", "llama-tied");
    upload(&site.hub, "other/good", "llama-bias");
    let own = site.path("own.gguf");
    std::fs::write(&own, "mine").expect("written");
    let pull = || {
        let mut pull = site.pull("org/good --type q8_0 -o");
        pull.arg(&own);
        pull
    };
    let line = fail(&mut pull(), 1);
    assert!(
        line.contains("own.gguf") && line.contains("--force overwrites it"),
        "{line}"
    );
    assert_eq!(read(&own), b"mine");
    let sent: u64 = site.hub.take_log().iter().map(|request| request.sent).sum();
    assert!(sent < 400_000, "{sent}");
    silent(pull().arg("--force"));

    // A model of another repository that has the same name.
    silent(&mut site.pull("org/good --type q8_0"));
    let before = read(&site.model("good-q8_0"));
    assert!(read(&own) == before);
    let line = fail(&mut site.pull("other/good --type q8_0"), 1);
    assert!(
        line.contains("good-q8_0 is here already, from hf:org/good;") && line.contains("--force"),
        "{line}"
    );
    assert!(read(&site.model("good-q8_0")) == before);
    silent(&mut site.pull("other/good --type q8_0 --force"));
    assert!(read(&site.model("good-q8_0")) != before);

    // One that was put there by hand.
    std::fs::write(site.model("good-f16"), "mine").expect("written");
    let line = fail(&mut site.pull("org/good --type f16"), 1);
    assert!(
        line.contains("good-f16 is here already, it is not known where from;"),
        "{line}"
    );
    assert_eq!(read(&site.model("good-f16")), b"mine");
}

#[test]
fn a_disk_that_is_full_is_one_line_and_the_next_pull_works() {
    for (line, name) in [("org/good --type f16", "good-f16"), ("maker/x:F16", "good-F16")] {
        let site = Site::new();
        upload(&site.hub, "org/good", "llama-tied");
        let model = converted("llama-tied", "f16");
        put(
            &site.hub,
            "maker/x",
            "main",
            &[("good-F16.gguf".into(), File::large(model))],
        );
        let plain = site.pull(line);
        let mut limited = std::process::Command::new("sh");
        limited.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
        limited
            .args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""])
            .arg(plain.get_program())
            .args(plain.get_args());
        let mut limited = site.dressed(limited);
        limited.envs([
            ("XDG_STATE_HOME", "/nonexistent"),
            ("XDG_CONFIG_HOME", "/nonexistent"),
        ]);
        let said = fail(&mut limited, 1);
        assert!(said.contains(name), "{said}");
        assert_eq!(site.shown(), [""; 0], "{line}");
        silent(&mut site.pull(line));
        assert_eq!(site.shown(), [format!("{name}.gguf")]);
        assert_eq!(site.unfinished(), [""; 0]);
    }
}

#[test]
fn variables_with_wrong_values_are_named() {
    let site = Site::new();
    upload(&site.hub, "org/good", "llama-tied");
    let cases = [
        (
            "HF_ENDPOINT",
            "nowhere",
            "HF_ENDPOINT: the value is not an address",
        ),
        ("HF_TOKEN", "two words", "HF_TOKEN: the value is not a token"),
        (
            "HF_HUB_DOWNLOAD_TIMEOUT",
            "soon",
            "HF_HUB_DOWNLOAD_TIMEOUT: the value is not a number of seconds",
        ),
        ("HTTP_PROXY", "::not a proxy::", "the address of a proxy"),
        ("SISKIN_MODELS", "/proc/no/models", "/proc/no/models"),
    ];
    for (variable, value, want) in cases {
        let line = fail(site.pull("org/good --type q8_0").env(variable, value), 1);
        assert!(line.contains(want), "{variable}: {line}");
    }
    assert_eq!(names(&site.path("models")), [""; 0]);
}
