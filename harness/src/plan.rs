//! What will be measured, in which order: pure data, made and checked before anything runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::result::{Kind, Setting, Test};
use crate::device::tuned::Tunable;

/// A model to measure.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The file; `None` for the embedded model.
    pub path: Option<PathBuf>,
    /// What its header tells.
    pub facts: Facts,
    /// The settings to run it with: each is measured.
    pub settings: Vec<Settings>,
}

/// Settings to run a model with, and where each came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the runtime is told.
    pub launch: Launch,
    /// Variables of the process's environment.
    pub environment: Vec<(String, String)>,
    /// The same for people, with origins.
    pub shown: Vec<Setting>,
}

/// What the runtime is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Those that tuning chooses between. The wait policy is told by the environment.
    pub settings: Tunable,
    /// Weights kept from being swapped out.
    pub mlock: bool,
}

/// What to measure of every model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tests {
    /// Lengths of prompts; 0 for none.
    pub prompts: Vec<u32>,
    /// Tokens to decode; 0 for none.
    pub decodes: Vec<u32>,
    /// Tokens in the context before.
    pub depths: Vec<u32>,
    /// The context's length; `None` for as long as the tests need.
    pub context: Option<u32>,
    /// Repetitions.
    pub rounds: usize,
}

/// One process: a model, its settings and a context filled to one depth, and the tests it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Which subject.
    pub subject: usize,
    /// Which of its settings.
    pub settings: usize,
    /// Tokens in the context before each test.
    pub depth: u32,
    /// The context's length in tokens.
    pub context: u32,
    /// In this order.
    pub tests: Vec<Test>,
}

/// What cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum PlanError {
    #[error("-r is 0; give at least 1 repetition")]
    NoRounds,
    #[error("-p and -n leave nothing to measure; give a prompt length or a number of tokens to decode")]
    NoTests,
    #[error("{0} is 0; give at least 1")]
    NoThreads(&'static str),
    #[error(
        "{model}: {tokens} tokens at depth {depth} need a context of {need}, but {limit_is} {limit}; lower -d, -p or -n"
    )]
    TooDeep {
        model: String,
        tokens: u32,
        depth: u32,
        need: u64,
        limit_is: &'static str,
        limit: u64,
    },
}

/// Every process that the measurement needs, in the order of the turns.
pub fn cases(subjects: &[Subject], tests: &Tests) -> Result<Vec<Case>, PlanError> {
    let kinds = kinds(tests)?;
    let mut cases = Vec::new();
    // Depth outermost, so that models and settings at the same depth stand side by side.
    for &depth in &tests.depths {
        for (subject, Subject { facts, settings, .. }) in subjects.iter().enumerate() {
            let context = context(facts, tests, depth, &kinds)?;
            for (index, Settings { launch, .. }) in settings.iter().enumerate() {
                check_threads(launch)?;
                let tests = kinds.iter().map(|&(kind, tokens)| Test {
                    kind,
                    tokens,
                    depth_tokens: depth,
                });
                cases.push(Case {
                    subject,
                    settings: index,
                    depth,
                    context,
                    tests: tests.collect(),
                });
            }
        }
    }
    Ok(cases)
}

/// The longest context that a model's tests need, in tokens.
pub fn longest_context(facts: &Facts, tests: &Tests) -> Result<u32, PlanError> {
    let kinds = kinds(tests)?;
    let mut contexts = tests
        .depths
        .iter()
        .map(|&depth| context(facts, tests, depth, &kinds));
    contexts.try_fold(1, |longest, context| Ok(context?.max(longest)))
}

/// What is computed at each depth: prefills, then decodes.
fn kinds(tests: &Tests) -> Result<Vec<(Kind, u32)>, PlanError> {
    if tests.rounds == 0 {
        return Err(PlanError::NoRounds);
    }
    let lengths = |kind, list: &[u32]| -> Vec<(Kind, u32)> {
        let some = list.iter().filter(|&&tokens| tokens > 0);
        some.map(|&tokens| (kind, tokens)).collect()
    };
    let kinds = [
        lengths(Kind::Prefill, &tests.prompts),
        lengths(Kind::Decode, &tests.decodes),
    ];
    let kinds = kinds.concat();
    if kinds.is_empty() {
        return Err(PlanError::NoTests);
    }
    Ok(kinds)
}

fn check_threads(launch: &Launch) -> Result<(), PlanError> {
    let counts = [
        ("-t", launch.settings.threads),
        ("--threads-batch", launch.settings.threads_batch),
    ];
    match counts.into_iter().find(|(_, count)| *count == 0) {
        Some((flag, _)) => Err(PlanError::NoThreads(flag)),
        None => Ok(()),
    }
}

