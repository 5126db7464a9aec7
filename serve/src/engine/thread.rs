//! The thread's work: one step after another.

use std::collections::HashMap;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use siskin_device::energy::Meter;
use siskin_runtime::scheduler::{Move, Pass, RequestId};
use tokio::sync::mpsc::UnboundedSender;

use super::prefixes::{Prefixes, Restore};
use super::worker::{Embed, Worker};
use super::{BEAT, Engine, Heat, Slot, SlotId, State, ask};
use crate::request::{Event, Request};

impl Engine {
    /// The thread.
    pub(super) fn run(self, mut prefixes: Option<Prefixes>, meter: Option<&Meter>) {
        let mut workers: HashMap<SlotId, Worker> = HashMap::new();
        loop {
            self.beat();
            let mut state = self.lock();
            if state.stopped {
                // Whose requests these are hears of it at once: their senders are dropped.
                state.slots.clear();
                drop(state);
                drop(workers);
                prefixes.iter_mut().for_each(Prefixes::flush);
                return;
            }
            let before = workers.len();
            workers.retain(|id, _| state.slots.contains_key(id));
            if workers.len() < before {
                siskin_runtime::release_memory();
            }
            let opening = state.slots.iter_mut().find_map(|(id, slot)| {
                let limits = *slot.scheduler.limits();
                slot.open.take().map(|open| (*id, open, limits))
            });
            if let Some((id, open, limits)) = opening {
                drop(state);
                let worker = Worker::new(&open.model, &limits, open.guessing);
                let result = worker.map(|worker| drop(workers.insert(id, worker)));
                let _ = open.done.send(result);
                continue;
            }
            // Every model in turn.
            let last = state.last;
            let after = state.slots.range(last + 1..).map(|(id, _)| *id);
            let order: Vec<SlotId> = after
                .chain(state.slots.range(..=last).map(|(id, _)| *id))
                .collect();
            let now = self.now();
            let work = order
                .into_iter()
                .find_map(|id| Some((id, state.slots.get_mut(&id)?.work(now, prefixes.as_ref())?)));
            let Some((id, work)) = work else {
                self.idle(state, &mut workers, &mut prefixes);
                continue;
            };
            state.last = id;
            state.embedding = matches!(work, Work::Embed(..));
            let heat = state.heat;
            self.0.busy.store(true, Ordering::Relaxed);
            self.0.abort.store(false, Ordering::Relaxed);
            drop(state);
            if let Some(worker) = workers.get_mut(&id) {
                self.carry_out(id, worker, work, (&heat, meter), &mut prefixes);
            }
            self.lock().idle_since = self.now();
            self.0.busy.store(false, Ordering::Relaxed);
        }
    }

    /// Nothing is to be computed: does what waited for that, or waits.
    fn idle<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
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
                let saved = workers
                    .get_mut(&id)
                    .is_some_and(|worker| prefixes.save(worker, &save));
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
        (heat, meter): (&Heat, Option<&Meter>),
        prefixes: &mut Option<Prefixes>,
    ) {
        let (mut pass, started) = match work {
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
        let rapl = match meter {
            Some(Meter::Rapl(rapl)) => Some((rapl, rapl.read())),
            _ => None,
        };
        let begun = Instant::now();
        let outcome = worker.compute(&mut pass, &self.0.abort, || self.now(), metrics);
        let took = begun.elapsed();
        let joules = match rapl {
            Some((rapl, before)) => rapl.joules_since(&before),
            None => heat.watts.map(|watts| watts * took.as_secs_f64()),
        };
        if let Some(joules) = joules {
            worker.charge(&pass, joules);
            metrics.energy.add(joules);
        }
        metrics.decodes.one();
        metrics.busy_slots.add(pass.parts.len() as u64);
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&id) else {
            return;
        };
        let now = self.now();
        match outcome {
            Ok(Some(drawn)) => {
                slot.scheduler.computed(&pass, took);
                for (id, token) in drawn {
                    let more = token.is_some_and(|token| slot.scheduler.drew(id, token));
                    if !more {
                        worker.end(id, slot.scheduler.end(id, now), heat, metrics);
                    }
                }
            }
            // It was ended: what is still wanted is computed again.
            Ok(None) => {}
            Err(error) => {
                for part in &pass.parts {
                    slot.scheduler.end(part.id, now);
                    worker.fail(part.id, &error);
                }
                // What the context has now is not known for sure.
                worker.reset(slot.scheduler.forget_prefixes());
            }
        }
        // Requests whose clients have left.
        worker.forget(|id| slot.scheduler.progress(id, now).is_none());
        drop(state);
        if heat.rest > 0.0 {
            let rest = took
                .mul_f64(heat.rest / (1.0 - heat.rest))
                .min(Duration::from_secs(2));
            metrics.throttled.add(rest);
            std::thread::sleep(rest);
        }
    }

    fn restore(&self, id: SlotId, worker: &mut Worker, restore: &Restore, prefixes: &mut Option<Prefixes>) {
        let Some(prefixes) = prefixes else { return };
        let tokens = prefixes.restore(worker, restore);
        let mut state = self.lock();
        state.stored = prefixes.counters();
        let Some(slot) = state.slots.get_mut(&id) else {
            return;
        };
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
        // A text to embed takes a step; streams go on before the next one does.
        let turn = !self.embedded || self.scheduler.is_idle();
        self.embedded = false;
        if let Some(embed) = self.embeds.first().filter(|_| turn)
            && let Some((sequence, moves)) = self.scheduler.room_for(embed.tokens.len() as u32)
        {
            self.embedded = true;
            return Some(Work::Embed(self.embeds.remove(0), sequence, moves));
        }
        if let Some(restore) = self.stored(prefixes) {
            return Some(Work::Restore(restore));
        }
        let pass = self.scheduler.next(now)?;
        let started = pass
            .started
            .iter()
            .filter_map(|id| Some((*id, self.incoming.remove(id)?)));
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
            let Some((request, _)) = self.incoming.get(&id) else {
                continue;
            };
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
