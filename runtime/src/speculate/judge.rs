//! Decides which guesses are computed, and learns from what came of them.

use std::time::Duration;

use super::account::Account;
use super::choose::share;
use super::pair;
use super::{Acceptance, Bucket, Draft, MOST_TOKENS, PassTimes, Source};
use crate::engine::Token;

/// How far an expectation is raised while there is enough on the account to find out, in standard deviations.
const CURIOSITY: f64 = 0.5;

/// How likely a forced token is right: the text is, but it may have other tokens.
const FORCED: f64 = 0.9;

/// A guess with how likely its drafter says it is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The tokens.
    pub draft: Draft,
    /// For each token, [`Drafter::prior`](super::Drafter::prior) of its bucket.
    pub priors: Vec<f64>,
}

impl Offer {
    /// Tokens that the form of the text forces.
    pub fn forced(tokens: impl IntoIterator<Item = Token>) -> Self {
        let tokens: Vec<_> = tokens.into_iter().map(|token| (token, Bucket(0))).collect();
        Offer {
            priors: vec![FORCED; tokens.len()],
            draft: Draft {
                source: Source::Forced,
                tokens,
            },
        }
    }
}

/// The cost model of one model on one machine: times, acceptance, and the account that bounds the loss.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judge {
    times: PassTimes,
    acceptance: Acceptance,
    account: Account,
    /// As many guesses as there are, at most so many, whatever they cost.
    always: Option<usize>,
}

impl Judge {
    /// With what was measured before.
    pub fn new(times: PassTimes, acceptance: Acceptance) -> Self {
        Judge {
            times,
            acceptance,
            account: Account::default(),
            always: None,
        }
    }

    /// One that has `most` guesses computed if so many are offered, whatever they cost and however often they are wrong:
    /// to test that a text stays the same.
    pub fn always(most: usize) -> Self {
        Judge {
            always: Some(most.min(pair::MOST_GUESSES as usize)),
            ..Judge::default()
        }
    }

    /// What passes take.
    pub fn times(&self) -> &PassTimes {
        &self.times
    }

    /// How often guesses are right.
    pub fn acceptance(&self) -> &Acceptance {
        &self.acceptance
    }

    /// Whether tokens may be guessed now: not while the account is overdrawn, and not before it is known what a pass over
    /// one token takes.
    pub fn is_open(&self) -> bool {
        self.always.is_some() || self.account.is_open() && self.times.is_sure()
    }

    /// How likely a token of an offer is right.
    fn chance(&self, source: Source, bucket: Bucket, prior: f64, curious: bool) -> f64 {
        let mean = self.acceptance.of(source, bucket, prior);
        match curious {
            true => (mean + CURIOSITY * self.acceptance.doubt(source, bucket, prior)).min(1.0),
            false => mean,
        }
    }

    /// The guesses that each of several texts gets, which are computed in one pass. `offers` has what its drafters offer.
    pub fn choose(&self, offers: &[Vec<Offer>]) -> Vec<Draft> {
        if let Some(most) = self.always {
            return all(offers, most);
        }
        if !self.is_open() {
            return offers.iter().map(|_| Draft::none(Source::History)).collect();
        }
        let texts = offers.len();
        // A pass with guesses is followed by one that has another graph, unless there are guesses again.
        let changed = self.times.was_wider(texts);
        let time = |tokens: usize| {
            let change = if tokens > texts || changed {
                self.times.change()
            } else {
                0.0
            };
            self.times.relative(tokens) + change
        };
        let curious = self.account.may_explore(self.base(texts));
        // The best offer of each text is that which is best for it alone.
        let best: Vec<Option<(&Offer, Vec<f64>)>> = offers
            .iter()
            .map(|of_text| {
                let rated = of_text.iter().map(|offer| {
                    let chances = self.chances(offer, curious);
                    let times = share(std::slice::from_ref(&chances), MOST_TOKENS, time, 0.0).1;
                    (offer, chances, times)
                });
                let best = rated.max_by(|a, b| a.2.total_cmp(&b.2))?;
                Some((best.0, best.1))
            })
            .collect();
        let chances: Vec<Vec<f64>> = best
            .iter()
            .map(|best| best.as_ref().map_or_else(Vec::new, |best| best.1.clone()))
            .collect();
        let (counts, _) = share(&chances, MOST_TOKENS, time, 0.0);
        let drafts = best.iter().zip(counts).map(|(best, count)| match best {
            Some((offer, _)) => Draft {
                source: offer.draft.source,
                tokens: offer.draft.tokens[..count].to_vec(),
            },
            None => Draft::none(Source::History),
        });
        drafts.collect()
    }

