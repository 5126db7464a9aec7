//! Who is taken, who waits how long, and who starts.

use std::time::Duration;

use super::{Active, Admitted, Ask, Class, Ended, Refusal, RequestId, Scheduler, Waiting};

impl Scheduler {
    /// Takes a request into the queue.
    ///
    /// # Errors
    /// It never fits, it would wait too long, or too many of its namespace wait.
    pub fn admit(&mut self, ask: Ask, now: Duration) -> Result<Admitted, Refusal> {
        let prompt = ask.prompt.len() as u32;
        let need = cells(&ask);
        if need > self.limits.cells || prompt == 0 {
            return Err(Refusal::TooLong {
                prompt,
                max_tokens: ask.max_tokens,
                cells: self.limits.cells,
            });
        }
        self.promised.retain(|(until, _)| *until > now);
        let order = self.order(now);
        let known = self.known(&ask);
        let wait = self.predict(&order, &ask, known);
        let waiting = self.waiting_of(ask.namespace);
        if ask.namespace != 0 && !ask.joined && waiting >= self.limits.queue_each {
            return Err(Refusal::Share { waiting, wait });
        }
        if wait > self.limits.max_wait || self.queue.len() >= self.limits.queue {
            // Whoever was refused before comes again too, and first.
            let work = Duration::from_secs_f64(self.work(&ask, known) / self.limits.parallel as f64);
            let before: Duration = self.promised.iter().map(|(_, work)| *work).sum();
            let wait = wait + before;
            self.promised.push((now + wait + wait / 4, work));
            return Err(Refusal::Busy { wait });
        }
        if !self.promised.is_empty() {
            self.promised.remove(0);
        }
        let id = self.next;
        self.next += 1;
        self.queue.push(Waiting {
            id,
            ask,
            known,
            since: now,
            predicted: wait,
        });
        Ok(Admitted { id, wait })
    }

    /// Requests of a namespace that wait.
    fn waiting_of(&self, namespace: u64) -> usize {
        let own = |waiting: &&Waiting| waiting.ask.namespace == namespace && !waiting.ask.joined;
        self.queue.iter().filter(own).count()
    }

    /// Seconds of a request's work in a place of its own, if the cache has the first `known` tokens of its prompt. A prompt
    /// takes the whole machine, so it holds up every place.
    fn work(&self, ask: &Ask, known: u32) -> f64 {
        let rest = (ask.prompt.len() as u32).saturating_sub(known);
        let step = self.costs.step(self.limits.parallel);
        let prompt = self.costs.prefill(rest) * self.limits.parallel as f64;
        prompt + self.costs.expected_length(ask.max_tokens) * step
    }

    /// The time until `ask` starts, which comes after those: each starts when there is a place, and cells for it.
    pub(super) fn predict(&self, before: &[usize], ask: &Ask, known: u32) -> Duration {
        let step = self.costs.step(self.limits.parallel);
        let many = self.limits.parallel as f64;
        // When each that is computed ends, and the cells that it has until then.
        let mut running: Vec<(f64, u32)> = self
            .active
            .iter()
            .map(|active| {
                let prompt = (active.ask.prompt.len() - active.done) as u32;
                let expected = self.costs.expected_length(active.ask.max_tokens);
                let rest = (expected - f64::from(active.drawn)).max(1.0);
                let seconds = self.costs.prefill(prompt) * many + rest.min(f64::from(active.left)) * step;
                (seconds, cells(&active.ask))
            })
            .collect();
        let mut start = 0.0;
        let before = before.iter().map(|&index| &self.queue[index]);
        let asks = before.map(|waiting| (&waiting.ask, waiting.known));
        for (ask, known) in asks.chain([(ask, known)]) {
            let fits = |running: &[(f64, u32)]| {
                let used = running
                    .iter()
                    .fold(0, |sum: u32, (_, cells)| sum.saturating_add(*cells));
                let room = !self.limits.shared || used.saturating_add(cells(ask)) <= self.limits.cells;
                running.len() < self.limits.parallel && room
            };
            while !running.is_empty() && !fits(&running) {
                let first = (0..running.len()).min_by(|a, b| running[*a].0.total_cmp(&running[*b].0));
                let (end, _) = running.swap_remove(first.unwrap_or(0));
                start = end.max(start);
            }
            running.push((start + self.work(ask, known), cells(ask)));
        }
        Duration::from_secs_f64(start.clamp(0.0, 1e6))
    }

    /// The queue in the order in which it starts.
    pub(super) fn order(&self, now: Duration) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.queue.len()).collect();
        order.sort_by_key(|&index| {
            let waiting = &self.queue[index];
            let impatient = now.saturating_sub(waiting.since) > self.limits.patience;
            // Prompts of about one length start in the order of their coming.
            let rest = match impatient {
                true => 0,
                false => (waiting.ask.prompt.len() / 128)
                    .checked_ilog(4)
                    .map_or(0, |power| power + 1),
            };
            (
                !impatient,
                waiting.ask.class == Class::Background && !impatient,
                rest,
                waiting.id,
            )
        });
        order
    }

    /// Starts what there is a place and cells for.
    pub(super) fn start(&mut self, now: Duration) -> Vec<RequestId> {
        let mut started = Vec::new();
        let mut at = 0;
        let order: Vec<RequestId> = self
            .order(now)
            .iter()
            .map(|&index| self.queue[index].id)
            .collect();
        while self.active.len() < self.limits.parallel && at < order.len() {
            let id = order[at];
            at += 1;
            let Some(index) = self.queue.iter().position(|waiting| waiting.id == id) else {
                continue;
            };
            let waiting = &self.queue[index];
            if waiting
                .ask
                .follows
                .is_some_and(|first| self.is_before_its_answer(first))
            {
                continue;
            }
            let reserved: u32 = match self.limits.shared {
                true => self.active.iter().map(Active::outstanding).sum(),
                false => 0,
            };
            let queued = now.saturating_sub(waiting.since);
            let Some((moves, sequence, best)) = self.cells.place(&waiting.ask, reserved) else {
                // What has waited too long is not overtaken by shorter ones.
                if queued > self.limits.patience {
                    break;
                }
                continue;
            };
            let waiting = self.queue.remove(index);
            self.moves.extend(moves);
            let cached = self.cells.len(sequence);
            self.active.push(Active {
                id,
                sequence,
                done: cached,
                left: waiting.ask.max_tokens,
                pending: None,
                drawn: 0,
                since: now,
                ended: Ended {
                    cached: cached as u32,
                    queued,
                    differs_at: best.map(|best| best.common),
                    predicted: waiting.predicted,
                },
                ask: waiting.ask,
            });
            started.push(id);
        }
        if !started.is_empty() {
            // What began now may have taken the cells of a prefix, or is one for others.
            for waiting in &mut self.queue {
                waiting.known = self.cells.best(&waiting.ask).map_or(0, |best| best.common);
            }
        }
        started
    }

    /// Whether a request's prompt is still to be computed.
    fn is_before_its_answer(&self, id: RequestId) -> bool {
        let waits = self.queue.iter().any(|waiting| waiting.id == id);
        waits
            || self
                .active
                .iter()
                .any(|active| active.id == id && active.in_prompt())
    }
}

/// Cells that a request takes.
fn cells(ask: &Ask) -> u32 {
    (ask.prompt.len() as u32).saturating_add(ask.max_tokens.saturating_sub(1))
}
