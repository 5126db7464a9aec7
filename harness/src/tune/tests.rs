use std::sync::atomic::AtomicBool;

use siskin_device::settings::{CacheType, Kernels};
use siskin_runtime::STORYTELLER;

use super::stage::LONG;
use super::*;
use crate::ErrorKind;

fn values() -> Values {
    Values {
        threads: 2,
        threads_batch: 2,
        ..Values::default()
    }
}

#[test]
fn every_stage_starts_with_the_best_so_far_and_changes_its_own_setting_only() {
    let now = values();
    for stage in STAGES {
        let trials = stage.trials(&now, 8);
        assert_eq!(trials[0].1, now, "{}", stage.name);
        assert!(trials.len() > 1, "{}", stage.name);
        assert!(
            trials[1..].iter().all(|(_, other)| *other != now),
            "{}",
            stage.name
        );
    }
    let ggml = Values {
        kernels: Kernels::Ggml,
        ..now
    };
    for stage in STAGES {
        let trials = stage.trials(&ggml, 8);
        assert!(trials.iter().all(|(_, trial)| trial.kernels == Kernels::Ggml));
    }
    let counts = |cpus: usize| {
        let stage = STAGES
            .iter()
            .find(|stage| stage.name == "threads-batch")
            .expect("a stage");
        let start = Values {
            threads_batch: 1,
            ..now
        };
        stage
            .trials(&start, cpus)
            .iter()
            .map(|trial| trial.1.threads_batch)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (counts(1), counts(4), counts(7)),
        (vec![1], vec![1, 2, 3, 4], vec![1, 2, 3, 4, 6, 7])
    );
    let found = stage::tuned(&now);
    assert_eq!(
        (found.threads, found.cache_type, found.context),
        (Some(2), None, None)
    );
}

#[test]
fn tests_fit_into_the_training_context() {
    let effort = Effort::USUAL;
    assert_eq!(effort.lengths(false, 4096), (128, 32, 0));
    assert_eq!(effort.lengths(true, 4096), (128, 32, 128 * (LONG - 1)));
    assert_eq!(effort.lengths(true, 512), (128, 32, 384));
    assert_eq!(effort.lengths(true, 16), (16, 16, 0));
}

/// A worker in shell: it starts, and answers each turn with the same speeds, which depend on its threads. `@B@` is what
/// it does with two or more decoding threads.
const WORKER: &str = r#"
while read -r line; do
    case "$line" in
    *'"threads":1,'*) decode=2 ;;
    *'"start"'*) decode=1; @B@ ;;
    esac
    case "$line" in
    *'"start"'*) echo '{"done":{"context":128,"kernels":"ggml"}}' ;;
    *'"verify"'*) passes=; for seconds in 1 1 2 2 3 3 4 4; do
            passes="$passes${passes:+,}{\"seconds\":$seconds.0,\"first_token_seconds\":null,\"token_seconds\":[],\"joules\":null}"
        done
        echo '{"done":{"samples":['$passes'],'\
'"peak_rss_bytes":1048576,"anonymous_bytes":null,"file_bytes":null,"energy_source":null}}' ;;
    *) echo '{"done":{"samples":['\
'{"seconds":1.0,"first_token_seconds":1.0,"token_seconds":[],"joules":null},'\
'{"seconds":'$decode',"first_token_seconds":null,"token_seconds":[],"joules":null}],'\
'"peak_rss_bytes":1048576,"anonymous_bytes":null,"file_bytes":null,"energy_source":null}}' ;;
    esac
done"#;

fn tune(with_two_threads: &str, interrupted: bool) -> (Result<TuneReport, BenchError>, Vec<String>) {
    let script = WORKER.replace("@B@", with_two_threads);
    let program = || {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", "sh", "-c", &script]);
        command
    };
    let interrupted = AtomicBool::new(interrupted);
    let harness = Harness {
        worker: &program,
        interrupted: &interrupted,
    };
    let request = Request {
        model: None,
        info: ModelInfo::from_bytes(STORYTELLER, "storyteller").expect("the embedded model"),
        any_architecture: false,
        start: Resolved {
            values: Values {
                threads: 1,
                threads_batch: 1,
                kernels: Kernels::Ggml,
                ..values()
            },
            ..Resolved::default()
        },
        cpus: 2,
        effort: Effort {
            rounds: 3,
            ..Effort::QUICK
        },
        environment: &|_| vec![],
        measured_at: 7,
    };
    let mut events = Vec::new();
    let report = run(&request, &harness, |event| match event {
        Event::LeftOut {
            setting,
            value,
            reason,
        } => events.push(format!("{setting} {value}: {reason}")),
        Event::Step { done, total, .. } => assert!(done < total, "{done} of {total}"),
        Event::Estimate { seconds } => assert!(seconds > 0.0),
        _ => {}
    });
    (report, events)
}

