//! A model's context: carries passes out.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use siskin_runtime::scheduler::{Ended, Limits, Move, PartRows, Pass, RequestId};
use siskin_runtime::{Batch, CacheLayout, Context, ContextOptions, Error, Model, Rows, SequenceId, Token};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::stream::Stream;
use crate::request::{Event, Request};

/// A text whose embedding is wanted.
pub(crate) struct Embed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) done: oneshot::Sender<Result<Vec<f32>, String>>,
}

pub(crate) struct Worker {
    context: Context,
    /// By the scheduler's numbers.
    sequences: Vec<SequenceId>,
    streams: HashMap<RequestId, Stream>,
}

impl Worker {
    /// A context that has computed a token, so that it is known to work.
    pub(super) fn new(model: &Model, limits: &Limits) -> Result<Self, Error> {
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
        let sequences = (0..limits.sequences).map(|_| context.sequence()).collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        batch.push(sequences[0], &[model.bos().unwrap_or(Token(0))], Rows::Last);
        context.decode(&batch, |_| {})?;
        context.clear(sequences[0]);
        Ok(Worker {
            context,
            sequences,
            streams: HashMap::new(),
        })
    }

    /// A request starts.
    pub(super) fn begin(&mut self, id: RequestId, request: Request, sender: UnboundedSender<Event>, now: Duration) {
        let capacity = self.context.capacity();
        let failed = sender.clone();
        match Stream::new(self.context.model(), request, sender, capacity, now) {
            Ok(stream) => {
                stream.started();
                self.streams.insert(id, stream);
            }
            Err(error) => drop(failed.send(Event::Failed(error.to_string()))),
        }
    }

    /// Carries a pass out: the tokens drawn, `None` for texts that have ended. `None` if `abort` ended it.
    ///
    /// # Errors
    /// llama.cpp fails.
    pub(super) fn compute(
        &mut self,
        pass: &Pass,
        abort: &AtomicBool,
        now: impl Fn() -> Duration,
    ) -> Result<Option<Vec<(RequestId, Option<Token>)>>, Error> {
        for step in &pass.moves {
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
        if pass.parts.is_empty() {
            return Ok(Some(Vec::new()));
        }
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
        let (sequences, streams) = (&self.sequences, &mut self.streams);
        let done = self.context.decode_until(&batch, Some(abort), |row| {
            let part = pass.parts.iter().find(|part| sequences[part.sequence] == row.sequence);
            let Some(part) = part else { return };
            let Some(stream) = streams.get_mut(&part.id) else { return };
            let position = row.position as usize;
            if part.rows == PartRows::All {
                stream.prompt_row(position, row.logits);
            }
            if part.draws && position + 1 == part.position + part.tokens.len() {
                match stream.draw(&model, row.logits, now()) {
                    Ok(token) => drawn.push((part.id, token)),
                    Err(error) => {
                        if let Some(stream) = streams.remove(&part.id) {
                            stream.fail(error.to_string());
                        }
                        drawn.push((part.id, None));
                    }
                }
            }
        })?;
        // A stream that could not begin has no row: it ends here.
        let lost = pass.parts.iter().filter(|part| !self.streams.contains_key(&part.id));
        for part in lost {
            if !drawn.iter().any(|(id, _)| *id == part.id) {
                drawn.push((part.id, None));
            }
        }
        Ok(done.then_some(drawn))
    }

    /// A request has ended.
    pub(super) fn end(&mut self, id: RequestId, ended: Option<Ended>) {
        if let (Some(stream), Some(ended)) = (self.streams.remove(&id), ended) {
            stream.end(ended);
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

    /// Computes an embedding.
    pub(super) fn embed(&mut self, embed: Embed, _abort: &AtomicBool) {
        let _ = embed.done.send(Err(format!("{} tokens: not built yet", embed.tokens.len())));
    }
}
