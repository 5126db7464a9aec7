//! An engine that computes nothing: it draws a few tokens from rows of noise, so that everything around llama.cpp can be
//! tried in microseconds. It is compiled for the fuzz targets and for tests only.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use siskin_runtime::Model;
use siskin_runtime::scheduler::{Ended, RequestId};
use tokio::sync::mpsc::UnboundedSender;

use super::stream::Stream;
use super::{BEAT, Embed, Engine, Heat, SlotId};
use crate::metrics::Metrics;
use crate::request::{Event, Request};

/// Tokens of an answer at most.
const MOST: u32 = 24;

/// What is answered under one lock.
#[derive(Default)]
struct Turn {
    requests: Vec<(SlotId, RequestId, Request, UnboundedSender<Event>)>,
    embeds: Vec<Embed>,
}

impl Engine {
    /// An engine that answers with noise, and every request at once.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn scripted(metrics: std::sync::Arc<Metrics>) -> std::io::Result<Self> {
        let engine = Engine::new(metrics);
        let thread = engine.clone();
        let named = std::thread::Builder::new().name("engine".into());
        named.spawn(move || thread.answer_all())?;
        Ok(engine)
    }

    fn answer_all(self) {
        let mut models: HashMap<SlotId, Model> = HashMap::new();
        loop {
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            self.beat();
            models.retain(|id, _| state.slots.contains_key(id));
            let mut turn = Turn::default();
            for (slot, there) in &mut state.slots {
                if let Some(open) = there.open.take() {
                    models.insert(*slot, open.model);
                    let _ = open.done.send(Ok(()));
                }
                let incoming = std::mem::take(&mut there.incoming).into_iter();
                turn.requests
                    .extend(incoming.map(|(id, (request, sender))| (*slot, id, request, sender)));
                turn.embeds.append(&mut there.embeds);
                there.unchecked.clear();
            }
            if turn.requests.is_empty() && turn.embeds.is_empty() {
                drop(self.0.wake.wait_timeout(state, BEAT));
                continue;
            }
            drop(state);
            for embed in turn.embeds {
                let _ = embed.done.send(Ok(vec![0.5; 4]));
            }
            for (slot, id, request, sender) in turn.requests {
                let ended = self.take_out(slot, id);
                if let (Some(ended), Some(model)) = (ended, models.get(&slot)) {
                    self.answer(model, request, sender, ended);
                }
            }
        }
    }

    /// `None` if the client has left.
    fn take_out(&self, slot: SlotId, id: RequestId) -> Option<Ended> {
        let now = self.now();
        self.lock().slots.get_mut(&slot)?.scheduler.end(id, now)
    }

    fn answer(&self, model: &Model, request: Request, sender: UnboundedSender<Event>, ended: Ended) {
        let metrics = &self.0.metrics;
        let (prompt, most) = (request.prompt.clone(), request.max_tokens.min(MOST));
        let rows = request.prompt_logprobs.is_some();
        let mut noise = Noise::new(&prompt);
        let failed = sender.clone();
        let mut stream = match Stream::new(model, request, sender, MOST + prompt.len() as u32, self.now()) {
            Ok(stream) => stream,
            Err(error) => return drop(failed.send(Event::failed(error.to_string()))),
        };
        let mut row = vec![0.0; model.vocabulary_len()];
        for position in (0..prompt.len()).filter(|_| rows) {
            noise.fill(&mut row);
            stream.prompt_row(position, &row);
        }
        for _ in 0..most {
            noise.fill(&mut row);
            stream.charge(0.5);
            match stream.draw(model, &row, self.now(), metrics) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return stream.fail(error.to_string()),
            }
        }
        stream.end(ended, &Heat::default(), metrics);
    }
}

/// Numbers that depend on a prompt and on nothing else (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn new(prompt: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        prompt.hash(&mut hasher);
        Noise(hasher.finish() | 1)
    }

    /// Logits from -8 to 8.
    fn fill(&mut self, row: &mut [f32]) {
        for logit in row {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *logit = (self.0 >> 40) as f32 / (1u64 << 20) as f32 - 8.0;
        }
    }
}
