//! One round of `siskin tune`, in a process of its own: loads, feeds, decodes, prints what it took.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use siskin::device::memory::Memory;
use siskin::device::tune::Sample;
use siskin::device::tuned::Tunable;
use siskin::engine::{Model, ModelOptions, Session, SessionOptions, Token};
use siskin::kernel;

/// What to measure.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) trial: Tunable,
    /// Tokens of the prompt.
    pub(crate) prompt: usize,
    /// Tokens decoded.
    pub(crate) decode: usize,
}

/// What is fed: speed does not depend on what a text says.
const TEXT: &str = "The river was low that summer, and the old bridge stood with dry feet among the reeds. ";

pub(crate) fn main(path: Option<&Path>, round: &str) -> anyhow::Result<ExitCode> {
    let round: Round = serde_json::from_str(round).context("--round")?;
    let Round { trial, .. } = round;
    kernel::select(&(&trial).into());
    let model = Model::open(path, &ModelOptions::of(&trial, false))?;
    let context = (round.prompt + round.decode + 16).min(model.training_context().max(64) as usize);
    let options = SessionOptions::of(&trial, Some(u32::try_from(context)?));
    let mut session = Session::new(&model, &options)?;
    let sample = measure(&mut session, &model, &round, context)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&sample)?)?;
    Ok(ExitCode::SUCCESS)
}

fn measure(
    session: &mut Session<'_>,
    model: &Model,
    round: &Round,
    context: usize,
) -> anyhow::Result<Sample> {
    let tokens = model.tokenize(TEXT, true, false);
    // Short texts leave room for the tokens decoded, and for one that wakes caches and threads.
    let decode = round.decode.min(context / 4);
    let prompt: Vec<Token> = tokens
        .iter()
        .copied()
        .cycle()
        .take(round.prompt.min(context - decode - 1))
        .collect();
    session.feed(&prompt[..1])?;
    let start = Instant::now();
    session.feed(&prompt[1..])?;
    let prefill = (prompt.len() - 1) as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for token in prompt.iter().cycle().take(decode) {
        session.feed(std::slice::from_ref(token))?;
    }
    Ok(Sample {
        prefill,
        decode: decode as f64 / start.elapsed().as_secs_f64(),
        peak_rss_bytes: Memory::now().peak_bytes.unwrap_or(0),
    })
}
