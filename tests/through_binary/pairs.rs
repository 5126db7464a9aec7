//! `fit --draft`: a model and another that guesses for it.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use siskin::device::probe::Root;
use siskin::device::settings::Overrides;
use siskin::device::tuned::{self, PassCost, Tuned};
use siskin::model::gguf::ModelFile;
use siskin::model::shape::Shape;
use siskin::{Device, speculate::pair};

use crate::util::{checkpoint, convert, fail, siskin, succeed};

/// TinyLlama's sizes and Llama-2-7B's, as configurations without a tokenizer.
const SMALL: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":5632,
    "num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":32000,
    "max_position_embeddings":2048,"tie_word_embeddings":false}"#;
const LARGE: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":4096,"intermediate_size":11008,
    "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":32,"vocab_size":32000,
    "max_position_embeddings":4096,"tie_word_embeddings":false}"#;

fn fit(target: &Path, draft: &Path, more: &[&str]) -> Command {
    let mut command = siskin(["fit"]);
    command.arg(target).arg("--draft").arg(draft).args(more);
    command
}

fn text(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).expect("text")
}

fn json(command: &mut Command, code: i32) -> Json {
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(code), "{command:?}");
    assert!(output.stderr.is_empty(), "{command:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn models_of_one_vocabulary_are_planned_together() {
    let (target, draft) = (checkpoint("llama-f32"), checkpoint("llama-tied"));
    let shown = text(&mut fit(&target, &draft, &[]));
    for want in [
        "fits with its draft on this machine",
        "same tokens           512  tokens mean the same; the draft has 2 more\n",
        "draft weights ",
        "draft KV cache ",
        "assumed; siskin tune measures it\n",
        "accepted              0.4    0.5    0.6    0.7    0.8    0.9\n",
        "computed, not measured: ",
    ] {
        assert!(shown.contains(want), "{want}: {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");

    let (pair, alone) = (
        json(&mut fit(&target, &draft, &["--json"]), 0),
        json(siskin(["fit", "--json"]).arg(&target), 0),
    );
    assert_eq!(alone.get("draft"), None);
    let total = |report: &Json| report["plan"]["total_bytes"].as_u64().expect("a number");
    assert!(total(&pair) > total(&alone));
    let found = &pair["draft"];
    assert_eq!(
        found["vocabulary"],
        serde_json::json!({"common": 512, "only_target": 0, "only_draft": 2})
    );
    assert_eq!(found["pass_times_measured"], false);
    assert_eq!(found["guess_cost_measured"], false);
    let rows = found["computed"].as_array().expect("rows");
    let gains = rows.iter().map(|row| row["speed_up"].as_f64().expect("a number"));
    assert!(rows.len() == 6 && gains.is_sorted(), "{rows:?}");
}

/// The same of files, and a file with a folder.
#[test]
fn another_vocabulary_is_a_mistake_and_its_first_token_is_named() {
    let out = tempfile::tempdir().expect("a folder");
    let file = |name: &str| convert(&checkpoint(name), out.path(), "q8_0");
    let (target, same, other) = (file("llama-spm"), file("llama-bias"), file("stablelm-bpe"));
    for draft in [&same, &checkpoint("llama-tied")] {
        assert!(text(&mut fit(&target, draft, &[])).contains("same tokens           512  "));
    }
    let want = "token 0 is \"<unk>\", a control token, in the target and \"!\", text, in the draft; 512 of 512 tokens \
                differ";
    let line = fail(&mut fit(&target, &other, &[]), 2);
    assert!(
        line.contains(want) && line.starts_with("siskin: --draft ") && line.contains("stablelm-bpe"),
        "{line}"
    );
    let report = json(&mut fit(&target, &other, &["--json"]), 2);
    assert_eq!(report["draft"]["vocabulary_refusal"], want);
    assert_eq!(report["draft"]["vocabulary"], Json::Null);
    let missing = fail(&mut fit(&target, Path::new("/nonexistent.gguf"), &[]), 1);
    assert!(missing.contains("/nonexistent.gguf: no such file"), "{missing}");
}

#[test]
fn a_draft_that_does_not_fit_is_told_from_a_model_that_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (large, small) = (config("large.json", LARGE), config("small.json", SMALL));
    let cases = [
        ("4500MiB", "the model fits, but not with the draft: this needs "),
        (
            "3GiB",
            "the model does not fit, with the draft or without it: this needs ",
        ),
    ];
    for (ram, want) in cases {
        let line = fail(&mut fit(&large, &small, &["--ram", ram]), 1);
        assert!(line.contains(want), "{ram}: {line}");
        let report = json(&mut fit(&large, &small, &["--ram", ram, "--json"]), 1);
        assert_eq!(report["fits"], false);
    }
    let shown = text(&mut fit(&large, &small, &["--ram", "16GiB"]));
    for want in [
        "same tokens             ?  not compared: a tokenizer is missing",
        "draft limit          2048  tokens, its training length: ",
        "a guess takes        0.16  of a token's time",
    ] {
        assert!(shown.contains(want), "{want}: {shown}");
    }
    // The other way around, a guess takes longer than a token.
    let shown = text(&mut fit(&small, &large, &["--ram", "16GiB"]));
    assert!(shown.contains("break-even           none  "), "{shown}");
}