#[test]
fn the_faster_setting_is_found_and_what_was_won_is_reported() {
    let (report, events) = tune(":", false);
    let report = report.expect("tuned");
    assert_eq!(events, Vec::<String>::new());
    assert_eq!(report.tuned.settings.threads, Some(2));
    let before = report.before.expect("measured");
    assert_eq!((before.decode, report.after.decode), (8.0, 16.0));
    assert_eq!(report.tuned.decode_tokens_per_second, 16.0);
    let won = report.won();
    assert!(
        won.starts_with("decode 8.0 → 16.0 tokens/s, +100 %; prompt "),
        "{won}"
    );
    let rows = |setting: &str| {
        report
            .measurements
            .iter()
            .filter(|row| row.setting == setting)
            .count()
    };
    assert_eq!((rows("threads"), rows("wait-policy"), rows("all")), (2, 3, 2));
    let costs = [1, 2, 3, 8, 9].map(|tokens| report.tuned.pass_cost(tokens, 100));
    assert_eq!(costs, [Some(1.0), Some(1.0), Some(2.0), Some(4.0), None]);
    assert_eq!(
        report.passes(),
        [
            "time of n tokens together, relative to one, at depth 0: 2: 1.00, 3: 2.00, 4: 2.00, 5: 3.00, 6: 3.00, 7: 4.00, 8: 4.00"
        ]
    );
    let chosen: Vec<&str> = report
        .measurements
        .iter()
        .filter(|row| row.chosen && row.setting != "all")
        .map(|row| row.setting)
        .collect();
    let adopted: Vec<&str> = STAGES
        .iter()
        .filter(|stage| stage.adopt)
        .map(|stage| stage.name)
        .collect();
    assert_eq!(chosen, adopted);
    let info = ModelInfo::from_bytes(STORYTELLER, "storyteller").expect("the embedded model");
    let text = crate::report::text_table(&table(&report, &info), 100);
    assert!(text.contains("setting") && text.contains("1.00 MiB"), "{text}");
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["measurements"][0]["setting"], "weights");
    assert_eq!(json["measurements"][0]["prefill"], 64.0);
    assert!(json["tuned"].get("cache_type").is_none());
}

#[test]
fn a_setting_that_ends_its_worker_is_left_out_with_the_signal() {
    let (report, events) = tune("kill -SEGV $$", false);
    let report = report.expect("tuned");
    assert_eq!(report.tuned.settings.threads, Some(1));
    assert_eq!(
        events,
        ["threads 2, ggml: llama.cpp ended the process with signal 11"]
    );
    let failed: Vec<&Row> = report
        .measurements
        .iter()
        .filter(|row| row.failure.is_some())
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].failure, Some(LeftOut::Signal(11)));
}

#[test]
fn an_interruption_ends_it_whoever_notices_first() {
    let (report, _) = tune("kill -INT $$", false);
    let error = report.expect_err("interrupted");
    assert!(
        matches!(error, BenchError::Interrupted { signal: Some(2) }),
        "{error}"
    );
    let (report, _) = tune(":", true);
    let error = report.expect_err("interrupted");
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

#[test]
fn a_model_that_cannot_be_run_is_one_error() {
    let failed = r#"echo '{"failed":{"reason":"x.gguf: damaged","unknown_architecture":false}}'"#;
    let program = || {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("while read -r line; do {failed}; done")]);
        command
    };
    let interrupted = AtomicBool::new(false);
    let request = Request {
        model: None,
        info: ModelInfo::from_bytes(STORYTELLER, "storyteller").expect("the embedded model"),
        any_architecture: false,
        start: Resolved::default(),
        cpus: 1,
        effort: Effort::QUICK,
        environment: &|_| vec![],
        measured_at: 0,
    };
    let harness = Harness {
        worker: &program,
        interrupted: &interrupted,
    };
    let error = run(&request, &harness, |_| {}).expect_err("it cannot be run");
    assert_eq!(error.to_string(), "x.gguf: damaged");
}

#[test]
fn cache_types_are_only_shown() {
    let stage = STAGES.last().expect("a stage");
    assert!(stage.name == "cache-type" && !stage.adopt && stage.long);
    let types = stage
        .trials(&values(), 1)
        .into_iter()
        .map(|trial| trial.1.cache_type);
    assert_eq!(
        types.collect::<Vec<_>>(),
        [CacheType::F16, CacheType::Q8_0, CacheType::Q4_0]
    );
}
