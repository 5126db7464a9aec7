//! A model and another that guesses for it: whether they can, and what it would gain.

use serde::Serialize;
use siskin::device::probe::Machine;
use siskin::device::tuned::{self, Tuned};
use siskin::speculate::pair::{self, LEAST_GAIN, MOST_GUESSES};
use siskin_model::shape::Shape;
use siskin_model::tokenizer::agreement::{Agreement, agreement};

use super::Subject;
use crate::render::size;

/// Shares of guesses that are accepted, for the table.
const ACCEPTANCE: [f64; 6] = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Tokens in the context at which passes are compared.
const DEPTH: u32 = 512;

/// Passes whose time is known, by the tokens that they compute: the last and all guesses.
const PASSES: usize = MOST_GUESSES as usize + 1;

/// What is known of the pair. None of its gains is measured.
#[derive(Serialize)]
pub(super) struct Pair {
    architecture: String,
    file_type: String,
    blocks: u64,
    /// Tokens that the draft was trained on: past them it guesses nothing.
    training_context: u32,
    /// Why `siskin run` would refuse the draft.
    run_refuses: Option<String>,
    /// Whether the tokens of both are known, so that they were compared.
    vocabulary_compared: bool,
    /// What they have in common.
    vocabulary: Option<Agreement>,
    /// Why the draft cannot guess for this model.
    pub(super) vocabulary_refusal: Option<String>,
    /// What guessing a token costs, relative to one token of the model.
    guess_cost: f64,
    /// Whether tune measured that; else it follows from the bytes that are read.
    guess_cost_measured: bool,
    /// Bytes of weights that a token reads: the draft's, the model's.
    bytes_per_token: [u64; 2],
    /// The time of a pass over one token, two, …, relative to one.
    pass_times: [f64; PASSES],
    /// Whether tune measured that; else it is assumed.
    pass_times_measured: bool,
    /// The least share of guesses that must be accepted for 2 % more speed.
    break_even: Option<f64>,
    computed: Vec<Gain>,
}

/// What is computed for a share of accepted guesses.
#[derive(Serialize)]
struct Gain {
    acceptance: f64,
    guesses: u32,
    speed_up: f64,
}

