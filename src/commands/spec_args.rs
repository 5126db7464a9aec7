//! The flags of speculative decoding, shared by the commands that make text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use siskin::device::tuned::Tuned;
use siskin::speculate::{Acceptance, Drafter, History, Judge, PassTimes, Speculation, Speculator};
use siskin::{Error, Session};

/// The depth at which `siskin tune` measured what counts here: in the middle of usual texts.
const DEPTH: u32 = 512;

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SpecArgs {
    /// Guess tokens and compute several at once, which is faster and gives the same text: auto or lookup guess from the
    /// text so far and from earlier ones, draft=FILE by a smaller model with the same vocabulary; off
    #[arg(long, value_name = "HOW", default_value = "auto")]
    spec: Spec,
}

/// How tokens are guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spec {
    /// By lookup, if the text stays the same.
    Auto,
    /// Not.
    Off,
    /// By lookup; an error if the text might change.
    Lookup,
    /// By lookup and by the model in this file.
    Draft(PathBuf),
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("draft", "")) => Err("draft= needs the file of a model".into()),
            Some(("draft", file)) => Ok(Spec::Draft(file.into())),
            None if text == "auto" => Ok(Spec::Auto),
            None if text == "off" => Ok(Spec::Off),
            None if text == "lookup" => Ok(Spec::Lookup),
            _ => Err("expected auto, off, lookup or draft=FILE".into()),
        }
    }
}

impl SpecArgs {
    /// Has the session guess, as was typed. `tuned` is what was measured of its model.
    pub(crate) fn apply(&self, session: &mut Session, tuned: Option<&Tuned>) -> anyhow::Result<()> {
        let Some(drafters) = self.spec.drafters() else {
            return Ok(());
        };
        let speculator = Speculator::new(drafters, Judge::new(times(tuned), Acceptance::default()));
        match session.set_speculator(Some(speculator)) {
            Err(Error::NotExact(_)) if self.spec == Spec::Auto => Ok(()),
            done => Ok(done?),
        }
    }
}

impl Spec {
    /// New drafters, which know no text; `None` if tokens are not guessed.
    pub(crate) fn drafters(&self) -> Option<Vec<Box<dyn Drafter>>> {
        match self {
            Spec::Off => None,
            Spec::Auto | Spec::Lookup | Spec::Draft(_) => Some(vec![Box::new(History::new())]),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Auto => f.write_str("auto"),
            Spec::Off => f.write_str("off"),
            Spec::Lookup => f.write_str("lookup"),
            Spec::Draft(file) => write!(f, "draft={}", file.display()),
        }
    }
}

/// What passes cost, as far as it was measured.
pub(crate) fn times(tuned: Option<&Tuned>) -> PassTimes {
    PassTimes::new(|tokens| tuned?.pass_cost(tokens, DEPTH))
}

/// One line of what guessing came to.
pub(crate) fn line(counts: &Speculation) -> String {
    let number = |value: Option<f64>| value.map_or("unmeasured".into(), |value| format!("{value:.1}"));
    format!(
        "guessed  {} of {} tokens right, {} a pass; without about {} tokens/s",
        counts.accepted,
        counts.drafted,
        number(counts.mean_accepted_length),
        number(counts.tokens_per_second_without)
    )
}
