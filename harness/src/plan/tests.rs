use siskin_runtime::STORYTELLER;

use super::*;

pub(crate) fn setup(threads: usize) -> Setup {
    let values = Values {
        threads,
        threads_batch: threads,
        ..Values::default()
    };
    Setup {
        resolved: Resolved {
            values,
            ..Resolved::default()
        },
        environment: vec![],
    }
}

pub(crate) fn subject(name: &str, file_bytes: u64, threads: &[usize]) -> Subject {
    let mut info = ModelInfo::from_bytes(STORYTELLER, name).expect("the embedded model");
    info.model.file_bytes = file_bytes;
    info.shape.training_context = 2048;
    Subject {
        path: None,
        info,
        setups: threads.iter().map(|&threads| setup(threads)).collect(),
        any_architecture: false,
    }
}

fn tests(prompts: &[u32], decodes: &[u32], depths: &[u32]) -> Tests {
    Tests {
        prompts: prompts.to_vec(),
        decodes: decodes.to_vec(),
        depths: depths.to_vec(),
        context: None,
        rounds: 3,
    }
}

#[test]
fn models_and_setups_of_a_depth_take_turns() {
    let subjects = [subject("a", 1, &[1, 2]), subject("b", 1, &[2])];
    let cases = cases(&subjects, &tests(&[128, 0], &[32], &[0, 512])).expect("a plan");
    let order: Vec<_> = cases
        .iter()
        .map(|case| (case.depth, case.subject, case.setup, case.context))
        .collect();
    let want = [
        (0, 0, 0, 128),
        (0, 0, 1, 128),
        (0, 1, 0, 128),
        (512, 0, 0, 640),
        (512, 0, 1, 640),
        (512, 1, 0, 640),
    ];
    assert_eq!(order, want);
    let names: Vec<String> = cases[3].tests.iter().map(Test::name).collect();
    assert_eq!(names, ["pp128 @ d512", "tg32 @ d512"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let one = [subject("a", 1, &[1])];
    let short = Tests {
        context: Some(64),
        ..tests(&[128], &[], &[0])
    };
    let cases: [(&[Subject], Tests, &str); 6] = [
        (
            &one,
            Tests {
                rounds: 0,
                ..tests(&[1], &[], &[0])
            },
            "there must be at least 1 repetition",
        ),
        (&one, tests(&[0], &[0], &[0]), "nothing to measure"),
        (
            &[subject("a", 1, &[0])],
            tests(&[1], &[], &[0]),
            "0 threads for decoding",
        ),
        (
            &one,
            tests(&[128], &[32], &[0, 2000]),
            "a: 128 tokens at depth 2000 need a context of 2128, but the model was trained for 2048",
        ),
        (
            &one,
            short,
            "a: 128 tokens at depth 0 need a context of 128, but the context has 64",
        ),
        (
            &one,
            tests(&[u32::MAX], &[], &[u32::MAX]),
            "need a context of 8589934590",
        ),
    ];
    for (subjects, tests, want) in cases {
        let error = super::cases(subjects, &tests).expect_err(want).to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn processes_that_do_not_fit_together_follow_one_another() {
    let subjects = [subject("a", 1 << 30, &[1, 2]), subject("b", 1 << 30, &[1])];
    let cases = cases(&subjects, &tests(&[8], &[], &[0])).expect("a plan");
    let sizes = |available: u64| {
        groups(&subjects, &cases, available)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(16 << 30), [3]);
    // Two processes that map the same file count it once.
    assert_eq!(sizes(2 << 30), [2, 1]);
    assert_eq!(sizes(0), [1, 1, 1]);
}
