//! The thread that owns every context: it takes a pass from a scheduler, carries it out, and tells what came of it.
//!
//! Everybody else talks to the schedulers, which are behind one lock that is held for microseconds: a request is
//! admitted or refused while a pass is computed.

mod guesser;
mod prefixes;
mod score;
#[cfg(any(feature = "fuzzing", test))]
mod scripted;
mod stream;
mod thread;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use siskin_device::energy::Meter;
use siskin_runtime::Model;
use siskin_runtime::scheduler::{
    Admitted, Ask, Class, Costs, Limits, Progress, Refusal, RequestId, Scheduler,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::request::{Event, Request};
use crate::store::{Counters, Store};
use prefixes::Prefixes;

pub(crate) use guesser::Guessing;
pub(crate) use prefixes::{StateKey, fingerprint};
pub(crate) use worker::Embed;

/// A loaded model's number; it is never used again.
pub(crate) type SlotId = u64;

/// How long the thread waits at most before it shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// No step takes so long: passes are made for a second at most, and a state is read in seconds.
const STUCK: Duration = Duration::from_secs(60);

/// A model that is computed.
struct Slot {
    scheduler: Scheduler,
    /// Requests that were admitted and have not started.
    incoming: BTreeMap<RequestId, (Request, UnboundedSender<Event>)>,
    /// Texts whose embedding is wanted.
    embeds: Vec<Embed>,
    /// Whether the last step was one of those, so that streams go on before the next.
    embedded: bool,
    /// What the thread needs for a context; taken once.
    open: Option<Open>,
    /// What states of its sequences depend on; `None` if they are not stored.
    key: Option<StateKey>,
    /// Requests for which the store was not asked yet.
    unchecked: Vec<RequestId>,
}

/// A model to make a context for.
struct Open {
    model: Model,
    /// With what tokens are guessed, if they are.
    guessing: Option<Guessing>,
    done: oneshot::Sender<Result<(), siskin_runtime::Error>>,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<SlotId, Slot>,
    next: SlotId,
    /// The slot that was computed last.
    last: SlotId,
    /// Nothing more is computed.
    stopped: bool,
    /// How hot the machine is.
    heat: Heat,
    /// What the store did.
    stored: Counters,
    /// A text is being embedded, which no end of another request may interrupt.
    embedding: bool,
    /// Since when nothing was computed.
    idle_since: Duration,
}

/// How hot the machine is, and what is done about it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Heat {
    /// The sensor nearest to its limit, in degrees Celsius.
    pub(crate) celsius: Option<f64>,
    /// Share of the time in which nothing is computed, so that the machine cools down.
    pub(crate) rest: f64,
    /// The power that the machine draws, in watts, if a meter tells power and not energy.
    pub(crate) watts: Option<f64>,
}

/// What the thread shares with the others.
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    start: Instant,
    /// When the thread began its last step, in milliseconds of its time.
    last_step: AtomicU64,
    busy: AtomicBool,
    /// Ends the pass that is computed.
    abort: AtomicBool,
    metrics: Arc<Metrics>,
}

/// The engine.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Shared>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// The events of a request; dropping it ends the request.
pub(crate) struct Events {
    engine: Engine,
    slot: SlotId,
    /// The request.
    pub(crate) id: RequestId,
    receiver: UnboundedReceiver<Event>,
    ended: bool,
}

impl Events {
    /// What happens next; `None` after the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let event = self.receiver.recv().await;
        self.ended = matches!(event, None | Some(Event::End(_) | Event::Failed(_)));
        event.or_else(|| Some(self.engine.lost()))
    }

    /// Where it is; `None` once it has ended.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let state = self.engine.lock();
        let slot = state.slots.get(&self.slot)?;
        slot.scheduler.progress(self.id, self.engine.now())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.cancel(self.slot, self.id);
        }
    }
}

/// Counts of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that wait.
    pub(crate) queued: usize,
    /// Requests that are computed.
    pub(crate) active: usize,
    /// Cells of the cache in use.
    pub(crate) cells: u32,
    /// How long a request that comes now would wait.
    pub(crate) wait: Duration,
}

