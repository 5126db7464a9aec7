use siskin_device::settings::Overrides;
use siskin_runtime::speculate::{Source, Speculation};
use siskin_runtime::{Model, STORYTELLER, StopReason};

use super::pair::{Side, pair};
use super::*;
use crate::ModelInfo;

/// A prompt of a kind.
fn prompt(kind: &str, id: u32) -> Prompt {
    Prompt {
        kind: kind.into(),
        id: id.into(),
        text: "text".into(),
        line: id as usize,
    }
}

/// A side with so many tokens, of which all but the last were computed.
fn side(tokens: usize, seconds: f64) -> Side {
    Side {
        tokens: vec![Token(7); tokens],
        text: "x".repeat(tokens),
        stop: Some(StopReason::Limit),
        seconds,
        computed: tokens - 1,
        ..Side::default()
    }
}

/// A side with guesses: so many passes took `each` seconds, of which one in two had a guess that was right.
fn guessed(tokens: usize, seconds: f64, estimate: f64) -> Side {
    let mut counts = Speculation::default();
    for _ in 0..(tokens - 1) / 2 {
        counts.pass([Source::History], 0.0, estimate);
        counts.accepted(Source::History, estimate);
    }
    Side {
        speculation: Some(counts),
        drafter: 1e-6 * (tokens - 1) as f64,
        ..side(tokens, seconds)
    }
}

fn found(pairs: Vec<Pair>) -> PromptResults {
    let info = ModelInfo::from_bytes(STORYTELLER, "storyteller").expect("a model");
    let about = nothing_measured("siskin bench", "2026-01-01T00:00:00Z");
    let (kinds, all) = summary::groups(&pairs);
    let mut results = PromptResults {
        schema_version: SCHEMA_VERSION,
        command: about.command,
        date_utc: about.date_utc,
        siskin_version: about.siskin_version,
        llama_cpp_version: about.llama_cpp_version,
        machine: about.machine,
        model: info.model,
        settings: Settings {
            spec: "lookup".into(),
            keeps_acceptance: false,
            chat_template: true,
            tokens: 128,
            sampler: SamplerConfig::default(),
            seed: 1,
            context_tokens: 512,
            threads: 2,
            threads_batch: 2,
        },
        prompts: pairs.len() + 2,
        duplicates: 1,
        too_long: vec!["qa 9".into(), "qa 10".into()],
        interrupted: false,
        notes: vec![],
        all,
        kinds,
        pairs,
    };
    results.notes = summary::notes(&results);
    results
}

/// Two kinds: one is faster with guesses, the other slower; one text is short, one differs.
fn mixed() -> PromptResults {
    let mut pairs = Vec::new();
    for (id, seconds) in [(1, 0.5), (2, 0.8), (3, 1.0)] {
        pairs.push(pair(
            &prompt("edit", id),
            30,
            id == 2,
            side(101, 1.0),
            guessed(101, seconds, 0.0095),
        ));
        pairs.push(pair(
            &prompt("chat", id),
            30,
            id == 1,
            side(101, 1.0),
            guessed(101, 1.25 * seconds + 0.2, 0.011),
        ));
    }
    pairs.push(pair(
        &prompt("chat", 4),
        30,
        true,
        side(15, 1.0),
        guessed(15, 9.0, 0.01),
    ));
    let different = Side {
        text: "y".into(),
        tokens: [7, 7, 8].map(Token).to_vec(),
        ..guessed(101, 9.0, 0.01)
    };
    pairs.push(pair(&prompt("edit", 5), 30, false, side(101, 1.0), different));
    found(pairs)
}

#[test]
fn groups_count_only_equal_texts_that_are_long_enough() {
    let results = mixed();
    let kinds: Vec<_> = results.kinds.iter().map(|group| group.kind.as_deref()).collect();
    assert_eq!(kinds, [Some("edit"), Some("chat")]);
    let ratio = |group: &Group| group.speed_up.expect("pairs").ratio;
    let (edit, chat, all) = (&results.kinds[0], &results.kinds[1], &results.all);
    assert!((ratio(edit) - 1.25).abs() < 1e-9 && (ratio(chat) - 1.0 / 1.2).abs() < 1e-9);
    assert_eq!((edit.prompts, edit.short, edit.same_text), (4, 0, 3));
    assert_eq!((chat.prompts, chat.short, chat.same_text), (4, 1, 4));
    assert_eq!((all.prompts, all.short, all.same_text), (8, 1, 7));
    let ends = [&edit.worst, &edit.best].map(|end| end.clone().map(|end| (end.id, end.speed_up)));
    assert_eq!(ends, [Some((3.into(), 1.0)), Some((1.into(), 2.0))]);
    assert_eq!((edit.passes, edit.drafted, edit.accepted), (150, 150, 150));
    assert_eq!(edit.mean_accepted_length, Some(2.0));
    let near = |value: Option<f64>, want: f64| {
        let value = value.expect("known");
        assert!((value / want - 1.0).abs() < 1e-6, "{value} is not {want}");
    };
    near(edit.tokens_per_second_without, 100.0);
    near(edit.tokens_per_second_with, 300.0 / 2.3);
    near(edit.estimated_tokens_per_second_without, 1.0 / 0.0095);
    near(edit.estimate_ratio, 1.0 / 0.95);
    near(edit.drafter_seconds_per_token, 1e-6);
    let (low, high) = (
        edit.speed_up.and_then(|r| r.low),
        edit.speed_up.and_then(|r| r.high),
    );
    assert!(low.is_some_and(|low| low < 1.25) && high.is_some_and(|high| high > 1.25));
    let different = results.pairs.last().expect("a pair");
    assert_eq!(
        (different.same_text, different.differs_at, different.speed_up),
        (false, Some(2), None)
    );
    assert_eq!(
        results.first_difference().expect("one differs"),
        "not the same text with guesses: 1 of 8, the first is edit 5 (token 3)"
    );
}

