//! Guesses for one text: its drafters, and the judge of their guesses.

use std::collections::VecDeque;
use std::time::Duration;

use super::{BUCKETS, Bucket, Drafter, Judge, Offer, Source, Speculation};
use crate::engine::Token;

/// What came of the next guess that was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The model drew it.
    Right,
    /// The model drew another token.
    Wrong,
    /// Nobody knows: the text ended before, or nothing was computed.
    Unknown,
}

/// The drafters of a text, and the text they know.
#[derive(Debug, Default)]
pub struct Drafters {
    list: Vec<Box<dyn Drafter>>,
    text: Vec<Token>,
}

impl Drafters {
    /// These, of an empty text.
    pub fn new(mut list: Vec<Box<dyn Drafter>>) -> Self {
        // Those whose guesses cost nothing come first.
        list.sort_by_key(|drafter| drafter.source() == Source::Model);
        Drafters {
            list,
            text: Vec::new(),
        }
    }

    /// The text so far.
    pub fn text(&self) -> &[Token] {
        &self.text
    }

    /// The text is this one; what it has in common with the one so far is kept.
    pub fn begin(&mut self, text: &[Token]) {
        let common = self.text.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < self.text.len() {
            self.text.truncate(common);
            self.list.iter_mut().for_each(|drafter| drafter.forget(common));
        }
        self.observe(&text[common..]);
    }

    /// The text goes on with these tokens.
    pub fn observe(&mut self, tokens: &[Token]) {
        self.text.extend_from_slice(tokens);
        self.list.iter_mut().for_each(|drafter| drafter.observe(tokens));
    }

    /// The model's logits after a token.
    pub fn row(&mut self, token: Token, logits: &[f32]) {
        self.list
            .iter_mut()
            .for_each(|drafter| drafter.row(token, logits));
    }

    /// The time of the last offers that went into reading.
    pub fn reading(&self) -> Duration {
        let seconds = self.list.iter().map(|drafter| drafter.seconds_read()).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// What each drafter offers, if it offers anything: tokens of a vocabulary of so many.
    pub fn offers(&mut self, most: usize, vocabulary: usize, judge: &Judge) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        for drafter in &mut self.list {
            let source = drafter.source();
            let cost = drafter.seconds_each();
            // What others offer for nothing may be better than what this one is likely to.
            let best = || offers.iter().map(|offer| judge.rate(offer)).fold(1.0, f64::max);
            if source == Source::Model && judge.promises(source, cost) < best() {
                continue;
            }
            let priors: [f64; BUCKETS as usize] =
                std::array::from_fn(|bucket| drafter.prior(Bucket(bucket as u8)));
            let prior = |bucket: Bucket| priors.get(usize::from(bucket.0)).copied().unwrap_or_default();
            let goes_on = |tokens: &[(Token, Bucket)]| judge.goes_on(source, tokens, cost, prior);
            let mut draft = drafter.propose(most, &goes_on);
            // llama.cpp refuses a pass with a token that the vocabulary lacks, and every text of the pass would end.
            let is_known =
                |guess: &&(Token, Bucket)| usize::try_from(guess.0.0).is_ok_and(|id| id < vocabulary);
            let known = draft.tokens.iter().take_while(is_known).count();
            draft.tokens.truncate(known);
            if known > 0 {
                let priors = draft.tokens.iter().map(|(_, bucket)| prior(*bucket)).collect();
                offers.push(Offer { draft, priors });
            }
        }
        offers
    }
}

/// Guesses the tokens of one text after another.
#[derive(Debug)]
pub struct Speculator {
    drafters: Drafters,
    judge: Judge,
    /// Guesses of the last pass that are not decided yet.
    open: VecDeque<(Source, Bucket)>,
    counts: Speculation,
}

impl Speculator {
    /// With these drafters, and who judges their guesses.
    pub fn new(drafters: Vec<Box<dyn Drafter>>, judge: Judge) -> Self {
        Speculator {
            drafters: Drafters::new(drafters),
            judge,
            open: VecDeque::new(),
            counts: Speculation::default(),
        }
    }

    /// A text begins, or goes on, after these tokens. The counts begin again.
    pub fn begin(&mut self, text: &[Token]) {
        self.drafters.begin(text);
        self.judge.interrupted();
        self.counts = Speculation::default();
    }

    /// A token of the text was drawn.
    pub fn observe(&mut self, token: Token) {
        self.drafters.observe(&[token]);
    }

    /// At most `most` tokens, of a vocabulary of so many, that may follow the text and are worth computing.
    pub fn guess(&mut self, most: usize, vocabulary: usize) -> Vec<Token> {
        self.open.clear();
        if most == 0 || !self.judge.is_open() {
            return Vec::new();
        }
        let offers = self.drafters.offers(most, vocabulary, &self.judge);
        let Some(draft) = self.judge.choose(&[offers]).pop() else {
            return Vec::new();
        };
        let guesses = draft.tokens.iter().take(most);
        self.open
            .extend(guesses.clone().map(|(_, bucket)| (draft.source, *bucket)));
        guesses.map(|(token, _)| *token).collect()
    }

    /// The pass over the token drawn last and the guesses took so long, and guessing took `guessing`.
    pub fn computed(&mut self, took: Duration, guessing: Duration) {
        let price = guessing.saturating_sub(self.drafters.reading());
        let without = self.judge.computed(1, self.open.len(), took, price);
        let seconds = (took + guessing).as_secs_f64();
        let sources = self.open.iter().map(|(source, _)| *source);
        self.counts.pass(sources, seconds, without);
    }

    /// The model's logits after a token of the text or a guess.
    pub fn row(&mut self, token: Token, logits: &[f32]) {
        self.drafters.row(token, logits);
    }

    /// What came of the next guess. After anything but [`Outcome::Right`] the others are forgotten.
    pub fn outcome(&mut self, outcome: Outcome) {
        let Some((source, bucket)) = self.open.pop_front() else {
            return;
        };
        match outcome {
            Outcome::Right => {
                self.judge.learn(source, bucket, true, 1);
                self.counts.accepted(source, self.judge.base(1));
                return;
            }
            Outcome::Wrong => self.judge.learn(source, bucket, false, 1),
            Outcome::Unknown => {}
        }
        self.open.clear();
    }

    /// What came of the guesses since the text began.
    pub fn counts(&self) -> &Speculation {
        &self.counts
    }

    /// What was learned.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }
}

#[cfg(test)]
mod tests;
