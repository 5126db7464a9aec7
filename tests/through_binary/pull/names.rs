//! Names that people type: what is pulled is found again, used, listed and removed.

use super::{Site, converted, files_of, json, printed, put, read, said, silent, upload};
use crate::util::{self, fail};

const TINYLLAMA: &str = "TinyLlama/TinyLlama-1.1B-Chat-v1.0";
const FILE: &str = "TinyLlama-1.1B-Chat-v1.0-q4_k_m";

#[test]
fn a_short_name_is_pulled_used_listed_and_removed() {
    let site = Site::new();
    let commit = upload(&site.hub, TINYLLAMA, "llama-spm");
    let empty = said(&mut site.line("list"));
    assert!(
        empty.contains("no models in ") && empty.ends_with("siskin pull tinyllama gets one\n"),
        "{empty}"
    );
    let summary = said(&mut site.line("pull tinyllama"));
    assert!(
        summary.contains(", verified, ") && summary.contains(&format!("{FILE}.gguf")),
        "{summary}"
    );
    site.hub.take_log();

    for name in [
        "tinyllama",
        "TINYLLAMA",
        "tinyllama-1.1b",
        FILE,
        "TinyLlama-1.1B-Chat-v1.0",
    ] {
        let path = printed(&mut site.line(&format!("path {name}")));
        assert_eq!(path, format!("{}\n", site.model(FILE).display()), "{name}");
    }
    let text = |name: &str| {
        let mut run = site.line(&format!("run {name} --raw -n 8 --temp 0 -p hello"));
        printed(&mut run)
    };
    let by_path = text(&site.model(FILE).display().to_string());
    assert!(!by_path.is_empty());
    assert_eq!(text("tinyllama"), by_path);
    assert_eq!(text(FILE), by_path);
    assert_eq!(text(&format!("hf:{TINYLLAMA}")), by_path);
    assert_eq!(site.asked(), [""; 0], "what is here needs no network");

    let table = printed(&mut site.line("list"));
    for cell in [FILE, "q4_k_m", "just now", &format!("hf:{TINYLLAMA}")] {
        assert!(table.contains(cell), "{cell}: {table}");
    }
    let list = json(&mut site.line("list --json"));
    assert_eq!(list["folder"], site.path("models").display().to_string());
    let model = &list["models"][0];
    assert_eq!(model["name"], FILE);
    assert_eq!(model["file_type"], "q4_k_m");
    assert_eq!(model["bytes"], read(&site.model(FILE)).len());
    assert_eq!(model["files"][0], site.model(FILE).display().to_string());
    assert_eq!(model["origin"]["commit"], commit);
    assert!(
        model["used_at"].is_u64() && model["verified_at"].is_u64(),
        "{model}"
    );

    let removed = said(&mut site.line("rm tinyllama"));
    assert!(
        removed.starts_with(&format!("siskin: {FILE} is removed, ")),
        "{removed}"
    );
    assert_eq!(site.shown(), [""; 0]);
    assert_eq!(
        json(&mut site.line("list --json"))["models"],
        serde_json::json!([])
    );
    for command in ["path", "rm"] {
        let line = fail(&mut site.line(&format!("{command} tinyllama")), 1);
        assert!(
            line.contains("tinyllama: no such model in ") && line.ends_with("it is empty\n"),
            "{line}"
        );
    }
}

#[test]
fn what_a_command_names_is_pulled_once() {
    let site = Site::new();
    upload(&site.hub, "org/llama-spm", "llama-spm");
    let run = || {
        let mut run = site.line("run hf:org/llama-spm --raw -n 4 --temp 0 -p hello");
        util::succeed(&mut run)
    };
    let first = run();
    assert!(!site.asked().is_empty());
    let second = run();
    assert_eq!(site.asked(), [""; 0]);
    assert!(!first.stdout.is_empty() && first.stdout == second.stdout);
    assert!(read(&site.model("llama-spm-q4_k_m")) == converted("llama-spm", "q4_k_m"));
    assert_eq!(site.shown(), ["llama-spm-q4_k_m.gguf"]);
    // Of several types it is the one that was pulled without a type.
    silent(&mut site.pull("org/llama-spm --type f16"));
    std::fs::write(site.model("llama-spm-f16"), "damaged").expect("written");
    assert_eq!(run().stdout, first.stdout);
}