impl Pair {
    /// `machine` is this one, if the plan is for it: then what tune has measured counts.
    pub(super) fn new(target: &Subject, draft: &Subject, machine: Option<&Machine>) -> Self {
        let vocabularies = target.vocabulary.as_ref().zip(draft.vocabulary.as_ref());
        let compared = vocabularies.map(|(target, draft)| agreement(target, draft));
        let (vocabulary, refusal) = match compared {
            Some(Ok(common)) => (Some(common), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let [target_tuned, draft_tuned] = machine.map_or([None, None], |machine| {
            measured(machine, [&target.shape, &draft.shape])
        });
        let both = target_tuned.as_ref().zip(draft_tuned.as_ref());
        let measured_cost = both.map(|(target, draft)| {
            target.decode_tokens_per_second / draft.decode_tokens_per_second.max(f64::MIN_POSITIVE)
        });
        let bytes_per_token = [&draft.shape, &target.shape].map(|shape| shape.weight_bytes_per_token);
        let [ours, theirs] = bytes_per_token.map(|bytes| bytes.max(1) as f64);
        let guess_cost = measured_cost.unwrap_or(ours / theirs);
        let measured_times = target_tuned.as_ref().and_then(times);
        let pass_times = measured_times.unwrap_or_else(|| every(pair::assumed_time));
        let time = |tokens: u32| {
            let found = pass_times.get((tokens as usize).wrapping_sub(1));
            found.copied().unwrap_or(f64::NAN)
        };
        let computed = ACCEPTANCE.map(|acceptance| {
            let (guesses, speed_up) = pair::best(acceptance, MOST_GUESSES, time, guess_cost);
            Gain {
                acceptance,
                guesses,
                speed_up,
            }
        });
        Pair {
            architecture: draft.shape.arch.clone(),
            file_type: draft.file_type.clone(),
            blocks: draft.shape.layers,
            training_context: draft.shape.training_context,
            run_refuses: draft.run_refuses.clone(),
            vocabulary_compared: vocabularies.is_some(),
            vocabulary,
            vocabulary_refusal: refusal,
            guess_cost,
            guess_cost_measured: measured_cost.is_some(),
            bytes_per_token,
            pass_times,
            pass_times_measured: measured_times.is_some(),
            break_even: pair::break_even(MOST_GUESSES, LEAST_GAIN, time, guess_cost),
            computed: computed.into(),
        }
    }

    /// Lines in the columns of the plan's table; the model has a context of so many tokens.
    pub(super) fn table(&self, context: u32) -> String {
        let line = |what: &str, value: &str, detail: &str| format!("{what:<16}{value:>9}  {detail}\n");
        let blocks = format!("{} of {} blocks", self.architecture, self.blocks);
        let mut text = line("draft", &self.file_type, &blocks);
        let (count, common) = self.common();
        text += &line("same tokens", &count, &common);
        if self.training_context < context {
            let trained = self.training_context.to_string();
            text += &line(
                "draft limit",
                &trained,
                "tokens, its training length: past them it guesses nothing",
            );
        }
        if let Some(reason) = &self.run_refuses {
            text += &line("", "", &format!("but run would refuse it: {reason}"));
        }
        let cost = if self.guess_cost_measured {
            "of a token's time, as siskin tune measured both".to_owned()
        } else {
            let [draft, target] = self.bytes_per_token.map(size::bytes);
            format!("of a token's time: weights of {draft}, not {target}")
        };
        text += &line("a guess takes", &format!("{:.2}", self.guess_cost), &cost);
        let last = self.pass_times.last().copied().unwrap_or_default();
        let how = if self.pass_times_measured {
            "times one token's, as siskin tune measured"
        } else {
            "times one token's: assumed; siskin tune measures it"
        };
        text += &line(&format!("a pass of {PASSES}"), &format!("{last:.2}"), how);
        text += &match self.break_even {
            Some(share) => line(
                "break-even",
                &format!("{share:.2}"),
                "of the guesses must be accepted for 2 % more speed",
            ),
            None => line(
                "break-even",
                "none",
                "guesses that are always accepted gain less than 2 %",
            ),
        };
        let row = |what: &str, value: &dyn Fn(&Gain) -> String| {
            let mut cells = self.computed.iter().map(value);
            let first = format!("{what:<16}{:>9}", cells.next().unwrap_or_default());
            cells.fold(first, |row, cell| row + &format!("{cell:>7}")) + "\n"
        };
        text += &row("accepted", &|gain| format!("{:.1}", gain.acceptance));
        text += &row("best guesses", &|gain| gain.guesses.to_string());
        text += &row("times as fast", &|gain| format!("{:.2}", gain.speed_up));
        text + "computed, not measured: what is accepted depends on the models and the text\n"
    }

    /// What of the vocabularies is the same: how many tokens, and what else is to be known.
    fn common(&self) -> (String, String) {
        let Some(found) = &self.vocabulary else {
            return ("?".to_owned(), "not compared: a tokenizer is missing".to_owned());
        };
        let mut text = "tokens mean the same".to_owned();
        for (more, whose) in [(found.only_target, "the model"), (found.only_draft, "the draft")] {
            if more > 0 {
                text += &format!("; {whose} has {more} more");
            }
        }
        (found.common.to_string(), text)
    }
}

/// What tune found for two models on this machine.
fn measured(machine: &Machine, shapes: [&Shape; 2]) -> [Option<Tuned>; 2] {
    let Some(path) = tuned::path() else {
        return [None, None];
    };
    let [target, draft] = shapes.map(|shape| tuned::load(&path, &tuned::key(machine, shape)));
    // A file that cannot be read is the same for both.
    if let Err(error) = &target {
        say!("siskin: warning: {error}");
    }
    [target, draft].map(Result::unwrap_or_default)
}

/// T(n) as tune measured it; `None` if it did not measure all.
fn times(tuned: &Tuned) -> Option<[f64; PASSES]> {
    let all = every(|tokens| tuned.pass_cost(tokens, DEPTH).unwrap_or(f64::NAN));
    all.iter().all(|time| time.is_finite()).then_some(all)
}

fn every(time: impl Fn(u32) -> f64) -> [f64; PASSES] {
    let mut all = [0.0; PASSES];
    (1..)
        .zip(&mut all)
        .for_each(|(tokens, slot)| *slot = time(tokens));
    all
}
