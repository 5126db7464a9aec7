//! What will be measured, in which order: pure data, made and checked before anything runs.

use std::path::PathBuf;

use siskin_device::settings::{CacheType, Resolved, Values};
use siskin_model::shape::{CONTEXT_STEP, Shape};

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

    /// Threads that compute this test. llama.cpp takes those of decoding for a single token, and those of prompts for
    /// more.
    pub(crate) fn threads(&self, test: Test) -> usize {
        match test.kind {
            Kind::Decode => self.values().threads,
            Kind::Verify | Kind::Parallel if test.tokens <= 1 => self.values().threads,
            Kind::Prefill | Kind::Verify | Kind::Parallel => self.values().threads_batch,
        }
    }
}

/// What to measure of every model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Lengths of prompts; 0 for none.
    pub prompts: Vec<u32>,
    /// Tokens to decode; 0 for none.
    pub decodes: Vec<u32>,
    /// Tokens of a pass of one sequence, with logits after each; 0 for none. A pass of one token is measured too.
    pub verifies: Vec<u32>,
    /// Sequences of a pass over one token each; 0 for none. A pass of one sequence is measured too.
    pub parallels: Vec<u32>,
    /// Tokens in the context before, in every sequence.
    pub depths: Vec<u32>,
    /// The context's length; `None` for as long as the tests need. Tests of several sequences always have that.
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
    /// The context's length in tokens, of each sequence.
    pub(crate) context: u32,
    /// Sequences in the context.
    pub(crate) sequences: u32,
    /// In this order.
    pub(crate) tests: Vec<Test>,
}

impl Case {
    /// Bytes of the KV cache, of all its sequences together.
    pub(crate) fn kv_bytes(&self, shape: &Shape, cache_type: CacheType) -> u64 {
        shape.kv_bytes(cache_type, self.context) * u64::from(self.sequences)
    }
}

/// What cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing would be repeated.
    #[error("there must be at least 1 repetition")]
    NoRounds,
    /// No test is left.
    #[error("nothing to measure: every length is 0")]
    NoTests,
    /// Threads of a kind of test are none.
    #[error("0 threads for {}: at least 1 is needed", match .0 { Kind::Decode => "decoding", _ => "the prompt" })]
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
    let groups = kinds(tests)?;
    let mut cases = Vec::new();
    // Depth outermost, so that models and setups at the same depth take turns with each other.
    for &depth in &tests.depths {
        for (subject, Subject { info, setups, .. }) in subjects.iter().enumerate() {
            let contexts = groups.iter().map(|kinds| context(info, tests, depth, kinds));
            let contexts = contexts.collect::<Result<Vec<u32>, _>>()?;
            for (index, setup) in setups.iter().enumerate() {
                check_threads(setup)?;
                for (kinds, &context) in groups.iter().zip(&contexts) {
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
                        sequences: sequences(kinds),
                        tests: tests.collect(),
                    });
                }
            }
        }
    }
    Ok(cases)
}

/// The longest context that a model's tests need, in tokens of all sequences together.
///
/// # Errors
/// There is nothing to measure, or a context is too short for a test.
pub fn longest_context(info: &ModelInfo, tests: &Tests) -> Result<u32, PlanError> {
    let groups = kinds(tests)?;
    let each = |depth: u32| groups.iter().map(move |kinds| (depth, kinds));
    let mut contexts = tests.depths.iter().flat_map(|&depth| each(depth));
    contexts.try_fold(1, |longest, (depth, kinds)| {
        let (context, sequences) = (context(info, tests, depth, kinds)?, sequences(kinds));
        // Each of several has a cache of its own, in whole steps.
        let step = if sequences > 1 { CONTEXT_STEP } else { 1 };
        let cells = u64::from(context).next_multiple_of(step) * u64::from(sequences);
        Ok(u32::try_from(cells).unwrap_or(u32::MAX).max(longest))
    })
}

/// Tests of one process: what they compute, and how many tokens.
type Kinds = Vec<(Kind, u32)>;

/// What is computed at each depth, by process: prefills, decodes and passes of one sequence; then passes of several,
/// whose cache would count in the memory of the others.
fn kinds(tests: &Tests) -> Result<Vec<Kinds>, PlanError> {
    if tests.rounds == 0 {
        return Err(PlanError::NoRounds);
    }
    let lengths = |kind, list: &[u32]| -> Kinds {
        let some = list.iter().filter(|&&tokens| tokens > 0);
        some.map(|&tokens| (kind, tokens)).collect()
    };
    let one = [
        lengths(Kind::Prefill, &tests.prompts),
        lengths(Kind::Decode, &tests.decodes),
        lengths(Kind::Verify, &with_one(&tests.verifies)),
    ];
    let several = lengths(Kind::Parallel, &with_one(&tests.parallels));
    let mut groups = vec![one.concat(), several];
    groups.retain(|kinds| !kinds.is_empty());
    if groups.is_empty() {
        return Err(PlanError::NoTests);
    }
    Ok(groups)
}

/// The lengths of passes in order, with 1, which the others are compared with; empty if there is none.
fn with_one(list: &[u32]) -> Vec<u32> {
    let mut all: Vec<u32> = list.iter().copied().filter(|&tokens| tokens > 0).collect();
    if !all.is_empty() {
        all.push(1);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The sequences that a process's context needs.
fn sequences(kinds: &Kinds) -> u32 {
    let parallel = kinds.iter().filter(|kind| kind.0 == Kind::Parallel);
    parallel.map(|kind| kind.1).max().unwrap_or(1)
}

fn check_threads(setup: &Setup) -> Result<(), PlanError> {
    let values = setup.values();
    match (values.threads, values.threads_batch) {
        (0, _) => Err(PlanError::NoThreads(Kind::Decode)),
        (_, 0) => Err(PlanError::NoThreads(Kind::Prefill)),
        _ => Ok(()),
    }
}

/// The context that the tests need in each sequence; an error if the model's, or the one asked for, is shorter.
fn context(info: &ModelInfo, tests: &Tests, depth: u32, kinds: &Kinds) -> Result<u32, PlanError> {
    let in_one = |&(kind, tokens): &(Kind, u32)| match kind {
        Kind::Parallel => 1,
        Kind::Prefill | Kind::Decode | Kind::Verify => tokens,
    };
    let tokens = kinds.iter().map(in_one).max().unwrap_or(0);
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
    let asked = tests.context.filter(|_| sequences(kinds) == 1);
    Ok(asked.unwrap_or(u32::try_from(need).unwrap_or(u32::MAX)))
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
            + case.kv_bytes(&subject.info.shape, values.cache_type)
            + PROCESS_BYTES
    };
    group.iter().map(one).sum()
}

#[cfg(test)]
pub(crate) mod tests;