/// The context that the tests need; refused where the model's or the user's is shorter.
fn context(facts: &Facts, tests: &Tests, depth: u32, kinds: &[(Kind, u32)]) -> Result<u32, PlanError> {
    let tokens = kinds.iter().map(|kind| kind.1).max().unwrap_or(0);
    let need = u64::from(depth) + u64::from(tokens);
    let training = ("its training context is", u64::from(facts.shape.training_context));
    let asked = tests.context.map(|context| ("-c is", u64::from(context)));
    let (limit_is, limit) = asked
        .into_iter()
        .chain([training])
        .min_by_key(|limit| limit.1)
        .unwrap_or(training);
    if need > limit {
        let model = facts.model.name.clone();
        return Err(PlanError::TooDeep {
            model,
            tokens,
            depth,
            need,
            limit_is,
            limit,
        });
    }
    Ok(tests.context.unwrap_or(u32::try_from(need).unwrap_or(u32::MAX)))
}

/// Memory a process takes beside weights and cache: program, vocabulary, compute buffers. Generous: it decides
/// only how many processes stay alive at once.
const PROCESS_BYTES: u64 = 384 << 20;

/// Splits the cases into groups that fit into `available` bytes together; those of a group take turns, round by
/// round, and the groups follow one another. Without this, waiting processes would push each other's weights out
/// of memory. Models mapped by several processes of a group count once.
pub fn groups(subjects: &[Subject], cases: &[Case], available: u64) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for index in 0..cases.len() {
        let fits = groups.last().is_some_and(|group| {
            let together: Vec<usize> = group.iter().copied().chain([index]).collect();
            bytes(subjects, cases, &together) <= available
        });
        match groups.last_mut().filter(|_| fits) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

fn bytes(subjects: &[Subject], cases: &[Case], group: &[usize]) -> u64 {
    let mut mapped = std::collections::BTreeSet::new();
    let one = |&index: &usize| {
        let case = &cases[index];
        let subject = &subjects[case.subject];
        let launch = &subject.settings[case.settings].launch;
        let copies = u64::from(!launch.settings.mmap)
            + u64::from(launch.settings.repack)
            + u64::from(launch.settings.mmap && mapped.insert(case.subject));
        subject.facts.model.file_bytes * copies
            + subject.facts.kv_bytes(case.context, launch.settings.kv_type)
            + PROCESS_BYTES
    };
    group.iter().map(one).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::device::profile::{KvType, Switch, WaitPolicy};
    use crate::kernel::Kernels;

    pub(in crate::bench) fn launch(threads: usize) -> Launch {
        Launch {
            settings: Tunable {
                threads,
                threads_batch: threads,
                ubatch: 512,
                kv_type: KvType::F16,
                flash_attention: Switch::Auto,
                repack: false,
                mmap: true,
                wait_policy: WaitPolicy::Default,
                kernels: Kernels::Ggml,
                prefetch_bytes: 0,
            },
            mlock: false,
        }
    }

    fn subject(name: &str, file_bytes: u64, threads: &[usize]) -> Subject {
        let mut facts = Facts::of_bytes(crate::engine::STORYTELLER, name).expect("the embedded model");
        facts.model.file_bytes = file_bytes;
        facts.shape.training_context = 2048;
        let settings = threads.iter().map(|&threads| Settings {
            launch: launch(threads),
            environment: vec![],
            shown: vec![],
        });
        Subject {
            path: None,
            facts,
            settings: settings.collect(),
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
    fn models_and_settings_of_a_depth_stand_side_by_side() {
        let subjects = [subject("a", 1, &[1, 2]), subject("b", 1, &[2])];
        let cases = cases(&subjects, &tests(&[128, 0], &[32], &[0, 512])).expect("a plan");
        let order: Vec<_> = cases
            .iter()
            .map(|case| (case.depth, case.subject, case.settings, case.context))
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
                "-r is 0; give at least 1 repetition",
            ),
            (
                &one,
                tests(&[0], &[0], &[0]),
                "-p and -n leave nothing to measure",
            ),
            (&[subject("a", 1, &[0])], tests(&[1], &[], &[0]), "-t is 0"),
            (
                &one,
                tests(&[128], &[32], &[0, 2000]),
                "a: 128 tokens at depth 2000 need a context of 2128, but its training context is 2048",
            ),
            (
                &one,
                short,
                "a: 128 tokens at depth 0 need a context of 128, but -c is 64",
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
}
