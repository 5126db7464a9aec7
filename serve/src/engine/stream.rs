//! One text as it is drawn: from rows of logits to events.

use std::time::Duration;

use siskin_runtime::scheduler::Ended;
use siskin_runtime::speculate::{self, Draft, Drafters, Judge, Offer, Source, Speculation};
use siskin_runtime::{Cut, Error, Model, Sampler, TextDecoder, Token, check_logits};
use tokio::sync::mpsc::UnboundedSender;

use super::Heat;
use super::score::score;
use crate::metrics::Metrics;
use crate::reader::Reader;
use crate::request::{Drawn, End, Event, Finish, Request, Scored, Timings, ms};

/// The least logit: a token that is never drawn.
const NEVER: f32 = f32::NEG_INFINITY;

pub(super) struct Stream {
    request: Request,
    sender: UnboundedSender<Event>,
    sampler: Sampler,
    decoder: TextDecoder,
    /// Finds the stop strings of an answer that may call tools.
    reader: Option<Reader>,
    /// Guesses its next tokens; `None` if nothing is guessed.
    drafters: Option<Drafters>,
    counts: Speculation,
    /// A row of logits with what the request adds to it.
    row: Vec<f32>,
    drawn: u32,
    finish: Finish,
    stop: Option<String>,
    /// Energy so far, if it is known.
    joules: Option<f64>,
    /// When its prompt began, when its first token was drawn, and its last.
    begun: Duration,
    first: Option<Duration>,
    last: Duration,
}

impl Stream {
    pub(super) fn new(
        model: &Model,
        request: Request,
        sender: UnboundedSender<Event>,
        context: u32,
        now: Duration,
    ) -> Result<Self, Error> {
        let mut sampler = request.sampler.build(model.vocabulary_len(), context)?;
        sampler.see(&request.prompt);
        let reader = request
            .calls
            .clone()
            .map(|calls| Reader::new(calls, &request.stop));
        let stops = if reader.is_some() { &[][..] } else { &request.stop };
        let mut decoder = TextDecoder::new(stops.iter().cloned());
        if request.strip_space {
            decoder.strip_leading_space();
        }
        if request.prompt_logprobs == Some(0) {
            let _ = sender.send(Event::Prompt(vec![None]));
        }
        Ok(Stream {
            request,
            sender,
            sampler,
            decoder,
            reader,
            drafters: None,
            counts: Speculation::default(),
            row: Vec::new(),
            drawn: 0,
            finish: Finish::Length,
            stop: None,
            joules: None,
            begun: now,
            first: None,
            last: now,
        })
    }

    /// A pass drew so many joules for it.
    pub(super) fn charge(&mut self, joules: f64) {
        *self.joules.get_or_insert(0.0) += joules;
    }

    /// Has its tokens guessed from now on.
    pub(super) fn guess(&mut self) {
        let mut drafters = Drafters::new(speculate::lookup());
        drafters.begin(&self.request.prompt);
        self.drafters = Some(drafters);
    }

    /// Its prompt and what was drawn, as far as its drafters know it.
    pub(super) fn text(&self) -> &[Token] {
        self.drafters.as_ref().map_or(&[], Drafters::text)
    }

    /// Tokens that may be guessed, of `most`: no more than it may still draw after the next one.
    pub(super) fn may_guess(&self, most: usize) -> usize {
        let left = self.request.max_tokens.saturating_sub(self.drawn);
        most.min(left.saturating_sub(1) as usize)
    }

    /// What its next tokens may be: at most `most`, of a vocabulary of so many.
    pub(super) fn offers(&mut self, most: usize, vocabulary: usize, judge: &Judge) -> Vec<Offer> {
        let most = self.may_guess(most);
        let Some(drafters) = self.drafters.as_mut().filter(|_| most > 0) else {
            return Vec::new();
        };
        let mut offers = drafters.offers(most, vocabulary, judge);
        let Some(constraint) = &mut self.request.constraint else {
            return offers;
        };
        // What the form of the text forbids is never drawn.
        for offer in &mut offers {
            let tokens: Vec<u32> = offer
                .draft
                .tokens
                .iter()
                .map(|(token, _)| token.0 as u32)
                .collect();
            let valid = constraint.valid(&tokens);
            offer.draft.tokens.truncate(valid);
            offer.priors.truncate(valid);
        }
        let forced = constraint.forced().into_iter().take(most);
        offers.push(Offer::forced(forced.map(|id| Token(id as i32))));
        offers
    }

