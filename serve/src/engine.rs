//! The thread that owns every context: it takes a pass from a scheduler, carries it out, and tells what came of it.
//!
//! Everybody else talks to the schedulers, which are behind one lock that is held for microseconds: a request is
//! admitted or refused while a pass is computed.

mod prefixes;
mod score;
mod stream;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use siskin_runtime::Model;
use siskin_runtime::scheduler::{
    Admitted, Ask, Costs, Limits, Move, Pass, Progress, Refusal, RequestId, Scheduler,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::request::{Event, Request};
use crate::store::{Counters, Store};
use prefixes::{Prefixes, Restore};
use worker::Worker;

pub(crate) use prefixes::{StateKey, fingerprint};
pub(crate) use worker::Embed;

/// A loaded model's number; it is never used again.
pub(crate) type SlotId = u64;

/// How long the thread waits at most before it shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// A model that is computed.
struct Slot {
    scheduler: Scheduler,
    /// Requests that were admitted and have not started.
    incoming: BTreeMap<RequestId, (Request, UnboundedSender<Event>)>,
    /// Texts whose embedding is wanted.
    embeds: Vec<Embed>,
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
}

/// What the thread shares with the others.
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    start: Instant,
    beats: AtomicU64,
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
        event.or_else(|| Some(Event::Failed("the model was unloaded".into())))
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
}

impl Engine {
    /// Starts the thread; prefixes go into `store`, if there is one.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start(store: Option<Store>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let engine = Engine(Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            start: Instant::now(),
            beats: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            abort: AtomicBool::new(false),
            metrics,
        }));
        let thread = engine.clone();
        std::thread::Builder::new()
            .name("engine".into())
            .stack_size(4 << 20)
            .spawn(move || thread.run(store.map(Prefixes::new)))?;
        Ok(engine)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one request must not end all others.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Time since the engine started.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// A number that grows while the thread lives.
    pub(crate) fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
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
                open: Some(Open { model, done }),
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
    pub(crate) fn submit(&self, slot: SlotId, request: Request) -> Result<(Admitted, Events), Option<Refusal>> {
        let ask = ask(&request);
        let (sender, receiver) = unbounded_channel();
        let admitted = {
            let now = self.now();
            let mut state = self.lock();
            let there = state.slots.get_mut(&slot).ok_or(None)?;
            let admitted = there.scheduler.admit(ask, now).map_err(Some)?;
            there.incoming.insert(admitted.id, (request, sender));
            there.unchecked.push(admitted.id);
            admitted
        };
        self.0.metrics.requests.one();
        self.0.wake.notify_one();
        let events = Events {
            engine: self.clone(),
            slot,
            id: admitted.id,
            receiver,
            ended: false,
        };
        Ok((admitted, events))
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
        let others = state.slots.iter().any(|(other, there)| *other != slot && there.scheduler.counts().1 > 0);
        if let Some(there) = state.slots.get_mut(&slot) {
            if there.scheduler.only() == Some(id) && !others {
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
            }
        })
    }

    /// What a model's passes cost.
    pub(crate) fn costs(&self, slot: SlotId) -> Option<Costs> {
        Some(self.lock().slots.get(&slot)?.scheduler.costs().clone())
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

    /// Ends the thread; requests that are computed fail.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.0.abort.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }

    /// The thread.
    fn run(self, mut prefixes: Option<Prefixes>) {
        let mut workers: HashMap<SlotId, Worker> = HashMap::new();
        loop {
            self.0.beats.fetch_add(1, Ordering::Relaxed);
            let mut state = self.lock();
            if state.stopped {
                drop(state);
                prefixes.iter_mut().for_each(Prefixes::flush);
                return;
            }
            workers.retain(|id, _| state.slots.contains_key(id));
            let opening = state.slots.iter_mut().find_map(|(id, slot)| {
                let limits = *slot.scheduler.limits();
                slot.open.take().map(|open| (*id, open, limits))
            });
            if let Some((id, open, limits)) = opening {
                drop(state);
                let worker = Worker::new(&open.model, &limits);
                let result = worker.map(|worker| drop(workers.insert(id, worker)));
                let _ = open.done.send(result);
                continue;
            }
            // Every model in turn.
            let last = state.last;
            let after = state.slots.range(last + 1..).map(|(id, _)| *id);
            let order: Vec<SlotId> = after.chain(state.slots.range(..=last).map(|(id, _)| *id)).collect();
            let now = self.now();
            let work = order
                .into_iter()
                .find_map(|id| Some((id, state.slots.get_mut(&id)?.work(now, prefixes.as_ref())?)));
            let Some((id, work)) = work else {
                self.idle(state, &mut workers, &mut prefixes);
                continue;
            };
            state.last = id;
            let heat = state.heat;
            self.0.busy.store(true, Ordering::Relaxed);
            self.0.abort.store(false, Ordering::Relaxed);
            drop(state);
            if let Some(worker) = workers.get_mut(&id) {
                self.carry_out(id, worker, work, &heat, &mut prefixes);
            }
            self.lock().idle_since = self.now();
            self.0.busy.store(false, Ordering::Relaxed);
        }
    }

    /// Nothing is to be computed: does what waited for that, or waits.
    fn idle(
        &self,
        mut state: MutexGuard<'_, State>,
        workers: &mut HashMap<SlotId, Worker>,
        prefixes: &mut Option<Prefixes>,
    ) {
        let rested = self.now().saturating_sub(state.idle_since) >= BEAT;
        if let Some(prefixes) = prefixes.as_mut().filter(|_| rested) {
            let save = state.slots.iter().find_map(|(id, slot)| {
                let found = prefixes.choose(&slot.scheduler, slot.key.as_ref()?)?;
                workers.contains_key(id).then_some((*id, found))
            });
            if let Some((id, save)) = save {
                drop(state);
                // The sequence is idle and stays as it is: only this thread gives sequences to requests.
                let saved = workers.get_mut(&id).is_some_and(|worker| prefixes.save(worker, &save));
                state = self.lock();
                state.stored = prefixes.counters();
                if saved {
                    return;
                }
            }
        }
        drop(self.0.wake.wait_timeout(state, BEAT));
    }

    fn carry_out(
        &self,
        id: SlotId,
        worker: &mut Worker,
        work: Work,
        heat: &Heat,
        prefixes: &mut Option<Prefixes>,
    ) {
        let (pass, started) = match work {
            Work::Embed(embed, sequence, moves) => {
                if worker.carry_out(&moves).is_ok() {
                    worker.embed(embed, sequence, &self.0.abort);
                }
                return;
            }
            Work::Restore(restore) => return self.restore(id, worker, &restore, prefixes),
            Work::Pass { pass, started } => (pass, started),
        };
        for (id, (request, sender)) in started {
            worker.begin(id, request, sender, self.now());
        }
        let metrics = &self.0.metrics;
        let begun = Instant::now();
        let outcome = worker.compute(&pass, &self.0.abort, || self.now(), metrics);
        let took = begun.elapsed();
        metrics.decodes.one();
        metrics.busy_slots.add(pass.parts.len() as u64);
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&id) else { return };
        let now = self.now();
        let ended = |id| slot.scheduler.progress(id, now).is_none();
        match outcome {
            Ok(Some(drawn)) => {
                slot.scheduler.computed(&pass, took);
                for (id, token) in drawn {
                    let more = token.is_some_and(|token| slot.scheduler.drew(id, token));
                    if !more {
                        worker.end(id, slot.scheduler.end(id, now), heat, metrics);
                    }
                }
                // Requests whose clients have left.
                worker.forget(|id| slot.scheduler.progress(id, now).is_none());
            }
            // It was ended: what is still wanted is computed again.
            Ok(None) => drop(worker.forget(ended)),
            Err(error) => {
                for part in &pass.parts {
                    slot.scheduler.end(part.id, now);
                    worker.fail(part.id, &error);
                }
                // What the context has now is not known for sure.
                worker.reset(slot.scheduler.forget_prefixes());
            }
        }
        drop(state);
        if heat.rest > 0.0 {
            let rest = took.mul_f64(heat.rest / (1.0 - heat.rest)).min(Duration::from_secs(2));
            metrics.throttled.add(rest);
            std::thread::sleep(rest);
        }
    }

    fn restore(&self, id: SlotId, worker: &mut Worker, restore: &Restore, prefixes: &mut Option<Prefixes>) {
        let Some(prefixes) = prefixes else { return };
        let tokens = prefixes.restore(worker, restore);
        let mut state = self.lock();
        state.stored = prefixes.counters();
        let Some(slot) = state.slots.get_mut(&id) else { return };
        if let Ok(Some(tokens)) = tokens {
            let sequence = restore.sequence();
            if slot.scheduler.restored(sequence, &tokens, restore.namespace()) {
                self.0.metrics.store_tokens.add(tokens.len() as u64);
            } else {
                worker.reset(vec![sequence]);
            }
        }
    }
}

