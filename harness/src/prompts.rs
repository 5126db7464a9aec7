//! Measures what guessing tokens is worth on real texts: each prompt is answered without and with guesses, one directly
//! after the other.
//!
//! ```text
//! file ─► prompts, kind after kind in turn ─► pair: off, on (a coin decides the order) ─► groups by kind ─► tables
//! ```
//!
//! Unlike the other measurements it is of one model in one process: both sides of a pair have the same settings, the same
//! memory, and within a second or so the same clock, so whatever drifts affects both and cancels out in their ratio. The
//! prompt is computed anew for either side, and a side begins with drafters and an acceptance table that know nothing of
//! earlier texts (the table may be kept if the request says so). What passes cost is kept from pair to pair: it is the
//! machine's, not the text's.

mod file;
mod outcome;
mod pair;
mod render;
mod summary;
mod timed;

use std::sync::atomic::{AtomicBool, Ordering};

use siskin_device::probe::Root;
use siskin_runtime::chat::{ChatError, Message, Role, Template, tokenize};
use siskin_runtime::speculate::{Acceptance, Drafter, PassTimes};
use siskin_runtime::{Error, SamplerConfig, Sampling, Session, Token, Tokenize};

use crate::cpu_load::{CpuLoad, Watch};
use crate::heat::{self, State};
use crate::stats::Random;
use crate::{Event, nothing_measured};

pub use file::{FileProblem, Prompt, Prompts, parse};
pub use outcome::{Extreme, Group, Pair, PromptResults, SCHEMA_VERSION, Settings};
pub use render::{Format, render};

use pair::Bench;

/// Pairs with fewer tokens are left out of the speed-up: they measure how texts begin.
pub const FEWEST_TOKENS: usize = 16;

/// Passes before the first pair, which wake the threads and fill the caches.
const WAKE_UP: usize = 16;

/// What is measured, and with what.
#[allow(missing_debug_implementations)] // a closure
pub struct Request<'r> {
    /// The prompts, in the order in which they are measured.
    pub prompts: Prompts,
    /// The chat template; `None` to continue the prompts as they are.
    pub template: Option<Template>,
    /// Tokens to draw for each prompt, if the model does not end the text before.
    pub tokens: usize,
    /// How tokens are chosen, with a seed.
    pub sampler: SamplerConfig,
    /// Decides with which side each pair begins.
    pub seed: u64,
    /// Makes the drafters of one text; `None` if nothing is to be guessed, which shows how much two equal sides differ.
    pub drafters: Option<&'r dyn Fn() -> Vec<Box<dyn Drafter>>>,
    /// What passes cost, as far as it was measured before.
    pub times: PassTimes,
    /// Whether how often guesses were right is kept from prompt to prompt, as a user's own texts have it.
    pub keeps_acceptance: bool,
    /// How the tokens are guessed, as the results name it.
    pub spec: String,
    /// The model, as the results name it.
    pub model: crate::result::Model,
    /// The command line.
    pub command: String,
    /// When this begins, RFC 3339.
    pub date_utc: String,
}

