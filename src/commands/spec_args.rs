//! The flags of speculative decoding, shared by the commands that make text.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use siskin::device::paths;
use siskin::speculate::{
    self, Acceptance, DraftModel, Drafter, Judge, LoadRememberedError, PassTimes, Remembered,
    SaveRememberedError, SharedRemembered, Speculation, Speculator,
};
use siskin::{Builder, Error, Model, Session};

use super::notices;
use crate::interrupt;

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SpecArgs {
    /// Guess tokens and compute several at once, which is faster and gives the same text: auto and lookup guess from this
    /// text and earlier ones; draft=FILE asks a smaller model with the same vocabulary, too; off
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) spec: Spec,
    /// Neither read nor write the file of word sequences from earlier texts, from which tokens are guessed
    #[arg(long)]
    no_remember: bool,
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

/// What is kept when a text has ended.
#[derive(Debug, Default)]
pub(crate) struct Remembering {
    file: Option<(PathBuf, SharedRemembered)>,
    /// Why nothing is guessed, though it was left to siskin.
    pub(crate) off: Option<String>,
}

impl SpecArgs {
    /// Has the session guess, as was typed. `times` is what was measured of its model, `builder` makes the way to
    /// load another.
    pub(crate) fn apply(
        &self,
        session: &mut Session,
        times: PassTimes,
        builder: impl FnOnce(&Path) -> anyhow::Result<Builder>,
    ) -> anyhow::Result<Remembering> {
        if self.spec == Spec::Off {
            return Ok(Remembering::default());
        }
        if let Err(error) = session.check_speculation() {
            return match (error, &self.spec) {
                (Error::NotExact(reason), Spec::Auto) => Ok(Remembering {
                    off: Some(reason.to_string()),
                    ..Remembering::default()
                }),
                (error, _) => Err(error.into()),
            };
        }
        let remembering = Remembering {
            file: if self.no_remember {
                None
            } else {
                open(session.model())
            },
            off: None,
        };
        let draft = self.spec.load(session.model(), session.capacity(), builder)?;
        let mut drafters = self.spec.drafters(draft.as_ref())?;
        let mut acceptance = None;
        if let Some((_, remembered)) = &remembering.file {
            acceptance = Acceptance::from_bytes(remembered.lock().extra());
            drafters.push(Box::new(remembered.clone()));
        }
        let judge = Judge::new(times, acceptance.unwrap_or_default());
        session.set_speculator(Some(Speculator::new(drafters, judge)))?;
        Ok(remembering)
    }
}

/// The file of a model's remembered tokens, and what it holds; `None` if the user has no folder for it.
fn open(model: &Model) -> Option<(PathBuf, SharedRemembered)> {
    let key = model.remembered_key();
    let name: String = key
        .model
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = paths::state()?.join("remembered").join(name);
    let remembered = match Remembered::load(&path, key) {
        Ok(remembered) => remembered,
        // What cannot be read is not written either. Without a folder there is nothing to say.
        Err(LoadRememberedError::File(error)) => {
            let source =
                std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
            if source.is_none_or(|source| source.kind() != std::io::ErrorKind::NotADirectory) {
                say!("siskin: {error}; nothing is remembered");
            }
            return None;
        }
        Err(error) => {
            say!("siskin: {error}; it is written anew");
            Remembered::new(key)
        }
    };
    Some((path, SharedRemembered::new(remembered)))
}

impl Remembering {
    /// Writes what was learned. A failure is told, and changes nothing else: the text is there. A user without a folder of
    /// his own, as that of a service, has nothing remembered.
    pub(crate) fn save(&self, session: &Session) {
        let (Some((path, remembered)), Some(speculator)) = (&self.file, session.speculator()) else {
            return;
        };
        let mut remembered = remembered.lock();
        remembered.set_extra(speculator.judge().acceptance().to_bytes());
        match remembered.save(path) {
            Ok(()) | Err(SaveRememberedError::Folder { .. }) => {}
            Err(error) => say!("siskin: {error}"),
        }
    }
}

/// A smaller model, and the tokens that it has in common with the larger.
#[derive(Debug)]
pub(crate) struct DraftFile {
    model: Model,
    common: u32,
}

impl Spec {
    /// Loads the smaller model, if there is to be one, and checks that it guesses for `target`, whose context has so many
    /// tokens.
    pub(crate) fn load(
        &self,
        target: &Model,
        context: u32,
        builder: impl FnOnce(&Path) -> anyhow::Result<Builder>,
    ) -> anyhow::Result<Option<DraftFile>> {
        let Spec::Draft(path) = self else {
            return Ok(None);
        };
        let builder = builder(path)?;
        let shape = builder.clone().plan()?.shape;
        // Past its training length it guesses badly, and past the larger model's context nothing.
        let builder = match &shape {
            Some(shape) => builder.context(shape.training_context.min(context)),
            None => builder,
        };
        let plan = builder.plan_for(shape)?;
        notices::print(&plan.notices);
        let model = plan.load()?;
        let agreement = target
            .agreement(&model)
            .map_err(Error::Draft)
            .with_context(|| path.display().to_string())?;
        Ok(Some(DraftFile {
            model,
            common: agreement.common,
        }))
    }

    /// New drafters, which know no text; none if tokens are not guessed.
    pub(crate) fn drafters(&self, draft: Option<&DraftFile>) -> Result<Vec<Box<dyn Drafter>>, Error> {
        if *self == Spec::Off {
            return Ok(Vec::new());
        }
        let mut drafters = speculate::lookup();
        if let Some(DraftFile { model, common }) = draft {
            let mut draft = DraftModel::new(model.session()?, *common);
            draft.stop_on(interrupt::listen());
            drafters.push(Box::new(draft));
        }
        Ok(drafters)
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

/// One line of what guessing came to.
pub(crate) fn line(counts: &Speculation) -> String {
    let number = |value: Option<f64>| value.map_or("unmeasured".into(), |value| format!("{value:.1}"));
    format!(
        "guessed  {} of {} tokens right, {} tokens a pass; without about {} tokens/s",
        counts.accepted,
        counts.drafted,
        number(counts.mean_accepted_length),
        number(counts.tokens_per_second_without)
    )
}