/// What one model wants computed.
enum Work {
    Embed(Embed, usize, Vec<Move>),
    Restore(Restore),
    Pass {
        pass: Pass,
        started: Vec<(RequestId, (Request, UnboundedSender<Event>))>,
    },
}

impl Slot {
    fn work(&mut self, now: Duration, prefixes: Option<&Prefixes>) -> Option<Work> {
        if self.open.is_some() {
            return None;
        }
        // A text to embed takes a pass; streams go on after it.
        if let Some(embed) = self.embeds.first()
            && let Some((sequence, moves)) = self.scheduler.room_for(embed.tokens.len() as u32)
        {
            return Some(Work::Embed(self.embeds.remove(0), sequence, moves));
        }
        if let Some(restore) = self.stored(prefixes) {
            return Some(Work::Restore(restore));
        }
        let pass = self.scheduler.next(now)?;
        let started = pass.started.iter().filter_map(|id| Some((*id, self.incoming.remove(id)?)));
        let started = started.collect();
        Some(Work::Pass { pass, started })
    }

    /// A stored prefix that one of the new requests is to begin from.
    fn stored(&mut self, prefixes: Option<&Prefixes>) -> Option<Restore> {
        let (Some(prefixes), Some(key)) = (prefixes, self.key) else {
            self.unchecked.clear();
            return None;
        };
        while let Some(id) = self.unchecked.pop() {
            let Some((request, _)) = self.incoming.get(&id) else { continue };
            if request.prompt_logprobs.is_some() {
                continue;
            }
            let known = self.scheduler.known(&ask(request));
            let (prompt, namespace) = (request.prompt.clone(), request.namespace);
            let found = prefixes.find(&mut self.scheduler, &key, &prompt, namespace, known);
            if found.is_some() {
                return found;
            }
        }
        None
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
    }
}