#[test]
fn what_was_measured_here_counts_here() {
    let out = tempfile::tempdir().expect("a folder");
    let file = |name: &str| convert(&checkpoint(name), out.path(), "q8_0");
    let (target, draft) = (file("llama-spm"), file("llama-bias"));
    let machine = Device::probe_under(&Root::system()).machine;
    let save = |model: &Path, rate: f64| {
        let shape = Shape::from_header(&ModelFile::open(model).expect("a model").header).expect("a model");
        let pass_costs = (1..=8).map(|tokens| PassCost {
            depth: 0,
            tokens,
            relative_time: 1.0 + 0.1 * f64::from(tokens - 1),
        });
        let found = Tuned {
            settings: Overrides::default(),
            prefill_tokens_per_second: 100.0,
            decode_tokens_per_second: rate,
            measured_at: 0,
            pass_costs: pass_costs.collect(),
        };
        let store = out.path().join("siskin/tuned.json");
        std::fs::create_dir_all(store.parent().expect("a folder")).expect("made");
        tuned::save(&store, &tuned::key(&machine, &shape), &found).expect("saved");
    };
    let report = |more: &[&str]| {
        let mut command = fit(&target, &draft, more);
        json(command.env("XDG_STATE_HOME", out.path()).arg("--json"), 0)
    };
    save(&target, 10.0);
    let found = &report(&[])["draft"];
    assert_eq!(
        (&found["pass_times_measured"], &found["guess_cost_measured"]),
        (&true.into(), &false.into())
    );
    let last = found["pass_times"][7].as_f64().expect("a number");
    assert!((last - 1.7).abs() < 1e-9, "{last}");
    save(&draft, 40.0);
    let found = &report(&[])["draft"];
    assert_eq!(
        (&found["guess_cost_measured"], &found["guess_cost"]),
        (&true.into(), &0.25.into())
    );
    let time = |tokens: u32| 1.0 + 0.1 * f64::from(tokens - 1);
    let (guesses, gain) = pair::best(0.7, pair::MOST_GUESSES, time, 0.25);
    let row = &found["computed"][3];
    assert_eq!(
        (&row["acceptance"], &row["guesses"]),
        (&0.7.into(), &guesses.into())
    );
    assert!((row["speed_up"].as_f64().expect("a number") - gain).abs() < 1e-9);
    // On another device nothing is measured.
    let found = &report(&["--device", "raspberry-pi-5"])["draft"];
    assert_eq!(found["pass_times_measured"], false);
}
