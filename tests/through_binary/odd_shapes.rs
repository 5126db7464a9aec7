//! Whatever `convert` and `quantize` write, `run` runs: odd configurations with the tensors that they ask for.

use std::path::Path;

use serde_json::{Value, json};
use siskin_model::arch::{Arch, Transform};
use siskin_model::config::Config;

use crate::util::siskin;

/// Writes a checkpoint of fixture `base` whose configuration has these changes, and the tensors that it asks for.
/// Returns false if the configuration itself is refused.
fn checkpoint(base: &str, changes: &Value, dir: &Path) -> bool {
    let fixture = siskin_testing::checkpoint(base);
    for entry in std::fs::read_dir(&fixture).expect("a folder").flatten() {
        let name = entry.file_name();
        if entry.path().is_file() && name != "model.safetensors" {
            std::fs::copy(entry.path(), dir.join(name)).expect("copied");
        }
    }
    let text = std::fs::read_to_string(fixture.join("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let object = config.as_object_mut().expect("an object");
    object.extend(changes.as_object().expect("an object").clone());
    let text = config.to_string();
    std::fs::write(dir.join("config.json"), &text).expect("written");
    let config = Config::from_json(text.as_bytes()).expect("a configuration");
    let Ok(rules) = Arch::from_config(&config).and_then(|arch| arch.rules(&config)) else {
        return false;
    };
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for rule in rules.iter().filter(|rule| !rule.optional) {
        let shape: Vec<u64> = match rule.transform {
            Transform::Stack => vec![rule.shape[0]],
            _ => rule.shape.iter().rev().copied().collect(),
        };
        for name in &rule.sources {
            let weights = shape.iter().product::<u64>();
            let start = data.len();
            data.extend((0..weights).flat_map(|n| (((n % 7) as f32 - 3.0) / 50.0).to_le_bytes()));
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
            header.insert(name.clone(), entry);
        }
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    std::fs::write(dir.join("model.safetensors"), file).expect("written");
    true
}

/// The exit code, and the text on stderr.
fn outcome(args: &[&str]) -> (Option<i32>, String) {
    let output = siskin(args).output().expect("started");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn what_is_converted_runs() {
    // Fixture, changes of its configuration, whether it converts.
    let cases: [(&str, Value, bool); 20] = [
        (
            "llama-spm",
            json!({"hidden_size": 8, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": null, "intermediate_size": 8}),
            true,
        ),
        (
            "llama-spm",
            json!({"hidden_size": 2, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 2, "intermediate_size": 1}),
            true,
        ),
        (
            "llama-spm",
            json!({"hidden_size": 30, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 6, "intermediate_size": 7}),
            true,
        ),
        ("llama-spm", json!({"head_dim": 3}), false),
        ("llama-spm", json!({"head_dim": 1}), false),
        ("llama-spm", json!({"num_hidden_layers": 1}), true),
        ("llama-spm", json!({"num_hidden_layers": 0}), false),
        ("llama-spm", json!({"vocab_size": 100}), false),
        ("llama-spm", json!({"vocab_size": 700}), true),
        ("llama-spm", json!({"max_position_embeddings": 1}), true),
        ("llama-spm", json!({"max_position_embeddings": 16777216}), true),
        ("llama-spm", json!({"max_position_embeddings": 16777217}), false),
        ("llama-spm", json!({"rms_norm_eps": 0}), true),
        ("llama-spm", json!({"rms_norm_eps": 1e-60}), true),
        ("llama-spm", json!({"rms_norm_eps": -1.0}), false),
        (
            "llama-spm",
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 0.1}}),
            false,
        ),
        ("stablelm-bpe", json!({"tie_word_embeddings": true}), true),
        ("stablelm-bpe", json!({"partial_rotary_factor": 0.01}), false),
        ("gptneox-bpe", json!({"tie_word_embeddings": true}), true),
        ("gptneox-bpe", json!({"rotary_pct": 0.3}), false),
    ];
    for (base, changes, converts) in cases {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let known = checkpoint(base, &changes, dir.path());
        let (folder, out) = (dir.path().to_str().expect("text"), dir.path().join("out.gguf"));
        let out = out.to_str().expect("text");
        for ty in ["f32", "q4_k_m"] {
            let (code, text) = outcome(&["convert", folder, "-o", out, "--type", ty, "-q", "--force"]);
            assert_eq!(code, Some(i32::from(!converts)), "{base} {changes} {ty}: {text}");
            assert!(known || !converts, "{base} {changes}: {text}");
            if converts {
                let (code, text) = outcome(&["run", out, "-p", "a b", "-n", "2", "-c", "64", "-t", "1"]);
                assert_eq!(code, Some(0), "{base} {changes} {ty} runs: {text}");
            } else {
                assert!(
                    !Path::new(out).exists() && text.lines().count() == 1,
                    "{base} {changes}: {text}"
                );
            }
        }
    }
}

/// What is read twice is passed over twice, and the whole way works from the cache's folder.
#[test]
fn a_model_of_the_hub_cache_converts_without_its_generation_config() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let model = dir.path().join("models--acme--tiny");
    let snapshot = model.join("snapshots").join("a".repeat(40));
    std::fs::create_dir_all(&snapshot).expect("made");
    assert!(checkpoint("llama-spm", &json!({}), &snapshot));
    std::fs::write(snapshot.join("generation_config.json"), "").expect("written");
    let out = dir.path().join("out.gguf");
    let (model, out) = (model.to_str().expect("text"), out.to_str().expect("text"));
    let (code, text) = outcome(&["convert", model, "-o", out, "--type", "f16"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("generation_config.json: not JSON but an empty file"),
        "{text}"
    );
    let (code, text) = outcome(&["fit", model]);
    assert_eq!(code, Some(0), "{text}");
    let inspected = siskin(["inspect", out]).output().expect("started");
    assert!(String::from_utf8_lossy(&inspected.stdout).contains("tiny"));
}

#[test]
fn unknown_settings_are_named_and_quiet_keeps_still() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert!(checkpoint(
        "llama-spm",
        &json!({"shiny_new_gate": true}),
        dir.path()
    ));
    let folder = dir.path().to_str().expect("text");
    let (code, text) = outcome(&["convert", folder, "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    let want = "siskin: warning: config.json has settings that siskin does not know: shiny_new_gate;";
    assert!(text.starts_with(want), "{text}");
    let (_, text) = outcome(&["convert", folder, "--dry-run", "-q"]);
    assert_eq!(text, "");
}
