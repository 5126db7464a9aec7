//! A smaller model that guesses for a larger one.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{BUCKETS, Bucket, Draft, Drafter, GoesOn, Source};
use crate::Error;
use crate::engine::{Session, Token, argmax};

/// Where buckets begin: the probability that the draft itself gives a token.
const SHARES: [f64; 6] = [0.0, 0.3, 0.5, 0.7, 0.85, 0.95];

/// How often guesses of a bucket are right. Estimates: a smaller model is surer of itself than it should be. What is
/// measured replaces them.
const PRIORS: [f64; SHARES.len()] = [0.15, 0.33, 0.5, 0.65, 0.78, 0.9];

const _: () = assert!(SHARES.len() <= BUCKETS as usize);

/// The most tokens that come between two guesses as a matter of course: what a pass accepts. To read more than that is
/// to catch up, and says nothing about what a guess takes.
const USUAL: usize = super::MOST_TOKENS;

/// A new time counts for so much of the mean.
const WEIGHT: f64 = 0.2;

/// Guesses what a smaller model finds most likely, one token after the other.
///
/// It reads a text only when it is asked for guesses: while nobody asks, it costs nothing. Then it reads what is new,
/// many tokens in a pass. What it cannot do, because its context is full or llama.cpp fails, it leaves out.
#[derive(Debug)]
pub struct DraftModel {
    session: Session,
    /// Ids from here on mean something else to the larger model, or nothing to this one.
    common: u32,
    /// The larger model's text.
    text: Vec<Token>,
    stop: Option<&'static AtomicBool>,
    /// llama.cpp failed: it would again.
    failed: bool,
    seconds: f64,
    seconds_each: f64,
    seconds_read: f64,
}

impl DraftModel {
    /// With a session of the smaller model, whose text is replaced. `common` is that of
    /// [`Model::agreement`](crate::Model::agreement): other tokens are left out of the text that is read, and never
    /// guessed.
    pub fn new(session: Session, common: u32) -> Self {
        let known = u32::try_from(session.model().vocabulary_len()).unwrap_or(u32::MAX);
        DraftModel {
            session,
            common: common.min(known),
            text: Vec::new(),
            stop: None,
            failed: false,
            seconds: 0.0,
            seconds_each: 0.0,
            seconds_read: 0.0,
        }
    }

    /// Stops to read and to guess as soon as the flag is true, also in the middle of a computation: a long prompt takes
    /// seconds.
    pub fn stop_on(&mut self, flag: &'static AtomicBool) {
        self.stop = Some(flag);
    }

    /// Seconds that reading and guessing took so far.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    fn is_common(&self, token: Token) -> bool {
        u32::try_from(token.0).is_ok_and(|id| id < self.common)
    }

    /// Reads what is new of the text. Returns how many tokens that were; `None` if it cannot go on from there.
    fn read(&mut self) -> Result<Option<usize>, Error> {
        let text: Vec<Token> = self
            .text
            .iter()
            .copied()
            .filter(|&it| self.is_common(it))
            .collect();
        if text.is_empty() || text.len() > self.session.capacity() as usize {
            return Ok(None);
        }
        let kept = self.session.keep_prefix(&text);
        let new = &text[kept..];
        let done = self.session.decode_until(new, self.stop)?;
        Ok(done.then_some(new.len()))
    }

    /// Appends guesses to `tokens`, from the logits of the text on.
    fn guess(
        &mut self,
        most: usize,
        goes_on: GoesOn<'_>,
        tokens: &mut Vec<(Token, Bucket)>,
    ) -> Result<(), Error> {
        while let Some((token, share)) = self.session.logits().and_then(likeliest) {
            // After the end of a text there is nothing to compute.
            if !self.is_common(token) || self.session.model().is_eog(token) {
                break;
            }
            tokens.push((token, bucket(share)));
            let is_full = self.session.len() >= self.session.capacity() as usize;
            if tokens.len() >= most || is_full || !goes_on(tokens) {
                break;
            }
            if !self.session.decode_until(&[token], self.stop)? {
                break;
            }
        }
        Ok(())
    }

    fn read_and_guess(
        &mut self,
        most: usize,
        goes_on: GoesOn<'_>,
        tokens: &mut Vec<(Token, Bucket)>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let Some(new) = self.read()? else {
            return Ok(());
        };
        let has_read = begun.elapsed().as_secs_f64();
        self.seconds_read = if new > USUAL { has_read } else { 0.0 };
        self.guess(most, goes_on, tokens)?;
        let took = begun.elapsed().as_secs_f64();
        match new {
            ..=USUAL => self.learn(took, tokens.len()),
            // The first guess came of the last token that was read.
            _ => self.learn(took - has_read, tokens.len().saturating_sub(1)),
        }
        Ok(())
    }

    /// Learns what a guess takes.
    fn learn(&mut self, seconds: f64, guesses: usize) {
        if guesses == 0 {
            return;
        }
        let each = seconds / guesses as f64;
        self.seconds_each = match self.seconds_each {
            known if known > 0.0 => known + WEIGHT * (each.min(2.0 * known) - known),
            _ => each,
        };
    }
}

impl Drafter for DraftModel {
    fn source(&self) -> Source {
        Source::Model
    }

    fn observe(&mut self, tokens: &[Token]) {
        self.text.extend_from_slice(tokens);
    }

    fn forget(&mut self, len: usize) {
        self.text.truncate(len);
    }

    fn propose(&mut self, most: usize, goes_on: &dyn Fn(&[(Token, Bucket)]) -> bool) -> Draft {
        let mut draft = Draft::none(Source::Model);
        self.seconds_read = 0.0;
        if most == 0 || self.failed {
            return draft;
        }
        let begun = Instant::now();
        if self.read_and_guess(most, goes_on, &mut draft.tokens).is_err() {
            self.failed = true;
            draft.tokens.clear();
        }
        self.seconds += begun.elapsed().as_secs_f64();
        draft
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        PRIORS.get(usize::from(bucket.0)).copied().unwrap_or_default()
    }

    fn seconds_read(&self) -> f64 {
        self.seconds_read
    }

    fn seconds_each(&self) -> f64 {
        self.seconds_each
    }
}

/// The most likely token and its probability; `None` if the logits are not numbers.
fn likeliest(logits: &[f32]) -> Option<(Token, f64)> {
    let token = argmax(logits);
    let most = *logits.get(usize::try_from(token.0).ok()?)?;
    if !most.is_finite() {
        return None;
    }
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    (sum >= 1.0).then(|| (token, f64::from(sum).recip()))
}

fn bucket(share: f64) -> Bucket {
    let class = SHARES.partition_point(|&first| first <= share).saturating_sub(1);
    Bucket(class as u8)
}

#[cfg(test)]
mod tests;