/// The prompts could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptsError {
    /// A prompt cannot be put on the template.
    #[error("line {line}: {source}")]
    Prompt {
        /// The line in the file, from 1.
        line: usize,
        /// Why not.
        source: ChatError,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// Measures prompt after prompt until all are done or `interrupted` is true; the results then have what was measured
/// before.
///
/// # Errors
/// The model would not give the same text with guesses, the template refuses a prompt, or llama.cpp fails.
pub fn run(
    mut session: Session,
    request: Request<'_>,
    interrupted: &AtomicBool,
    mut on_event: impl FnMut(Event<'_>),
) -> Result<PromptResults, PromptsError> {
    if request.drafters.is_some() {
        session.model().check_speculation()?;
    }
    let (watch, busy) = Watch::begin();
    busy.iter().for_each(|busy| on_event(Event::Busy(busy)));
    let mut notes: Vec<String> = busy.iter().map(CpuLoad::at_start).collect();
    let root = Root::system();
    let before = State::now(&root);
    let mut results = results(&request, &session);
    wake_up(&mut session)?;
    let mut coin = Random::seeded(request.seed);
    let mut bench = Bench {
        session,
        sampling: Sampling {
            config: request.sampler,
            max_tokens: Some(request.tokens),
            stop: vec![],
        },
        drafters: request.drafters,
        times: request.times.clone(),
        acceptance: Acceptance::default(),
        keeps_acceptance: request.keeps_acceptance,
        interrupted,
    };
    let total = request.prompts.list.len();
    for (done, prompt) in request.prompts.list.iter().enumerate() {
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
        let what = prompt.name();
        on_event(Event::Step {
            done,
            total,
            what: &what,
        });
        let on_first = coin.coin();
        let Some(tokens) = tokens(&bench.session, request.template.as_ref(), prompt, request.tokens)? else {
            results.too_long.push(what);
            continue;
        };
        match bench.pair(prompt, &tokens, on_first)? {
            Some(pair) => results.pairs.push(pair),
            None => break,
        }
    }
    results.interrupted = interrupted.load(Ordering::Relaxed);
    let heat = heat::between(&before, &State::now(&root));
    if heat.is_some_and(|heat| heat.throttled == Some(true)) {
        notes.push("the machine throttled while this was measured".into());
    }
    notes.extend(watch.end().notes());
    (results.kinds, results.all) = summary::groups(&results.pairs);
    notes.extend(summary::notes(&results));
    results.notes = notes;
    // The process ends soon, and the system takes the context's memory back faster.
    std::mem::forget(bench);
    Ok(results)
}

/// Results before anything was measured.
fn results(request: &Request<'_>, session: &Session) -> PromptResults {
    let about = nothing_measured(&request.command, &request.date_utc);
    let values = session.model().settings().values;
    PromptResults {
        schema_version: SCHEMA_VERSION,
        command: about.command,
        date_utc: about.date_utc,
        siskin_version: about.siskin_version,
        llama_cpp_version: about.llama_cpp_version,
        machine: about.machine,
        model: request.model.clone(),
        settings: Settings {
            spec: request.spec.clone(),
            keeps_acceptance: request.keeps_acceptance,
            chat_template: request.template.is_some(),
            tokens: request.tokens,
            sampler: request.sampler,
            seed: request.seed,
            context_tokens: session.capacity(),
            threads: values.threads,
            threads_batch: values.threads_batch,
        },
        prompts: request.prompts.list.len(),
        duplicates: request.prompts.duplicates,
        too_long: vec![],
        interrupted: false,
        notes: vec![],
        all: Group::default(),
        kinds: vec![],
        pairs: vec![],
    }
}

/// The tokens of a prompt; `None` if they and the text that follows do not fit into the context.
fn tokens(
    session: &Session,
    template: Option<&Template>,
    prompt: &Prompt,
    more: usize,
) -> Result<Option<Vec<Token>>, PromptsError> {
    let model = session.model();
    let capacity = session.capacity() as usize;
    // What cannot fit whatever its tokens are is not tokenized.
    if model.fewest_tokens(prompt.text.len() as u64) > u64::from(session.capacity()) {
        return Ok(None);
    }
    let tokens = match template {
        Some(template) => {
            let message = Message {
                role: Role::User,
                content: prompt.text.clone(),
            };
            tokenize(model, template, &[message]).map_err(|source| PromptsError::Prompt {
                line: prompt.line,
                source,
            })?
        }
        None => model.tokenize(&prompt.text, Tokenize::PROMPT),
    };
    let fits = tokens.len().saturating_add(more) <= capacity;
    Ok(Some(tokens).filter(|tokens| fits && !tokens.is_empty()))
}

/// Wakes the threads; nothing of it stays.
fn wake_up(session: &mut Session) -> Result<(), Error> {
    let tokens = session.model().tokenize("a", Tokenize::PROMPT);
    let passes = tokens.first().into_iter().cycle().take(WAKE_UP);
    for token in passes.take(session.capacity() as usize) {
        session.decode(&[*token])?;
    }
    session.truncate(0)
}

#[cfg(test)]
mod tests;
