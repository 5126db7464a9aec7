use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[test]
fn names_are_good_and_there_once() {
    let metrics = Metrics::new(Vec::new());
    let mut names = BTreeSet::new();
    for (name, help, series) in metrics.table() {
        assert!(names.insert(name), "{name} twice");
        let good = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(name.bytes().all(good), "{name}");
        assert!(
            name.starts_with("siskin_") || name.starts_with("process_"),
            "{name}"
        );
        let counts = name.ends_with("_total");
        assert_eq!(counts, series.kind() == "counter", "{name}");
        assert!(
            help.ends_with('.') && !help.contains(['\n', '\\']),
            "{name}: {help}"
        );
    }
}

#[test]
fn every_sample_is_of_a_metric_that_is_declared_before() {
    let metrics = Metrics::new(vec![("version", "0.1.0".to_owned())]);
    metrics.queue_wait.time(Duration::from_millis(70));
    metrics.model("a", true);
    let text = metrics.render();
    let mut declared = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            declared = rest.split(' ').next().expect("a name");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let ends = ["", "_bucket", "_sum", "_count"];
            assert!(
                ends.iter().any(|end| name.strip_suffix(end) == Some(declared)),
                "{line}"
            );
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn what_is_counted_is_shown() {
    let metrics = Metrics::new(Vec::new());
    metrics.prompt_tokens.add(40);
    metrics.prompt_tokens.one();
    metrics.prompt_seconds.add(Duration::from_millis(1500));
    metrics.tokens_max.raise(7.0);
    metrics.tokens_max.raise(5.0);
    metrics.decodes.add(4);
    metrics.busy_slots.add(10);
    metrics.refused.one(Reason::Memory);
    metrics.answered(200);
    metrics.answered(204);
    metrics.answered(503);
    metrics.answered(99);
    metrics.answered(600);
    let text = metrics.render();
    let cases = [
        ("siskin_prompt_tokens_total", 41.0),
        ("siskin_prompt_seconds_total", 1.5),
        ("siskin_n_tokens_max", 7.0),
        ("siskin_n_busy_slots_per_decode", 2.5),
        (
            "siskin_requests_refused_total{reason=\"insufficient_memory\"}",
            1.0,
        ),
        ("siskin_requests_refused_total{reason=\"invalid\"}", 0.0),
        ("siskin_http_responses_total{class=\"2xx\"}", 2.0),
        ("siskin_http_responses_total{class=\"5xx\"}", 1.0),
        ("siskin_http_responses_total{class=\"1xx\"}", 0.0),
        ("siskin_duty_ratio", 1.0),
        ("siskin_build_info{}", 1.0),
    ];
    for (sample, want) in cases {
        assert_eq!(value(&text, sample), Some(want), "{sample}");
    }
    let resident = value(&text, "process_resident_memory_bytes").expect("shown");
    assert!(resident > 1e6 && resident < 1e10, "{resident}");
}

#[test]
fn buckets_count_everything_up_to_their_bound() {
    let metrics = Metrics::new(Vec::new());
    for seconds in [0.0, 0.01, 0.011, 1.0, 1e9, f64::NAN, -1.0] {
        metrics.queue_wait.observe(seconds);
    }
    assert_eq!(metrics.queue_wait.count(), 5);
    let text = metrics.render();
    let bucket = |bound: &str| {
        value(
            &text,
            &format!("siskin_queue_wait_seconds_bucket{{le=\"{bound}\"}}"),
        )
    };
    let found = ["0.01", "0.05", "0.5", "1", "300", "+Inf"].map(bucket);
    assert_eq!(found, [2.0, 3.0, 3.0, 4.0, 4.0, 5.0].map(Some));
    assert_eq!(value(&text, "siskin_queue_wait_seconds_count"), Some(5.0));
    for bounds in [Waits::BOUNDS, Steps::BOUNDS, Errors::BOUNDS] {
        assert!(bounds.is_sorted());
    }
}

#[test]
fn labels_are_escaped() {
    let metrics = Metrics::new(vec![
        ("version", "\"1\"".to_owned()),
        ("target", "a\\b\nc".to_owned()),
    ]);
    metrics.model("a \"model\"\n", true);
    metrics.model("other", true);
    metrics.model("other", false);
    let text = metrics.render();
    assert!(
        text.contains("siskin_model_loaded{model=\"a \\\"model\\\"\\n\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("siskin_model_loaded{model=\"other\"} 0\n"),
        "{text}"
    );
    assert!(
        text.contains("siskin_build_info{version=\"\\\"1\\\"\",target=\"a\\\\b\\nc\"} 1\n"),
        "{text}"
    );
}

#[test]
fn a_machine_without_a_sensor_shows_no_temperature() {
    let metrics = Metrics::new(Vec::new());
    assert_eq!(value(&metrics.render(), "siskin_temperature_celsius"), None);
    metrics.temperature.set(Some(61.5));
    assert_eq!(value(&metrics.render(), "siskin_temperature_celsius"), Some(61.5));
    metrics.temperature.set(None);
    assert_eq!(value(&metrics.render(), "siskin_temperature_celsius"), None);
}

#[test]
fn labels_have_a_place_each() {
    let reasons = [Reason::Invalid, Reason::Memory];
    assert_eq!(
        reasons.map(|reason| Reason::VALUES[reason.index()]),
        ["invalid", "insufficient_memory"]
    );
    assert_eq!(Reason::Memory.index() + 1, Reason::VALUES.len());
}
