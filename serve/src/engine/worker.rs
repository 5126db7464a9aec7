//! A model's context: carries passes out.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use siskin_runtime::scheduler::{Ended, Limits, Move, PartRows, Pass, RequestId};
use siskin_runtime::{
    Batch, CacheLayout, Context, ContextOptions, Error, Model, Pooling, Rows, SequenceId, Token,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Heat;
use super::guesser::{Guesser, Guesses, Guessing};
use super::stream::Stream;
use crate::metrics::Metrics;
use crate::request::{Event, Request};

/// A text whose embedding is wanted.
pub(crate) struct Embed {
    /// The text.
    pub(crate) tokens: Vec<Token>,
    /// Which of the tokens' vectors count.
    pub(crate) pooling: Pooling,
    /// Gets the vector.
    pub(crate) done: oneshot::Sender<Result<Vec<f32>, String>>,
}

/// The tokens that the requests of a pass drew, in order; `None` if a text has ended.
pub(super) type Outcomes = Vec<(RequestId, Option<Token>)>;

pub(crate) struct Worker {
    context: Context,
    /// By the scheduler's numbers.
    sequences: Vec<SequenceId>,
    streams: HashMap<RequestId, Stream>,
    /// Guesses tokens; `None` if nothing is guessed.
    guesser: Option<Guesser>,
}

impl Worker {
    /// A context that has computed a token, so that it is known to work.
    pub(super) fn new(model: &Model, limits: &Limits, guessing: Option<Guessing>) -> Result<Self, Error> {
        let count = u32::try_from(limits.sequences).unwrap_or(u32::MAX);
        let mut context = model.context(ContextOptions {
            context: Some(limits.cells),
            sequences: count,
            layout: match limits.shared {
                true => CacheLayout::Unified,
                false => CacheLayout::Separate,
            },
            ..model.context_options()
        })?;
        let sequences = (0..limits.sequences)
            .map(|_| context.sequence())
            .collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        batch.push(sequences[0], &[model.bos().unwrap_or(Token(0))], Rows::Last);
        context.decode(&batch, |_| {})?;
        context.clear(sequences[0]);
        Ok(Worker {
            context,
            sequences,
            streams: HashMap::new(),
            guesser: guessing
                .filter(|_| model.check_speculation().is_ok())
                .map(|guessing| Guesser::new(guessing, model.vocabulary_len()))
                .transpose()?,
        })
    }

    /// A request starts.
    pub(super) fn begin(
        &mut self,
        id: RequestId,
        request: Request,
        sender: UnboundedSender<Event>,
        now: Duration,
    ) {
        let capacity = self.context.capacity();
        let failed = sender.clone();
        match Stream::new(self.context.model(), request, sender, capacity, now) {
            Ok(mut stream) => {
                if self.guesser.is_some() {
                    stream.guess();
                }
                self.streams.insert(id, stream);
            }
            Err(error) => drop(failed.send(Event::failed(error.to_string()))),
        }
    }

    /// Carries a pass out: the tokens drawn, `None` for texts that have ended. `None` if `abort` ended it. Its parts are
    /// then what the context keeps of them.
    ///
    /// # Errors
    /// llama.cpp fails.
    pub(super) fn compute(
        &mut self,
        pass: &mut Pass,
        abort: &AtomicBool,
        now: impl Fn() -> Duration,
        metrics: &Metrics,
    ) -> Result<Option<Outcomes>, Error> {
        self.carry_out(&pass.moves)?;
        if pass.parts.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut guesses = match &mut self.guesser {
            Some(guesser) => guesser.add(pass, &mut self.streams),
            None => Guesses::default(),
        };
        let mut batch = Batch::new();
        for part in &pass.parts {
            let rows = match part.rows {
                PartRows::None => Rows::None,
                PartRows::Last => Rows::Last,
                PartRows::All => Rows::All,
            };
            batch.push(self.sequences[part.sequence], &part.tokens, rows);
        }
        let model = self.context.model().clone();
        let mut drawn = Vec::new();
        let (sequences, streams, parts) = (&self.sequences, &mut self.streams, &pass.parts);
        let begun = Instant::now();
        let done = self.context.decode_until(&batch, Some(abort), |row| {
            let index = parts
                .iter()
                .position(|part| sequences[part.sequence] == row.sequence);
            let Some((index, part)) = index.map(|index| (index, &parts[index])) else {
                return;
            };
            let Some(stream) = streams.get_mut(&part.id) else {
                return;
            };
            let position = row.position as usize;
            let at = position - part.position;
            stream.row(part.tokens[at], row.logits);
            let draws = match guesses.of(index) {
                Some(checked) => checked.draws(at),
                None => {
                    if part.rows == PartRows::All {
                        stream.prompt_row(position, row.logits);
                    }
                    part.draws && at + 1 == part.tokens.len()
                }
            };
            if draws {
                let token = match stream.draw(&model, row.logits, now(), metrics) {
                    Ok(token) => token,
                    Err(error) => {
                        if let Some(stream) = streams.remove(&part.id) {
                            stream.fail(error.to_string());
                        }
                        None
                    }
                };
                drawn.push((part.id, token));
                if let Some(checked) = guesses.of(index) {
                    checked.drew(token, part.tokens.get(at + 1).copied());
                }
            }
        })?;
        let took = begun.elapsed();
        if done && let Some(guesser) = &mut self.guesser {
            guesser.learn(pass, &guesses, took, &mut self.streams);
            for part in guesses.keep(pass) {
                let end = part.position + part.tokens.len();
                self.context.truncate(self.sequences[part.sequence], end)?;
            }
        }
        // A stream that could not begin has no row: it ends here.
        let lost = pass
            .parts
            .iter()
            .filter(|part| !self.streams.contains_key(&part.id));
        for part in lost {
            if !drawn.iter().any(|(id, _)| *id == part.id) {
                drawn.push((part.id, None));
            }
        }
        Ok(done.then_some(drawn))
    }

    /// Shares the energy of a pass among its tokens.
    pub(super) fn charge(&mut self, pass: &Pass, joules: f64) {
        let tokens: usize = pass.parts.iter().map(|part| part.tokens.len()).sum();
        for part in &pass.parts {
            if let Some(stream) = self.streams.get_mut(&part.id) {
                stream.charge(joules * part.tokens.len() as f64 / tokens.max(1) as f64);
            }
        }
    }

    /// Carries out what happens before a pass.
    ///
    /// # Errors
    /// The model's memory cannot be cut.
    pub(super) fn carry_out(&mut self, moves: &[Move]) -> Result<(), Error> {
        for step in moves {
            match *step {
                Move::Truncate { sequence, tokens } => {
                    self.context.truncate(self.sequences[sequence], tokens as usize)?;
                }
                Move::Copy { from, to, tokens } => {
                    let [from, to] = [from, to].map(|at| self.sequences[at]);
                    self.context.copy_start(from, to, tokens as usize)?;
                }
            }
        }
        Ok(())
    }

    /// Writes a sequence's state.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&mut self, sequence: usize, file: &File) -> std::io::Result<u64> {
        let saved = self.context.save_sequence(self.sequences[sequence], file);
        saved.map_err(std::io::Error::other)
    }

    /// Fills an empty sequence with a state.
    ///
    /// # Errors
    /// The state is not of this model, or there is no room.
    pub(super) fn load(&mut self, sequence: usize, file: &File, tokens: &[Token]) -> Result<(), Error> {
        self.context.load_sequence(self.sequences[sequence], file, tokens)
    }

    /// A request has ended.
    pub(super) fn end(&mut self, id: RequestId, ended: Option<Ended>, heat: &Heat, metrics: &Metrics) {
        if let (Some(stream), Some(ended)) = (self.streams.remove(&id), ended) {
            stream.end(ended, heat, metrics);
        }
    }

    /// A request cannot be computed.
    pub(super) fn fail(&mut self, id: RequestId, error: &Error) {
        if let Some(stream) = self.streams.remove(&id) {
            stream.fail(error.to_string());
        }
    }

    /// Drops the streams of requests that have ended.
    pub(super) fn forget(&mut self, has_ended: impl Fn(RequestId) -> bool) {
        self.streams.retain(|id, _| !has_ended(*id));
    }

    /// Empties sequences.
    pub(super) fn reset(&mut self, sequences: Vec<usize>) {
        for sequence in sequences {
            self.context.clear(self.sequences[sequence]);
        }
    }

    /// Computes the vector of a text in an idle sequence that has been emptied.
    pub(super) fn embed(&mut self, embed: Embed, sequence: usize, abort: &AtomicBool) {
        let Embed {
            tokens,
            pooling,
            done,
        } = embed;
        let vector = self
            .context
            .embed(self.sequences[sequence], &tokens, pooling, Some(abort));
        let _ = done.send(match vector {
            Ok(Some(vector)) => Ok(vector),
            Ok(None) => Err("it was interrupted".into()),
            Err(error) => Err(error.to_string()),
        });
    }
}
