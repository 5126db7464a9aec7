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
        rounds: 3,
        ..Tests::default()
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

#[test]
fn passes_of_several_sequences_have_a_process_of_their_own() {
    let subjects = [subject("a", 1, &[1])];
    let asked = Tests {
        verifies: vec![4, 0, 2],
        parallels: vec![8],
        ..tests(&[0], &[32], &[512])
    };
    let cases = cases(&subjects, &asked).expect("a plan");
    let order: Vec<_> = cases
        .iter()
        .map(|case| {
            let names: Vec<String> = case.tests.iter().map(Test::name).collect();
            (case.sequences, case.context, names.join(", "))
        })
        .collect();
    let want = [
        (
            1,
            544,
            "tg32 @ d512, verify1 @ d512, verify2 @ d512, verify4 @ d512",
        ),
        (8, 513, "parallel1 @ d512, parallel8 @ d512"),
    ];
    assert_eq!(
        order,
        want.map(|(count, context, names)| (count, context, names.to_owned()))
    );
    assert_eq!(longest_context(&subjects[0].info, &asked), Ok(8 * 768));
    // A sequence of several has no more room than its test needs.
    let longer = Tests {
        context: Some(2048),
        ..asked
    };
    let contexts = super::cases(&subjects, &longer).expect("a plan");
    assert_eq!((contexts[0].context, contexts[1].context), (2048, 513));
    let too_deep = Tests {
        depths: vec![2048],
        ..longer
    };
    let error = super::cases(&subjects, &too_deep)
        .expect_err("no room")
        .to_string();
    assert!(error.contains("need a context of 2080"), "{error}");
}

/// llama.cpp computes one token with the threads for decoding, and more with those for the prompt.
#[test]
fn a_pass_of_one_token_has_the_threads_of_decoding() {
    let mut setup = setup(2);
    setup.resolved.values.threads_batch = 4;
    let threads = |kind, tokens| {
        setup.threads(Test {
            kind,
            tokens,
            depth_tokens: 0,
        })
    };
    let cases = [
        (Kind::Prefill, 1, 4),
        (Kind::Decode, 8, 2),
        (Kind::Verify, 1, 2),
        (Kind::Verify, 2, 4),
        (Kind::Parallel, 1, 2),
        (Kind::Parallel, 8, 4),
    ];
    for (kind, tokens, want) in cases {
        assert_eq!(threads(kind, tokens), want, "{kind:?} {tokens}");
    }
}
