//! Who computes what next, if several requests share one KV cache.
//!
//! Pure: plain data goes in, a [`Pass`] comes out. Time is a number that the caller gives, and nothing here knows
//! llama.cpp, so whole days of requests are simulated in tests. The thread that owns the context carries a pass out and
//! says what came of it:
//!
//! ```text
//! admit ─► queue ─► next() ─► Pass: moves, parts ─► context ─► computed() ─► drew() or end(), for each row of logits
//! ```
//!
//! | promise | kept by |
//! | --- | --- |
//! | a running answer is never ended by another request | a request starts only if its prompt and all the tokens that it may draw have cells |
//! | nobody's next token waits much longer than [`Limits::stall`] for somebody's prompt | prompts enter in pieces, sized by measured costs |
//! | nobody starves | the shortest prompt goes first, but what has waited longer than [`Limits::patience`] is overtaken by nobody |
//! | a request that would wait longer than [`Limits::max_wait`] is refused at once, with the time to try again | [`Scheduler::admit`] |

mod cells;
mod costs;
mod pass;
mod queue;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Token;
use cells::Cells;
pub use costs::Costs;
pub use pass::{Move, Part, PartRows, Pass};

/// A request's number: larger for later ones.
pub type RequestId = u64;

/// What requests share, and what they may expect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Requests that are computed at the same time.
    pub parallel: usize,
    /// Sequences of the context; those beyond `parallel` keep prefixes.
    pub sequences: usize,
    /// Cells of the KV cache: of all sequences together if they share it, else of each.
    pub cells: u32,
    /// Whether sequences share their cells. If they do, a prefix is copied for nothing.
    pub shared: bool,
    /// Tokens of a pass at most.
    pub pass_tokens: u32,
    /// Tokens of a pass at most if each has a row of logits.
    pub pass_rows: u32,
    /// How long a pass may take while somebody waits for a next token.
    pub stall: Duration,
    /// How long a pass may take otherwise.
    pub alone: Duration,
    /// Requests that would wait longer are refused.
    pub max_wait: Duration,
    /// Requests that have waited longer are overtaken by no other.
    pub patience: Duration,
    /// Requests that wait at most.
    pub queue: usize,
    /// Requests of one namespace that wait at most, so that one client does not fill the queue. Namespace 0 is everybody,
    /// so it has no such limit.
    pub queue_each: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            parallel: 2,
            sequences: 6,
            cells: 4096,
            shared: true,
            pass_tokens: 512,
            pass_rows: 32,
            stall: Duration::from_millis(300),
            alone: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            patience: Duration::from_secs(20),
            queue: 256,
            queue_each: 4,
        }
    }
}

/// Who may push whom aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A person waits.
    #[default]
    Chat,
    /// Nobody does: titles, tags, summaries. It starts after every chat and never takes the place of a chat's prefix,
    /// unless there is no other.
    Background,
}

/// What a request wants.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The tokens to continue; at least one.
    pub prompt: Arc<[Token]>,
    /// Tokens that it may draw.
    pub max_tokens: u32,
    /// Who waits for it.
    pub class: Class,
    /// Prefixes are shared within a namespace only: how fast an answer comes tells what others asked.
    pub namespace: u64,
    /// The conversation that it belongs to, if the client says so.
    pub conversation: Option<u64>,
    /// The first token of the prompt whose row of logits is wanted, besides the last one's.
    pub rows_from: Option<usize>,
    /// It wants the same prompt as this request, which came before: it starts when that prompt is computed.
    pub follows: Option<RequestId>,
    /// It is part of what an earlier request was taken for, so it does not count as one more that waits.
    pub joined: bool,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It never fits.
    #[error("{prompt} tokens of prompt and {max_tokens} to draw do not fit into a context of {cells}")]
    TooLong {
        /// Tokens of the prompt.
        prompt: u32,
        /// Tokens that it wants to draw.
        max_tokens: u32,
        /// Tokens that fit.
        cells: u32,
    },
    /// It would wait too long.
    #[error("about {} s of work come before it", .wait.as_secs())]
    Busy {
        /// How long it would wait; a retry after that time starts soon.
        wait: Duration,
    },
    /// As many requests of its namespace wait as may.
    #[error("{waiting} requests wait already")]
    Share {
        /// Those that wait.
        waiting: usize,
        /// How long it would wait.
        wait: Duration,
    },
}

/// What a request that was taken can expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Its number.
    pub id: RequestId,
    /// Predicted time until it starts.
    pub wait: Duration,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It waits.
    Queued {
        /// Requests that start before it.
        ahead: usize,
        /// Predicted time until it starts.
        wait: Duration,
    },
    /// Its prompt is being computed.
    Prompt {
        /// Tokens in the cache.
        done: u32,
        /// Tokens of the prompt.
        total: u32,
    },
    /// It draws tokens.
    Decode,
}

/// What is known of a request once it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Tokens of its prompt that the cache had.
    pub cached: u32,
    /// How long it waited for a place.
    pub queued: Duration,
    /// The place at which its prompt differed from the best prefix of the cache, if there was one.
    pub differs_at: Option<u32>,
    /// How long it was predicted to wait.
    pub predicted: Duration,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
    ask: Ask,
    /// Tokens of its prompt that the cache had when it came, or when another request last started. Comparing prompts takes
    /// long, and for a prediction this is good enough.
    known: u32,
    since: Duration,
    predicted: Duration,
}

