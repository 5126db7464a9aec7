//! `siskin bench` of passes: n tokens that are computed together, and what they cost relative to one.

use serde_json::Value as Json;

use crate::util::{checkpoint, convert, fail, siskin, succeed};

const ONLY_PASSES: [&str; 9] = ["bench", "-p", "0", "-n", "0", "-r", "3", "-t", "1"];

fn bench(args: &[&str]) -> std::process::Command {
    siskin(ONLY_PASSES.iter().chain(args))
}

fn json(command: &mut std::process::Command) -> Json {
    serde_json::from_slice(&succeed(command).stdout).expect("JSON")
}

fn numbers(json: &Json, pointers: &[&str]) -> Vec<f64> {
    let number = |pointer: &&str| json.pointer(pointer).and_then(Json::as_f64);
    let found = pointers
        .iter()
        .map(|pointer| number(pointer).unwrap_or_else(|| panic!("{pointer}: {json:#}")));
    found.collect()
}

/// Each pass has its time, its speed and its ratio to one token, with an interval, and the depth stays what it was.
#[test]
fn passes_are_compared_with_one_token_at_each_depth() {
    let results = json(&mut bench(&[
        "--n-verify",
        "4,16",
        "--n-parallel",
        "4",
        "-d",
        "0,64",
        "-o",
        "json",
    ]));
    let runs = results["runs"].as_array().expect("runs");
    let found: Vec<(&str, u64, u64, u64)> = runs
        .iter()
        .map(|run| {
            let number = |value: &Json| value.as_u64().unwrap_or(1);
            let test = &run["test"];
            (
                test["kind"].as_str().expect("a kind"),
                number(&test["tokens"]),
                number(&test["depth_tokens"]),
                number(&run["sequences"]),
            )
        })
        .collect();
    let want: Vec<(&str, u64, u64, u64)> = [0, 64]
        .into_iter()
        .flat_map(|depth| {
            [
                ("verify", 1, depth, 1),
                ("verify", 4, depth, 1),
                ("verify", 16, depth, 1),
                ("parallel", 1, depth, 4),
                ("parallel", 4, depth, 4),
            ]
        })
        .collect();
    assert_eq!(found, want);
    for run in runs {
        let figures = numbers(
            run,
            &[
                "/test/tokens",
                "/pass/seconds/median",
                "/tokens_per_second/median",
                "/pass/relative_time/ratio",
                "/pass/relative_time/low",
                "/pass/relative_time/high",
            ],
        );
        let [tokens, seconds, speed, ratio, low, high] = figures[..] else {
            unreachable!("six figures")
        };
        assert!((speed * seconds / tokens - 1.0).abs() < 1e-6, "{run:#}");
        assert!(low <= ratio && ratio <= high, "{run:#}");
        assert!(tokens > 1.0 || (ratio, low, high) == (1.0, 1.0, 1.0), "{run:#}");
        assert_eq!(run["pass"]["relative_time"]["paired"], true);
        assert_eq!(
            run["pass"]["seconds"]["samples"].as_array().map(Vec::len),
            Some(3)
        );
    }
    // A cache for each of the sequences.
    let cache = |index: usize| runs[index]["kv_bytes"].as_u64().expect("bytes");
    assert_eq!(cache(8), 4 * cache(5));
}

#[test]
fn every_format_shows_passes() {
    let flags = ["--n-verify", "2", "--n-parallel", "2", "-r", "1", "-o"];
    let text = |format: &str| {
        let output = succeed(bench(&[&flags[..], &[format]].concat()).env("COLUMNS", "120"));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = text("table");
    assert!(
        table.contains("T(n): time of n tokens") && table.contains("n=2"),
        "{table}"
    );
    assert!(!table.contains("Speed\n"), "{table}");
    let md = text("md");
    assert!(md.contains("### Passes") && md.contains("| parallel2 |"), "{md}");
    assert!(
        text("csv")
            .lines()
            .next()
            .is_some_and(|line| line.contains("relative_time"))
    );
    assert_eq!(text("jsonl").matches(r#""relative_time":{"#).count(), 4);
    if cfg!(feature = "html") {
        assert!(text("html").contains("Time of a pass of several sequences"));
    }
}

/// A prompt of n tokens of llama-bench is a pass of one sequence with n tokens; it has none of several.
#[test]
fn a_peer_s_short_prompts_are_passes() {
    use std::os::unix::fs::PermissionsExt;
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let program = out.path().join("llama-bench");
    let entry = |tokens: u32, speed: f64| {
        format!(
            r#"{{"model_filename":"m.gguf","model_type":"llama 260K Q8_0","model_size":1000,"model_n_params":1000,
            "n_threads":1,"n_prompt":{tokens},"n_gen":0,"n_depth":0,"samples_ts":[{speed},{speed}]}}"#
        )
    };
    let script = format!(
        "#!/bin/sh\ncat <<'END'\n[{},{}]\nEND\n",
        entry(1, 10.0),
        entry(4, 20.0)
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let flags = ["--n-verify", "4", "--n-parallel", "4", "-o", "json", "--peer"];
    let results = json(bench(&flags).arg(&program).arg(&model));
    let theirs: Vec<&Json> = results["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter(|run| run["tool"] == "llama-bench")
        .collect();
    let ratios: Vec<Option<f64>> = theirs
        .iter()
        .map(|run| run["pass"]["relative_time"]["ratio"].as_f64())
        .collect();
    assert_eq!(ratios, [Some(1.0), Some(2.0)]);
    let rows = results["comparisons"][0]["rows"].as_array().expect("rows");
    let compared: Vec<&Json> = rows.iter().map(|row| &row["test"]["kind"]).collect();
    assert_eq!(compared, ["verify", "verify"]);
}

#[test]
fn passes_that_cannot_be_measured_are_refused() {
    let line = fail(&mut bench(&["--n-parallel", "4", "-d", "100000"]), 1);
    assert!(line.contains("1 tokens at depth 100000"), "{line}");
    let line = fail(&mut bench(&["--n-parallel", "257"]), 2);
    assert!(line.contains("must be at most 256"), "{line}");
    let line = fail(&mut bench(&["--n-verify", "0"]), 1);
    assert!(line.contains("nothing to measure"), "{line}");
}
