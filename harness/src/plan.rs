//! What will be measured, in which order: pure data, made and checked before anything runs.

use std::path::PathBuf;

use siskin_device::settings::{Resolved, Values};

use crate::model_info::ModelInfo;
use crate::result::{Kind, Setting, Test};

/// A model to measure.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The file; `None` for the embedded model.
    pub path: Option<PathBuf>,
    /// What its header states.
    pub info: ModelInfo,
    /// How to run it: each is measured.
    pub setups: Vec<Setup>,
    /// Load it even if siskin cannot check its architecture.
    pub any_architecture: bool,
}

/// How to run a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The settings. Each test chooses its own context.
    pub resolved: Resolved,
    /// Variables of the process's environment, which libraries read when it starts.
    pub environment: Vec<(&'static str, &'static str)>,
}

impl Setup {
    pub(crate) fn values(&self) -> &Values {
        &self.resolved.values
    }

    /// The settings for people. The context is left out: each run has its own.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let rows = self.resolved.rows().into_iter();
        rows.filter(|row| row.name != "ctx-size")
            .map(|row| Setting {
                name: row.name.into(),
                value: row.value,
                origin: row.origin.name().into(),
            })
            .collect()
    }

    /// Threads that compute tests of this kind.
    pub(crate) fn threads(&self, kind: Kind) -> usize {
        match kind {
            Kind::Prefill => self.values().threads_batch,
            Kind::Decode => self.values().threads,
        }
    }
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

/// One process: a model, its setup and a context filled to one depth, and the tests it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// Index of the subject.
    pub(crate) subject: usize,
    /// Index of its setup.
    pub(crate) setup: usize,
    /// Tokens in the context before each test.
    pub(crate) depth: u32,
    /// The context's length in tokens.
    pub(crate) context: u32,
    /// In this order.
    pub(crate) tests: Vec<Test>,
}

/// What cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing would be repeated.
    #[error("there must be at least 1 repetition")]
    NoRounds,
    /// No test is left.
    #[error("nothing to measure: all prompt lengths and all numbers of tokens to decode are 0")]
    NoTests,
    /// Threads of a kind of test are none.
    #[error("0 threads for {}: at least 1 is needed", match .0 { Kind::Prefill => "the prompt", Kind::Decode => "decoding" })]
    NoThreads(Kind),
    /// The tests need more context than there is.
    #[error("{model}: {tokens} tokens at depth {depth} need a context of {need}, but {limited_by} {limit}")]
    TooDeep {
        /// The model's name.
        model: String,
        /// Tokens of the longest test.
        tokens: u32,
        /// Tokens in the context before it.
        depth: u32,
        /// Both together.
        need: u64,
        /// Which context is too short.
        limited_by: ContextLimit,
        /// Its length.
        limit: u64,
    },
}

/// What bounds a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextLimit {
    /// The model's training.
    Training,
    /// The request.
    Asked,
}

impl std::fmt::Display for ContextLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ContextLimit::Training => "the model was trained for",
            ContextLimit::Asked => "the context has",
        })
    }
}

/// Every process that the measurement needs, in the order of the turns.
///
/// # Errors
/// There is nothing to measure, or a context is too short for a test.
pub(crate) fn cases(subjects: &[Subject], tests: &Tests) -> Result<Vec<Case>, PlanError> {
    let kinds = kinds(tests)?;
    let mut cases = Vec::new();
    // Depth outermost, so that models and setups at the same depth take turns with each other.
    for &depth in &tests.depths {
        for (subject, Subject { info, setups, .. }) in subjects.iter().enumerate() {
            let context = context(info, tests, depth, &kinds)?;
            for (index, setup) in setups.iter().enumerate() {
                check_threads(setup)?;
                let tests = kinds.iter().map(|&(kind, tokens)| Test {
                    kind,
                    tokens,
                    depth_tokens: depth,
                });
                cases.push(Case {
                    subject,
                    setup: index,
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
///
/// # Errors
/// There is nothing to measure, or a context is too short for a test.
pub fn longest_context(info: &ModelInfo, tests: &Tests) -> Result<u32, PlanError> {
    let kinds = kinds(tests)?;
    let mut contexts = tests
        .depths
        .iter()
        .map(|&depth| context(info, tests, depth, &kinds));
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

fn check_threads(setup: &Setup) -> Result<(), PlanError> {
    match [Kind::Decode, Kind::Prefill]
        .into_iter()
        .find(|kind| setup.threads(*kind) == 0)
    {
        Some(kind) => Err(PlanError::NoThreads(kind)),
        None => Ok(()),
    }
}

/// The context that the tests need; an error if the model's, or the one asked for, is shorter.
fn context(info: &ModelInfo, tests: &Tests, depth: u32, kinds: &[(Kind, u32)]) -> Result<u32, PlanError> {
    let tokens = kinds.iter().map(|kind| kind.1).max().unwrap_or(0);
    let need = u64::from(depth) + u64::from(tokens);
    let training = (ContextLimit::Training, u64::from(info.shape.training_context));
    let asked = tests
        .context
        .map(|context| (ContextLimit::Asked, u64::from(context)));
    let (limited_by, limit) = asked
        .into_iter()
        .chain([training])
        .min_by_key(|limit| limit.1)
        .unwrap_or(training);
    if need > limit {
        return Err(PlanError::TooDeep {
            model: info.model.name.clone(),
            tokens,
            depth,
            need,
            limited_by,
            limit,
        });
    }
    Ok(tests.context.unwrap_or(u32::try_from(need).unwrap_or(u32::MAX)))
}

/// Memory that a process takes besides weights and cache: program, vocabulary, compute buffers. Generous: it decides
/// only how many processes stay alive at once.
const PROCESS_BYTES: u64 = 384 << 20;

/// Splits the cases into groups that fit into `available` bytes together; those of a group take turns, round by
/// round, and the groups follow one another. Without this, waiting processes would push each other's weights out
/// of memory. Models mapped by several processes of a group count once.
pub(crate) fn groups(subjects: &[Subject], cases: &[Case], available: u64) -> Vec<Vec<usize>> {
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
        let values = subject.setups[case.setup].values();
        let copies = u64::from(!values.mmap)
            + u64::from(values.repack)
            + u64::from(values.mmap && mapped.insert(case.subject));
        subject.info.model.file_bytes * copies
            + subject.info.shape.kv_bytes(values.cache_type, case.context)
            + PROCESS_BYTES
    };
    group.iter().map(one).sum()
}

#[cfg(test)]
pub(crate) mod tests;