/// A request that is computed.
#[derive(Debug)]
struct Active {
    id: RequestId,
    ask: Ask,
    sequence: usize,
    /// Tokens of the prompt in the cache.
    done: usize,
    /// Tokens that it may still draw.
    left: u32,
    /// Drawn, and not computed yet.
    pending: Option<Token>,
    drawn: u32,
    /// When its prompt began.
    since: Duration,
    ended: Ended,
}

impl Active {
    fn in_prompt(&self) -> bool {
        self.done < self.ask.prompt.len()
    }

    /// Cells that it may still need. Its last token is drawn and never computed.
    fn outstanding(&self) -> u32 {
        let prompt = self.ask.prompt.len() - self.done;
        (prompt as u32).saturating_add((self.left + u32::from(self.pending.is_some())).saturating_sub(1))
    }
}

/// The requests of one context.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    costs: Costs,
    cells: Cells,
    queue: Vec<Waiting>,
    active: Vec<Active>,
    /// Work of requests that were refused and will come again, with the time until which they count.
    promised: Vec<(Duration, Duration)>,
    next: RequestId,
    /// What has to happen to the context before the next pass.
    moves: Vec<Move>,
}

impl Scheduler {
    /// No requests; `costs` are what is known of the machine.
    pub fn new(limits: Limits, costs: Costs) -> Self {
        Scheduler {
            limits,
            costs,
            cells: Cells::new(limits.cells, limits.sequences.max(limits.parallel), limits.shared),
            queue: Vec::new(),
            active: Vec::new(),
            promised: Vec::new(),
            next: 1,
            moves: Vec::new(),
        }
    }

    /// What was set.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was measured.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// True if nothing waits and nothing is computed.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active.is_empty()
    }

    /// Requests that wait, and requests that are computed.
    pub fn counts(&self) -> (usize, usize) {
        (self.queue.len(), self.active.len())
    }

    /// Cells that hold something.
    pub fn used_cells(&self) -> u32 {
        self.cells.used()
    }

    /// The request that is computed alone, if exactly one is: ending it may end the pass too.
    pub fn only(&self) -> Option<RequestId> {
        match &self.active[..] {
            [active] => Some(active.id),
            _ => None,
        }
    }

    /// How long a short request that comes now would wait, about.
    pub fn wait(&self, now: Duration) -> Duration {
        let short = Ask {
            prompt: Arc::new([]),
            max_tokens: 1,
            class: Class::Chat,
            namespace: 0,
            conversation: None,
            rows_from: None,
            follows: None,
            joined: false,
        };
        self.predict(&self.order(now), &short, 0)
    }

    /// Where a request is; `None` if it has ended.
    pub fn progress(&self, id: RequestId, now: Duration) -> Option<Progress> {
        if let Some(active) = self.active.iter().find(|active| active.id == id) {
            return Some(match active.in_prompt() {
                true => Progress::Prompt {
                    done: active.done as u32,
                    total: active.ask.prompt.len() as u32,
                },
                false => Progress::Decode,
            });
        }
        let order = self.order(now);
        let ahead = order.iter().position(|&index| self.queue[index].id == id)?;
        let waiting = &self.queue[order[ahead]];
        let wait = self.predict(&order[..ahead], &waiting.ask, waiting.known);
        Some(Progress::Queued { ahead, wait })
    }

    /// A token was drawn after the last row of a request: it is computed next. False if it may draw no more; then the
    /// caller ends it.
    pub fn drew(&mut self, id: RequestId, token: Token) -> bool {
        let Some(active) = self.active.iter_mut().find(|active| active.id == id) else {
            return false;
        };
        active.left = active.left.saturating_sub(1);
        active.drawn += 1;
        active.pending = Some(token);
        active.left > 0
    }

    /// A request has ended, or its client is gone. What it computed stays as a prefix until its cells are needed.
    pub fn end(&mut self, id: RequestId, now: Duration) -> Option<Ended> {
        if let Some(index) = self.queue.iter().position(|waiting| waiting.id == id) {
            let waiting = self.queue.remove(index);
            return Some(Ended {
                queued: now.saturating_sub(waiting.since),
                ..Ended::default()
            });
        }
        let index = self.active.iter().position(|active| active.id == id)?;
        let active = self.active.remove(index);
        self.cells.release(active.sequence);
        self.costs.ended(active.drawn);
        Some(active.ended)
    }

    /// Forgets every prefix of requests that have ended; returns their sequences, to be cleared.
    pub fn forget_prefixes(&mut self) -> Vec<usize> {
        self.cells.forget_idle()
    }

    /// Prefixes of requests that have ended: sequence, tokens, namespace, and how many later prompts began with them.
    pub fn prefixes(&self) -> impl Iterator<Item = (usize, &[Token], u64, u32)> {
        self.cells.idle()
    }

    /// A prefix was put into an empty idle sequence by the caller, from a store. False if there is no room: then nothing
    /// changes.
    pub fn restored(&mut self, sequence: usize, tokens: &[Token], namespace: u64) -> bool {
        self.cells.restored(sequence, tokens, namespace)
    }

    /// An idle sequence for a prefix of so many tokens from a store, and what has to happen before; `None` if there is no
    /// room for it.
    pub fn room_for(&mut self, tokens: u32) -> Option<(usize, Vec<Move>)> {
        let reserved: u32 = self.active.iter().map(Active::outstanding).sum();
        self.cells.room_for(tokens, reserved)
    }

    /// Tokens of a request's prompt that the cache has.
    pub fn known(&self, ask: &Ask) -> u32 {
        self.cells.best(ask).map_or(0, |best| best.common)
    }
}
