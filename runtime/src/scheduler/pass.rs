//! The next pass: tokens of the streams that decode, and as much of the prompts as there is time for.

use std::time::Duration;

use super::costs::LEAST_TO_LEARN;
use super::{Active, Class, RequestId, Scheduler};
use crate::engine::Token;

/// What happens to the context's sequences before a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// A sequence keeps its first tokens only.
    Truncate {
        /// Which.
        sequence: usize,
        /// Tokens that it keeps.
        tokens: u32,
    },
    /// An empty sequence gets the first tokens of another.
    Copy {
        /// The source.
        from: usize,
        /// The empty one.
        to: usize,
        /// Tokens.
        tokens: u32,
    },
}

/// Which rows of logits a part wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRows {
    /// None: more of the prompt follows.
    None,
    /// The last one, to draw a token from.
    Last,
    /// Every one, of a prompt whose tokens are to be scored.
    All,
}

/// Tokens of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The request.
    pub id: RequestId,
    /// Its sequence.
    pub sequence: usize,
    /// The place of the first token.
    pub position: usize,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// The rows that are wanted.
    pub rows: PartRows,
    /// Whether a token is drawn after the last row.
    pub draws: bool,
}

/// What is computed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// First, in this order.
    pub moves: Vec<Move>,
    /// Requests that start with this pass.
    pub started: Vec<RequestId>,
    /// Then all of these together.
    pub parts: Vec<Part>,
    /// Streams that decode. Their parts come first.
    pub streams: usize,
    /// Tokens that follow theirs and are only guessed. A scheduler guesses nothing: the caller may add guesses to the
    /// parts of streams, and takes those out that were wrong before it calls [`Scheduler::computed`].
    pub guesses: usize,
    /// Tokens of prompts.
    pub prompt_tokens: u32,
}

impl Scheduler {
    /// What to compute next; `None` if there is nothing. The caller carries it out and calls
    /// [`Scheduler::computed`], or computes nothing of its parts and asks again.
    pub fn next(&mut self, now: Duration) -> Option<Pass> {
        let started = self.start(now);
        let mut pass = Pass {
            moves: std::mem::take(&mut self.moves),
            started,
            ..Pass::default()
        };
        for active in &mut self.active {
            let Some(token) = active.pending.filter(|_| !active.in_prompt()) else {
                continue;
            };
            pass.streams += 1;
            pass.parts.push(Part {
                id: active.id,
                sequence: active.sequence,
                position: self.cells.len(active.sequence),
                tokens: vec![token],
                rows: PartRows::Last,
                draws: true,
            });
        }
        self.add_prompts(now, &mut pass);
        (!pass.parts.is_empty() || !pass.moves.is_empty()).then_some(pass)
    }

    /// Fills the pass with tokens of prompts: the shortest rest first.
    fn add_prompts(&mut self, now: Duration, pass: &mut Pass) {
        let limits = &self.limits;
        let time = if pass.streams > 0 {
            limits.stall
        } else {
            limits.alone
        };
        let most = limits.pass_tokens.saturating_sub(pass.streams as u32);
        // A prompt always moves on, however slow the machine is; alone by more, because it reads all weights anyway.
        let least = if pass.streams > 0 {
            LEAST_TO_LEARN
        } else {
            4 * LEAST_TO_LEARN
        };
        let mut budget = self.costs.tokens_within(time, pass.streams).max(least).min(most);
        let mut rows = limits.pass_rows;
        let mut prompts: Vec<&Active> = self.active.iter().filter(|active| active.in_prompt()).collect();
        prompts.sort_by_key(|active| {
            let rest = active.ask.prompt.len() - active.done;
            let waited = now.saturating_sub(active.since) > limits.patience;
            // What has waited too long goes first, in the order of its coming.
            let (rest, since) = if waited {
                (0, active.since)
            } else {
                (rest, Duration::ZERO)
            };
            (
                !waited,
                active.ask.class == Class::Background,
                rest,
                since,
                active.id,
            )
        });
        for active in prompts {
            let prompt = &active.ask.prompt;
            let rest = &prompt[active.done..];
            let scored = active
                .ask
                .rows_from
                .map(|from| from.max(active.done))
                .filter(|from| *from < prompt.len());
            let mut count = rest.len().min(budget as usize);
            // Tokens before the first that is scored have no rows, so a piece ends there.
            match scored {
                Some(from) if from > active.done => count = count.min(from - active.done),
                Some(_) => count = count.min(rows as usize),
                None => {}
            }
            if count == 0 {
                continue;
            }
            let last = count == rest.len();
            let all = scored.is_some_and(|from| from == active.done);
            if all {
                rows -= count as u32;
            }
            pass.parts.push(Part {
                id: active.id,
                sequence: active.sequence,
                position: active.done,
                tokens: rest[..count].to_vec(),
                rows: match (all, last) {
                    (true, _) => PartRows::All,
                    (false, true) => PartRows::Last,
                    (false, false) => PartRows::None,
                },
                draws: last,
            });
            pass.prompt_tokens += count as u32;
            budget -= count as u32;
            if budget == 0 {
                break;
            }
        }
    }

    /// The parts of a pass were computed, in so much time.
    pub fn computed(&mut self, pass: &Pass, took: Duration) {
        for part in &pass.parts {
            // If its client is gone by now, the sequence keeps what was computed.
            if let Some(active) = self.active.iter_mut().find(|active| active.id == part.id) {
                match active.in_prompt() {
                    true => active.done += part.tokens.len(),
                    false => active.pending = None,
                }
            }
            self.cells.push(part.sequence, &part.tokens);
        }
        self.costs
            .computed(pass.streams + pass.guesses, pass.prompt_tokens, took);
    }
}