#[test]
fn a_second_pull_asks_only_whether_the_branch_has_moved() {
    let site = Site::new();
    upload(&site.hub, "org/llama-tied", "llama-tied");
    silent(&mut site.pull("org/llama-tied"));
    site.hub.take_log();
    let line = said(&mut site.line("pull org/llama-tied"));
    let path = site.model("llama-tied-q4_k_m");
    assert_eq!(
        line,
        format!("siskin: {} is here and up to date\n", path.display())
    );
    assert_eq!(site.asked(), ["/api/models/org/llama-tied/revision/main"]);

    let next = put(
        &site.hub,
        "org/llama-tied",
        "main",
        &files_of(&util::checkpoint("llama-bias")),
    );
    let report = json(&mut site.line("pull org/llama-tied --json"));
    assert_eq!(
        (&report["is_new"], &report["origin"]["commit"]),
        (&true.into(), &next.into())
    );
    assert_eq!(site.shown(), ["llama-tied-q4_k_m.gguf"]);
    let same = site.path("same.gguf");
    let mut convert = site.line("convert --name llama-tied --type q4_k_m --quiet");
    util::succeed(convert.arg(util::checkpoint("llama-bias")).arg("-o").arg(&same));
    assert!(read(&path) == read(&same));
}

#[test]
fn a_file_that_is_gone_is_pulled_again() {
    let site = Site::new();
    upload(&site.hub, "org/llama-tied", "llama-tied");
    silent(&mut site.pull("org/llama-tied --type q8_0"));
    std::fs::remove_file(site.model("llama-tied-q8_0")).expect("removed");
    silent(&mut site.pull("org/llama-tied --type q8_0"));
    assert!(read(&site.model("llama-tied-q8_0")) == converted("llama-tied", "q8_0"));
}

#[test]
fn types_and_revisions_are_models_of_their_own() {
    let site = Site::new();
    upload(&site.hub, "org/llama-tied", "llama-tied");
    put(
        &site.hub,
        "org/llama-tied",
        "step1",
        &files_of(&util::checkpoint("llama-bias")),
    );
    for line in [
        "org/llama-tied --type q8_0",
        "org/llama-tied:f16",
        "org/llama-tied@step1 --type q8_0",
        "https://huggingface.co/org/llama-tied/tree/step1 --type f16",
    ] {
        silent(&mut site.pull(line));
    }
    let want = [
        "llama-tied-f16.gguf",
        "llama-tied-q8_0.gguf",
        "llama-tied-step1-f16.gguf",
        "llama-tied-step1-q8_0.gguf",
    ];
    assert_eq!(site.shown(), want);
    site.hub.take_log();
    for (name, want) in [
        ("llama-tied-q8_0", "llama-tied-q8_0"),
        ("llama-tied-step1", ""),
        ("llama-tied", ""),
    ] {
        let mut path = site.line(&format!("path {name}"));
        if want.is_empty() {
            let line = fail(&mut path, 1);
            assert!(line.contains("2 models have this name: "), "{line}");
        } else {
            assert_eq!(printed(&mut path), format!("{}\n", site.model(want).display()));
        }
    }
    // Removing one leaves the others; nothing is removed if one of the names is wrong.
    let line = fail(&mut site.line("rm llama-tied-f16 llama-tied-q3"), 1);
    assert!(line.contains("llama-tied-q3: no such model"), "{line}");
    util::succeed(&mut site.line("rm llama-tied-f16 llama-tied-step1-f16"));
    assert_eq!(
        site.shown(),
        ["llama-tied-q8_0.gguf", "llama-tied-step1-q8_0.gguf"]
    );
}

#[test]
fn training_steps_are_a_row_of_files() {
    let site = Site::new();
    for step in ["step0", "step512"] {
        put(
            &site.hub,
            "EleutherAI/pythia-1b",
            step,
            &files_of(&util::checkpoint("gptneox-bpe")),
        );
    }
    silent(&mut site.pull("pythia --steps 0,512 --type q8_0"));
    assert_eq!(
        site.shown(),
        ["pythia-1b-step0-q8_0.gguf", "pythia-1b-step512-q8_0.gguf"]
    );
    let line = fail(&mut site.pull("pythia --steps 1000 --type q8_0"), 1);
    assert!(
        line.contains("no revision step1000; it has step0, step512"),
        "{line}"
    );
}
