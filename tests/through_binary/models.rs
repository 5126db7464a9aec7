//! `siskin models`: the catalogue for this device.

use serde_json::Value as Json;

use crate::util::{fail, siskin, succeed};

const NAMES: [&str; 4] = ["Llama-3.2-1B", "TinyLlama-1.1B", "StableLM-2-1.6B", "Pythia-1B"];

#[test]
fn the_four_models_stand_side_by_side_with_a_choice() {
    for width in [100, 80, 40] {
        let output = succeed(siskin(["models"]).env("COLUMNS", width.to_string()));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(NAMES.iter().all(|name| text.matches(name).count() >= 2), "{text}");
        assert!(
            text.contains("Best choice: ") && text.contains("unmeasured"),
            "{text}"
        );
        assert!(
            text.contains("siskin pull ") && text.contains("research"),
            "{text}"
        );
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn json_says_of_each_figure_how_it_is_known() {
    let output = succeed(&mut siskin(["models", "--types", "q4_k_m", "-o", "json"]));
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["models"].as_array().map(Vec::len), Some(4));
    let tiny = &json["models"][1];
    assert_eq!(tiny["name"], "TinyLlama-1.1B");
    // As `siskin convert --dry-run --type q4_k_m` computes it for the published tokenizer and full-size
    // weights.
    let file_bytes = tiny["file_bytes"].as_u64().expect("a size");
    assert!(file_bytes.abs_diff(667_815_200) < 16 << 10, "{file_bytes}");
    let prefill = tiny["prefill_tokens_per_second"].as_object().expect("an object");
    assert!(prefill.contains_key("unmeasured"), "{prefill:?}");
    assert_eq!(tiny["purpose"], "chat");
    assert!(
        tiny["decode_tokens_per_second"]["computed"]
            .as_f64()
            .expect("computed")
            > 0.0
    );
    assert!(tiny["peak_rss_bytes"]["computed"].as_f64().expect("computed") > 667e6);
    assert!(json["device"]["read_bytes_per_second"].as_f64().expect("read") > 1e8);
}

#[test]
fn results_of_another_machine_are_refused() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let path = out.path().join("results.json");
    let bench = ["bench", "-p", "4", "-n", "0", "-r", "1", "-t", "1", "-o", "json"];
    let mut results: Json = serde_json::from_slice(&succeed(&mut siskin(bench)).stdout).expect("JSON");
    std::fs::write(&path, results.to_string()).expect("written");
    let path = path.display().to_string();
    succeed(&mut siskin(["models", "--results", &path]));
    results["machine"]["cpus"] = 64.into();
    std::fs::write(&path, results.to_string()).expect("written");
    let line = fail(&mut siskin(["models", "--results", &path]), 1);
    assert!(
        line.contains("measured on another machine") && line.contains("64 CPUs"),
        "{line}"
    );
    let line = fail(
        &mut siskin(["models", "--types", "q4_k_m", "--results", "/no/such/file"]),
        1,
    );
    assert!(line.contains("/no/such/file"), "{line}");
}
