//! One prompt, answered without and with guesses.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use siskin_runtime::speculate::{Acceptance, Drafter, Judge, PassTimes, Speculation, Speculator};
use siskin_runtime::{Error, Sampling, Session, StopReason, Token};

use super::outcome::Pair;
use super::timed::Stopwatch;
use super::{FEWEST_TOKENS, Prompt};

/// What answers the prompts.
pub(super) struct Bench<'b> {
    pub(super) session: Session,
    pub(super) sampling: Sampling,
    pub(super) drafters: Option<&'b dyn Fn() -> Vec<Box<dyn Drafter>>>,
    /// What passes cost, as far as it is known.
    pub(super) times: PassTimes,
    /// What a text begins with: nothing, unless it is kept.
    pub(super) acceptance: Acceptance,
    pub(super) keeps_acceptance: bool,
    pub(super) interrupted: &'b AtomicBool,
}

/// A text, and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Side {
    pub(super) tokens: Vec<Token>,
    pub(super) text: String,
    pub(super) stop: Option<StopReason>,
    /// From the end of the prompt to the end of the text. What drafters do with the prompt is part of it.
    pub(super) seconds: f64,
    /// Tokens computed after the prompt that are part of the text.
    pub(super) computed: usize,
    pub(super) speculation: Option<Speculation>,
    /// Seconds of the drafters, for the prompt and after it.
    pub(super) prompt_drafter: f64,
    pub(super) drafter: f64,
}

impl Bench<'_> {
    /// Answers one prompt twice, with guesses first or last; `None` if the user asked to stop meanwhile.
    pub(super) fn pair(
        &mut self,
        prompt: &Prompt,
        tokens: &[Token],
        on_first: bool,
    ) -> Result<Option<Pair>, Error> {
        let mut sides = [None, None];
        for on in [on_first, !on_first] {
            let Some(side) = self.side(tokens, on)? else {
                return Ok(None);
            };
            sides[usize::from(on)] = Some(side);
        }
        let [off, on] = sides.map(Option::unwrap_or_default);
        Ok(Some(pair(prompt, tokens.len(), on_first, off, on)))
    }

    fn side(&mut self, prompt: &[Token], on: bool) -> Result<Option<Side>, Error> {
        let watch = Stopwatch::default();
        let drafters = self.drafters.filter(|_| on).map(|make| watch.on(make()));
        let speculator = drafters.map(|drafters| {
            Speculator::new(drafters, Judge::new(self.times.clone(), self.acceptance.clone()))
        });
        self.session.set_speculator(None)?;
        self.session.truncate(0)?;
        self.session.set_speculator(speculator)?;
        if !self.session.decode_until(prompt, Some(self.interrupted))? {
            return Ok(None);
        }
        let begun = Instant::now();
        let mut generation = self
            .session
            .generate_from(&[], &self.sampling, Some(self.interrupted))?;
        let prompt_drafter = watch.total();
        for piece in &mut generation {
            piece?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let mut side = Side {
            tokens: generation.tokens().to_vec(),
            text: generation.text().to_owned(),
            stop: generation.stop_reason(),
            seconds,
            speculation: generation.speculation().cloned(),
            prompt_drafter: prompt_drafter.as_secs_f64(),
            drafter: (watch.total() - prompt_drafter).as_secs_f64(),
            computed: 0,
        };
        side.computed = self.session.len().saturating_sub(prompt.len());
        if let Some(speculator) = self.session.speculator() {
            self.times = speculator.judge().times().clone();
            if self.keeps_acceptance {
                self.acceptance = speculator.judge().acceptance().clone();
            }
        }
        Ok((side.stop != Some(StopReason::Interrupted)).then_some(side))
    }
}

/// What a pair came to.
pub(super) fn pair(prompt: &Prompt, prompt_tokens: usize, on_first: bool, off: Side, on: Side) -> Pair {
    let text = |side: &Side| (side.tokens.clone(), side.text.clone(), side.stop);
    let same = text(&off) == text(&on);
    let differs_at = off.tokens.iter().zip(&on.tokens).position(|(a, b)| a != b);
    let counts = same && off.tokens.len() >= FEWEST_TOKENS && off.seconds > 0.0 && on.seconds > 0.0;
    Pair {
        kind: prompt.kind.clone(),
        id: prompt.id.clone(),
        line: prompt.line,
        prompt_tokens,
        tokens: off.tokens.len(),
        computed_tokens: off.computed,
        stop: off.stop,
        on_first,
        off_seconds: off.seconds,
        on_seconds: on.seconds,
        speed_up: counts.then(|| off.seconds / on.seconds),
        same_text: same,
        differs_at: (!same).then(|| differs_at.unwrap_or(off.tokens.len().min(on.tokens.len()))),
        prompt_drafter_seconds: on.prompt_drafter,
        drafter_seconds: on.drafter,
        speculation: on.speculation,
    }
}