#[test]
fn a_text_that_ends_earlier_or_for_another_reason_is_not_the_same() {
    let end = |stop, tokens| Side {
        stop: Some(stop),
        ..side(tokens, 1.0)
    };
    let cases = [
        (end(StopReason::Limit, 20), true, None),
        (end(StopReason::EndOfText, 20), false, Some(20)),
        (end(StopReason::Limit, 19), false, Some(19)),
    ];
    for (on, same, differs_at) in cases {
        let found = pair(&prompt("qa", 1), 9, true, side(20, 1.0), on);
        assert_eq!((found.same_text, found.differs_at), (same, differs_at));
    }
}

#[test]
fn tables_fit_80_columns_and_say_what_is_slower_or_left_out() {
    let results = mixed();
    let table = render(&results, Format::Table(80));
    let wide: Vec<&str> = table.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    let flat = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = [
        "edit 4 0 75.0 % 1.250 1.000 to 2.000 1.000 2.000",
        "chat is slower with guesses: 0.833",
        "too short: 1 text with fewer than 16 tokens, left out of the speeds",
        "too long: 2 prompts that do not fit into the context of 512 tokens with their text, left out; the first is qa 9",
        "repeated: 1 prompt, left out",
        "the first is edit 5 (token 3); left out of the speeds",
        "worst: chat 3 (0.690); best: edit 1 (2.000)",
    ];
    for want in wanted {
        assert!(flat.contains(want), "{want}: {table}");
    }
    assert!(render(&results, Format::Md).contains("| edit | 4 | 0 | 75.0 % | 1.250 | 1.000 to 2.000 |"));
    let csv = render(&results, Format::Csv);
    assert!(
        csv.starts_with("kind,id,line,") && csv.lines().count() == 9,
        "{csv}"
    );
    let json: serde_json::Value = serde_json::from_str(&render(&results, Format::Json)).expect("JSON");
    assert_eq!(json["pairs"].as_array().map(Vec::len), Some(8));
    assert_eq!(json["kinds"][0]["speed_up"]["paired"], true);
    // Nothing measured is no reason to fail.
    let nothing = render(&found(vec![]), Format::Table(80));
    assert!(nothing.contains("all") && !nothing.contains("NaN"), "{nothing}");
}

/// The tests of the program measure with guesses; a library's tests have no kernels that give the same text.
#[test]
fn two_equal_sides_are_measured_until_the_user_asks_to_stop() {
    for stop in [false, true] {
        let overrides = Overrides {
            threads: Some(1),
            ..Overrides::default()
        };
        let model = Model::embedded()
            .overrides(overrides)
            .load()
            .expect("the embedded model");
        let info = ModelInfo::from_bytes(STORYTELLER, "storyteller").expect("a model");
        let long = "king ".repeat(3000);
        let text = format!("{{\"prompt\":\"Once upon a time\"}}\n{{\"kind\":\"b\",\"prompt\":\"{long}\"}}");
        let request = Request {
            prompts: parse(&text, None).expect("prompts"),
            template: None,
            tokens: 20,
            sampler: SamplerConfig {
                temp: 0.7,
                seed: Some(3),
                ..SamplerConfig::default()
            },
            seed: 3,
            drafters: None,
            times: PassTimes::default(),
            keeps_acceptance: false,
            spec: "off".into(),
            model: info.model,
            command: "test".into(),
            date_utc: "now".into(),
        };
        let session = model.session().expect("a session");
        let results = run(session, request, &AtomicBool::new(stop), |_| {}).expect("measured");
        assert_eq!(
            (results.interrupted, results.pairs.len()),
            (stop, usize::from(!stop))
        );
        if let Some(pair) = results.pairs.first() {
            assert!(pair.same_text && pair.speed_up.is_some(), "{pair:?}");
            assert_eq!((pair.tokens, pair.computed_tokens), (20, 19));
            assert_eq!(results.too_long, ["b line 2"]);
        }
    }
}