    /// A pass had these guesses for it, of which the first `right` were right.
    pub(super) fn guessed(&mut self, draft: Option<&Draft>, right: usize, seconds: f64, without: f64) {
        let tokens = draft.map_or(&[][..], |draft| &draft.tokens);
        let source = draft.map_or(Source::History, |draft| draft.source);
        self.counts
            .pass(std::iter::repeat_n(source, tokens.len()), seconds, without);
        for _ in 0..right {
            self.counts.accepted(source, without);
        }
    }

    /// The model's logits after a token of the text, or after a guess.
    pub(super) fn row(&mut self, token: Token, logits: &[f32]) {
        if let Some(drafters) = &mut self.drafters {
            drafters.row(token, logits);
        }
    }

    /// Whether its text has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.finish != Finish::Length
    }

    /// The row after the token at `position` of the prompt: the next token's probability is told.
    pub(super) fn prompt_row(&mut self, position: usize, logits: &[f32]) {
        if let Some(&next) = self.request.prompt.get(position + 1) {
            let scored = score(logits, next, self.request.logprobs.unwrap_or(0));
            let _ = self.sender.send(Event::Prompt(vec![Some(scored)]));
        }
    }

    /// Draws a token after `logits`; `None` if the text has ended.
    pub(super) fn draw(
        &mut self,
        model: &Model,
        logits: &[f32],
        now: Duration,
        metrics: &Metrics,
    ) -> Result<Option<Token>, Error> {
        check_logits(logits, self.request.prompt.len() + self.drawn as usize)?;
        if self.first.is_some() {
            metrics.next_token.time(now.saturating_sub(self.last));
        }
        self.last = now;
        self.first.get_or_insert(now);
        let Some(token) = self.choose(model, logits) else {
            self.finish = Finish::Stop;
            return Ok(None);
        };
        if model.is_eog(token) && !self.request.ignore_end {
            self.finish = Finish::Stop;
            return Ok(None);
        }
        self.sampler.accept(token);
        if let Some(drafters) = &mut self.drafters {
            drafters.observe(&[token]);
        }
        self.drawn += 1;
        let scored = self.request.logprobs.map(|top| score(logits, token, top));
        let cut = self.decoder.push(&model.piece(token, false));
        let (Cut::More(text) | Cut::Stop(text)) = cut;
        if let Some(reader) = &mut self.reader {
            reader.push(&text);
        }
        let by_reader = self.reader.as_ref().and_then(Reader::stopped_by);
        self.stop = by_reader.or(self.decoder.stopped_by()).map(str::to_owned);
        // The client is gone if nobody receives; its request is ended by the one who dropped the receiver.
        let _ = self.sender.send(Event::Token(Drawn { text, scored }));
        if self.stop.is_some() {
            self.finish = Finish::StopString;
            return Ok(None);
        }
        if let Some(constraint) = &mut self.request.constraint {
            let accepted = constraint.accept(token.0 as u32);
            if accepted.is_err() || constraint.must_end() {
                self.finish = Finish::Stop;
                return Ok(None);
            }
        }
        Ok(Some(token))
    }

    /// The next token; `None` if the form of the text allows none.
    fn choose(&mut self, model: &Model, logits: &[f32]) -> Option<Token> {
        let Request {
            bias,
            ignore_end,
            constraint,
            ..
        } = &mut self.request;
        if bias.is_empty() && !*ignore_end && constraint.is_none() {
            return Some(self.sampler.choose(logits));
        }
        self.row.clear();
        self.row.extend_from_slice(logits);
        for (token, bias) in bias.iter() {
            if let Some(logit) = usize::try_from(token.0).ok().and_then(|id| self.row.get_mut(id)) {
                *logit += bias;
            }
        }
        if *ignore_end {
            for (id, logit) in (0..).zip(&mut self.row) {
                if model.is_eog(Token(id)) {
                    *logit = NEVER;
                }
            }
        }
        let Some(constraint) = constraint else {
            return Some(self.sampler.choose(&self.row));
        };
        // Most tokens have the form already: the whole vocabulary is looked at only if this one has not.
        let first = self.sampler.choose(&self.row);
        if constraint.allows(first.0 as u32) {
            return Some(first);
        }
        let Ok(mask) = constraint.mask() else {
            return None;
        };
        let mut any = false;
        for (id, logit) in self.row.iter_mut().enumerate() {
            match mask.get(id / 32).is_some_and(|bits| bits >> (id % 32) & 1 == 1) {
                true => any |= *logit > NEVER,
                false => *logit = NEVER,
            }
        }
        any.then(|| self.sampler.choose(&self.row))
    }

    /// Tells the end.
    pub(super) fn end(mut self, ended: Ended, heat: &Heat, metrics: &Metrics) {
        let stopped = self.finish == Finish::StopString;
        let text = if stopped {
            String::new()
        } else {
            self.decoder.finish()
        };
        let first = self.first.unwrap_or(self.last);
        let timings = Timings {
            queue_ms: ms(ended.queued),
            cache_n: ended.cached,
            prompt_n: (self.request.prompt.len() as u32).saturating_sub(ended.cached),
            prompt_ms: ms(first.saturating_sub(self.begun)),
            predicted_n: self.drawn,
            predicted_ms: ms(self.last.saturating_sub(first)),
            differs_at: ended.differs_at,
            temp_c: heat.celsius,
            joules: self.joules,
            draft_n: self.drafters.is_some().then_some(self.counts.drafted),
            draft_n_accepted: self.drafters.is_some().then_some(self.counts.accepted),
            mean_accepted_length: self.counts.mean_accepted_length,
            predicted_per_second_without: self.counts.tokens_per_second_without,
            throttled: heat.rest > 0.0,
            ..Timings::default()
        }
        .with_rates();
        let known = if ended.cached > 0 {
            &metrics.prefix_hits
        } else {
            &metrics.prefix_misses
        };
        known.one();
        metrics.prompt_tokens.add(timings.prompt_n.into());
        metrics.prompt_tokens_cached.add(ended.cached.into());
        metrics.prompt_seconds.add(first.saturating_sub(self.begun));
        metrics.predicted_tokens.add(self.drawn.into());
        metrics.drafted_tokens.add(self.counts.drafted);
        metrics.accepted_tokens.add(self.counts.accepted);
        metrics.predicted_seconds.add(self.last.saturating_sub(first));
        metrics.prompt_speed.set(timings.prompt_per_second);
        metrics.predicted_speed.set(timings.predicted_per_second);
        metrics
            .tokens_max
            .raise((self.request.prompt.len() as u32 + self.drawn).into());
        metrics.queue_wait.time(ended.queued);
        metrics
            .first_token
            .time(first.saturating_sub(self.begun) + ended.queued);
        metrics
            .duration
            .time(self.last.saturating_sub(self.begun) + ended.queued);
        if ended.queued > Duration::from_millis(500) {
            let (real, predicted) = (ended.queued.as_secs_f64(), ended.predicted.as_secs_f64());
            metrics.wait_error.observe((predicted - real).abs() / real);
        }
        let _ = self.sender.send(Event::End(Box::new(End {
            finish: self.finish,
            stop: self.stop,
            text,
            timings,
        })));
    }

    /// Tells that it cannot be computed.
    pub(super) fn fail(self, reason: String) {
        let _ = self.sender.send(Event::failed(reason));
    }
}

/// Kept small: an event of each token goes through a queue.
const _: () = assert!(size_of::<Event>() <= 96 && size_of::<Scored>() <= 48);