impl Engine {
    /// Starts the thread; prefixes go into `store`, if there is one; `meter` tells what passes draw.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start(
        store: Option<Store>,
        meter: Option<Meter>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let engine = Engine::new(metrics);
        let thread = engine.clone();
        std::thread::Builder::new()
            .name("engine".into())
            .stack_size(4 << 20)
            .spawn(move || thread.run(store.map(Prefixes::new), meter.as_ref()))?;
        Ok(engine)
    }

    /// An engine without its thread.
    fn new(metrics: Arc<Metrics>) -> Self {
        Engine(Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            start: Instant::now(),
            last_step: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            abort: AtomicBool::new(false),
            metrics,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one request must not end all others.
        self.0
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Time since the engine started.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// The thread begins a step.
    fn beat(&self) {
        let step = self.now().as_millis() as u64;
        self.0.last_step.store(step, Ordering::Relaxed);
    }

    /// A number that grows while the thread lives, once a second at least.
    pub(crate) fn beats(&self) -> u64 {
        self.0.last_step.load(Ordering::Relaxed)
    }

    /// Makes a context for a model; returns its slot once it has computed a token.
    ///
    /// # Errors
    /// There is no memory for it, or llama.cpp fails.
    pub(crate) async fn open(
        &self,
        model: Model,
        limits: Limits,
        costs: Costs,
        key: Option<StateKey>,
        guessing: Option<Guessing>,
    ) -> Result<SlotId, siskin_runtime::Error> {
        let (done, opened) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            state.next += 1;
            let id = state.next;
            let slot = Slot {
                scheduler: Scheduler::new(limits, costs),
                incoming: BTreeMap::new(),
                embeds: Vec::new(),
                embedded: false,
                open: Some(Open {
                    model,
                    guessing,
                    done,
                }),
                key,
                unchecked: Vec::new(),
            };
            state.slots.insert(id, slot);
            id
        };
        self.0.wake.notify_one();
        match opened.await {
            Ok(Ok(())) => Ok(id),
            Ok(Err(error)) => {
                self.close(id);
                Err(error)
            }
            Err(_) => Err(siskin_runtime::Error::Context {
                context: limits.cells,
                reason: "the service ends".into(),
            }),
        }
    }

    /// Frees a model's context; its requests fail.
    pub(crate) fn close(&self, slot: SlotId) {
        self.lock().slots.remove(&slot);
        self.0.wake.notify_one();
    }

    /// Takes a request, or refuses it.
    ///
    /// # Errors
    /// It does not fit, or would wait too long. `None` if the model was unloaded meanwhile.
    pub(crate) fn submit(&self, slot: SlotId, request: Request) -> Result<Events, Option<Refusal>> {
        let ask = ask(&request);
        let background = ask.class == Class::Background;
        let (sender, receiver) = unbounded_channel();
        let id = {
            let now = self.now();
            let mut state = self.lock();
            let there = state.slots.get_mut(&slot).ok_or(None)?;
            let Admitted { id, .. } = there.scheduler.admit(ask, now).map_err(Some)?;
            there.incoming.insert(id, (request, sender));
            there.unchecked.push(id);
            id
        };
        self.0.metrics.requests.one();
        if background {
            self.0.metrics.background.one();
        }
        self.0.wake.notify_one();
        Ok(Events {
            engine: self.clone(),
            slot,
            id,
            receiver,
            ended: false,
        })
    }

    /// Has a text's embedding computed, between passes.
    pub(crate) fn embed(&self, slot: SlotId, embed: Embed) -> bool {
        let mut state = self.lock();
        let there = state.slots.get_mut(&slot).map(|there| there.embeds.push(embed));
        drop(state);
        self.0.wake.notify_one();
        there.is_some()
    }

    /// Ends a request: at once if nothing else is computed, else after the pass.
    fn cancel(&self, slot: SlotId, id: RequestId) {
        let now = self.now();
        let mut state = self.lock();
        let embedding = state.embedding;
        let others = state
            .slots
            .iter()
            .any(|(other, there)| *other != slot && there.scheduler.counts().1 > 0);
        if let Some(there) = state.slots.get_mut(&slot) {
            if there.scheduler.only() == Some(id) && !others && !embedding {
                self.0.abort.store(true, Ordering::Relaxed);
            }
            there.incoming.remove(&id);
            if there.scheduler.end(id, now).is_some() {
                self.0.metrics.cancelled.one();
            }
        }
    }

    /// Requests of a model that wait and that are computed.
    pub(crate) fn load(&self, slot: SlotId) -> Load {
        let state = self.lock();
        state.slots.get(&slot).map_or_else(Load::default, |there| {
            let (queued, active) = there.scheduler.counts();
            Load {
                queued,
                active,
                cells: there.scheduler.used_cells(),
                wait: there.scheduler.wait(self.now()),
            }
        })
    }

    /// What a model's passes cost.
    pub(crate) fn costs(&self, slot: SlotId) -> Option<Costs> {
        Some(self.lock().slots.get(&slot)?.scheduler.costs().clone())
    }

    /// True if a step takes longer than any can, or the thread has ended.
    pub(crate) fn is_stuck(&self) -> bool {
        let last = Duration::from_millis(self.beats());
        self.now().saturating_sub(last) > STUCK
    }

    /// True if nothing waits and nothing is computed.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        let idle = |there: &Slot| there.scheduler.is_idle() && there.embeds.is_empty();
        state.slots.values().all(idle) && !self.0.busy.load(Ordering::Relaxed)
    }

    /// How hot the machine is.
    pub(crate) fn set_heat(&self, heat: Heat) {
        self.lock().heat = heat;
    }

    /// What the store did.
    pub(crate) fn stored(&self) -> Counters {
        self.lock().stored
    }

    /// How long nothing was computed.
    pub(crate) fn idle_time(&self) -> Duration {
        match self.is_idle() {
            true => self.now().saturating_sub(self.lock().idle_since),
            false => Duration::ZERO,
        }
    }

    /// Ends the thread; requests that wait or are computed fail. Returns how many these are.
    pub(crate) fn stop(&self) -> usize {
        let mut state = self.lock();
        state.stopped = true;
        let counts = state.slots.values().map(|slot| slot.scheduler.counts());
        let open = counts.map(|(queued, active)| queued + active).sum();
        drop(state);
        self.0.abort.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
        open
    }

    /// Why nothing more comes of a request that has not ended.
    fn lost(&self) -> Event {
        match self.lock().stopped {
            true => Event::Failed(Box::new(ApiError::draining())),
            false => Event::failed("the model was unloaded"),
        }
    }
}

/// What a scheduler is asked for a request.
fn ask(request: &Request) -> Ask {
    Ask {
        prompt: request.prompt.clone(),
        max_tokens: request.max_tokens,
        class: request.class,
        namespace: request.namespace,
        conversation: request.conversation,
        rows_from: request.prompt_logprobs,
        follows: request.follows,
        joined: request.joined || request.follows.is_some(),
    }
}
