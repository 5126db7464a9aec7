use super::*;
use crate::plan::tests::setup;

#[test]
fn names_of_types() {
    let cases = [
        ("llama 1B Q4_K - Medium", "q4_k_m"),
        ("llama 1B Q5_K - Small", "q5_k_s"),
        ("gptneox 1B Q8_0", "q8_0"),
        ("stablelm 1.6B all F32", "f32"),
        ("llama ?B Q6_K", "q6_k"),
    ];
    for (text, want) in cases {
        assert_eq!(file_type(text), want);
    }
}

const ONE: &str = r#"{"build_commit":"abc","model_filename":"/m/tiny.gguf","model_type":"llama 1B Q4_K - Medium",
    "model_size":667000000,"model_n_params":1100000000,"n_threads":2,"n_prompt":128,"n_gen":0,"n_depth":512,
    "type_k":"f16","type_v":"f16","avg_ts":116.0,"samples_ts":[115.0,116.0,117.0]}"#;

#[test]
fn both_of_llama_bench_s_formats_are_read() {
    let file = Path::new("peer.json");
    for text in [format!("[{ONE}]"), format!("{ONE}\n{ONE}\n")] {
        let runs = import(&text, file).expect("read");
        let run = &runs[0];
        assert_eq!(
            (run.tool, run.test.name().as_str()),
            (Tool::LlamaBench, "pp128 @ d512")
        );
        assert_eq!(
            (run.model.name.as_str(), run.model.file_type.as_str()),
            ("tiny", "q4_k_m")
        );
        assert_eq!((run.threads, run.tokens_per_second.median), (2, 116.0));
    }
    for (text, want) in [
        ("[]", "has no test of"),
        ("{}", "missing field"),
        ("prose", "not the JSON of"),
    ] {
        let error = import(text, file).expect_err(want).to_string();
        assert!(
            error.starts_with("peer.json: ") && error.contains(want),
            "{error}"
        );
    }
}

#[test]
fn it_takes_a_turn_and_its_failures_are_reported() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = |name: &str, body: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    };
    let test = Test {
        kind: Kind::Prefill,
        tokens: 128,
        depth_tokens: 512,
    };
    let case = Case {
        subject: 0,
        setup: 0,
        depth: 512,
        context: 640,
        sequences: 1,
        tests: vec![test],
    };
    let setup = setup(2);
    let turn = |program: &Path| {
        let go_on = AtomicBool::new(false);
        turn(program, Path::new("m.gguf"), &setup, &case, &go_on)
    };
    let good = script("good", &format!("sleep 0.05\ncat <<'END'\n[{ONE}]\nEND"));
    let found = turn(&good).expect("a turn");
    assert_eq!(
        (found.tokens_per_second, found.build.as_deref()),
        (vec![Some(116.0)], Some("abc"))
    );
    assert!(found.peak_rss_bytes.expect("Linux reports it") > 100_000);
    let cases = [
        (script("fails", "exit 3"), "ended with exit status: 3"),
        (script("empty", "echo '[]'"), "no result for pp128 @ d512"),
        (script("prose", "echo hello"), "not the JSON of llama-bench"),
        (dir.path().join("missing"), "cannot be started"),
    ];
    for (program, want) in cases {
        let error = turn(&program).expect_err(want).to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn passes_are_short_prompts_in_calls_of_their_own() {
    let test = |kind, tokens| Test {
        kind,
        tokens,
        depth_tokens: 0,
    };
    let case = Case {
        subject: 0,
        setup: 0,
        depth: 0,
        context: 640,
        sequences: 1,
        tests: vec![
            test(Kind::Prefill, 8),
            test(Kind::Decode, 32),
            test(Kind::Verify, 1),
            test(Kind::Verify, 8),
            test(Kind::Parallel, 8),
        ],
    };
    let mut setup = setup(2);
    let commands = |setup: &Setup| -> Vec<String> {
        let one = |call: &Call| {
            let command = command(Path::new("lb"), Path::new("m"), call, &case);
            let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
            words.collect::<Vec<_>>().join(" ")
        };
        calls(setup, &case).iter().map(one).collect()
    };
    assert_eq!(
        commands(&setup),
        [
            "-m m -r 1 -o json -p 8 -n 32 -t 2",
            "-m m -r 5 -o json -p 1,8 -n 0 -t 2",
        ]
    );
    setup.resolved.values.threads_batch = 4;
    assert_eq!(
        commands(&setup),
        [
            "-m m -r 1 -o json -p 8 -n 0 -t 4",
            "-m m -r 1 -o json -p 0 -n 32 -t 2",
            "-m m -r 5 -o json -p 1 -n 0 -t 2",
            "-m m -r 5 -o json -p 8 -n 0 -t 4",
        ]
    );
}