    /// How likely each token of an offer is right.
    fn chances(&self, offer: &Offer, curious: bool) -> Vec<f64> {
        let tokens = offer.draft.tokens.iter().zip(&offer.priors);
        tokens
            .map(|((_, bucket), prior)| self.chance(offer.draft.source, *bucket, *prior, curious))
            .collect()
    }

    /// How many times the tokens a second an offer is expected to give to a text that is computed alone; 1 if it does not
    /// pay.
    pub fn rate(&self, offer: &Offer) -> f64 {
        let time = |tokens| self.times.relative(tokens);
        share(&[self.chances(offer, false)], MOST_TOKENS, time, 0.0).1
    }

    /// The same of guesses that are not made yet and take `cost` seconds each, if they are as often right as that
    /// source's were; 0 if it is not known what a pass takes.
    pub fn promises(&self, source: Source, cost: f64) -> f64 {
        if self.always.is_some() {
            return f64::MAX;
        }
        let Some(one) = self.times.one() else {
            return 0.0;
        };
        let time = |tokens: u32| self.times.relative(tokens as usize);
        let (_, times) = pair::best(self.acceptance.mean(source), pair::MOST_GUESSES, time, cost / one);
        if times < pair::LEAST_GAIN { 0.0 } else { times }
    }

    /// Whether another guess of a drafter that takes `cost` seconds for each is worth it after those in `tokens`.
    pub fn goes_on(
        &self,
        source: Source,
        tokens: &[(Token, Bucket)],
        cost: f64,
        prior: impl Fn(Bucket) -> f64,
    ) -> bool {
        if let Some(most) = self.always {
            return tokens.len() < most;
        }
        let Some(one) = self.times.one() else {
            return false;
        };
        let chance = |bucket| self.chance(source, bucket, prior(bucket), false);
        let mut kept = 1.0;
        let mut expected = 1.0;
        for (_, bucket) in tokens {
            kept *= chance(*bucket);
            expected += kept;
        }
        let count = tokens.len();
        if count + 2 > MOST_TOKENS {
            return false;
        }
        let cost = cost / one;
        let rate = |expected: f64, guesses: usize| {
            expected / (self.times.relative(guesses + 1) + cost * guesses as f64)
        };
        // The next guess is taken to be as sure as the last, and the first as sure as they are on the whole.
        let next = tokens
            .last()
            .map_or_else(|| self.acceptance.mean(source), |(_, bucket)| chance(*bucket));
        rate(expected + kept * next, count + 1)
            > rate(expected, count) * if count == 0 { pair::LEAST_GAIN } else { 1.0 }
    }

    /// A pass over so many texts with so many guesses took so long, and guessing took `guessing`. Returns the seconds that it
    /// would have taken without guesses.
    pub fn computed(&mut self, texts: usize, guesses: usize, took: Duration, guessing: Duration) -> f64 {
        let changed = self.times.was_wider(texts);
        self.times.computed(texts + guesses, took);
        let base = self.base(texts);
        let took = took.as_secs_f64();
        let extra = match guesses {
            0 if changed => (took - base).clamp(0.0, base),
            0 => 0.0,
            _ => (took - base).max(0.0),
        };
        let guessing = guessing.as_secs_f64();
        self.account.pass(took + guessing, extra + guessing, base);
        // What cannot be measured, because it did not happen, is what was measured of such passes.
        if guesses == 0 && !changed { took } else { base }
    }

    /// A guess that was computed beside `texts - 1` other texts was right, or not. Those after a wrong one are not told.
    pub fn learn(&mut self, source: Source, bucket: Bucket, right: bool, texts: usize) {
        self.acceptance.learn(source, bucket, right);
        if right {
            self.account.saved(self.base(texts) / texts.max(1) as f64);
        }
    }

    /// Something else is computed, such as a prompt.
    pub fn interrupted(&mut self) {
        self.times.interrupted();
    }

    /// Seconds of a pass over so many texts without guesses; 0 if none was measured.
    pub fn base(&self, texts: usize) -> f64 {
        self.times.one().unwrap_or_default() * self.times.relative(texts)
    }
}

/// The longest offer of each text, cut so that the pass has at most [`MOST_TOKENS`].
fn all(offers: &[Vec<Offer>], most: usize) -> Vec<Draft> {
    let mut left = MOST_TOKENS.saturating_sub(offers.len());
    let drafts = offers.iter().map(|of_text| {
        let longest = of_text.iter().max_by_key(|offer| offer.draft.tokens.len());
        let mut draft = longest.map_or_else(|| Draft::none(Source::History), |offer| offer.draft.clone());
        draft.tokens.truncate(most.min(left));
        left -= draft.tokens.len();
        draft
    });
    drafts.collect()
}

#[cfg(test)]
mod tests;
