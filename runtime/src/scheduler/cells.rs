//! Which sequences hold which tokens, and how many cells of the KV cache that takes.
//!
//! Sequences that begin alike may share cells, as llama.cpp's do after a copy: each cell counts its sequences.

use std::collections::HashMap;

use super::{Ask, Class, Move};
use crate::engine::Token;

/// Fewer tokens are not worth a copy.
const WORTH_COPYING: u32 = 8;

/// A sequence of the context.
#[derive(Debug, Default)]
struct Place {
    tokens: Vec<Token>,
    /// The cell of each token.
    cells: Vec<u32>,
    held: bool,
    class: Class,
    namespace: u64,
    conversation: Option<u64>,
    /// Later prompts that began with its tokens.
    hits: u32,
    /// Larger for what was used later.
    used: u64,
}

/// The best prefix for a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) sequence: usize,
    /// Tokens that both begin with; fewer than the prompt has.
    pub(super) common: u32,
}

/// Every cell, and every sequence.
#[derive(Debug)]
pub(super) struct Cells {
    capacity: u32,
    shared: bool,
    /// Sequences that use each cell; if sequences do not share, cells are only counted.
    counts: Vec<u16>,
    free: Vec<u32>,
    places: Vec<Place>,
    clock: u64,
}

impl Cells {
    pub(super) fn new(capacity: u32, sequences: usize, shared: bool) -> Self {
        let all = match shared {
            true => capacity,
            false => capacity.saturating_mul(sequences as u32),
        };
        Cells {
            capacity,
            shared,
            counts: vec![0; all as usize],
            free: (0..all).rev().collect(),
            places: (0..sequences).map(|_| Place::default()).collect(),
            clock: 0,
        }
    }

    /// Cells in use.
    pub(super) fn used(&self) -> u32 {
        (self.counts.len() - self.free.len()) as u32
    }

    /// Tokens of a sequence.
    pub(super) fn len(&self, sequence: usize) -> usize {
        self.places[sequence].tokens.len()
    }

    /// The longest prefix that a request can use; among equals one of its own conversation. Of a prompt that is scored
    /// what has rows of logits is computed again.
    pub(super) fn best(&self, ask: &Ask) -> Option<Best> {
        let (prompt, namespace, conversation) = (&ask.prompt[..], ask.namespace, ask.conversation);
        let most = prompt.len().saturating_sub(1);
        let most = ask.rows_from.map_or(most, |from| from.min(most));
        let candidates = self.places.iter().enumerate();
        let candidates = candidates.filter(|(_, place)| {
            place.namespace == namespace && !place.tokens.is_empty() && (self.shared || !place.held)
        });
        let common = |place: &Place| {
            let same = place.tokens.iter().zip(prompt).take_while(|(a, b)| a == b);
            same.count().min(most)
        };
        candidates
            .map(|(sequence, place)| {
                let own = conversation.is_some() && place.conversation == conversation;
                (common(place), own, !place.held, place.used, sequence)
            })
            .filter(|found| found.0 > 0)
            .max()
            .map(|(common, .., sequence)| Best {
                sequence,
                common: common as u32,
            })
    }

    /// Cells that would be free if every idle sequence were cleared, but for the first tokens of `keep`.
    fn available(&self, keep: Option<Best>) -> u32 {
        let mut counts = HashMap::new();
        for (sequence, place) in self.places.iter().enumerate().filter(|(_, place)| !place.held) {
            let kept = keep.filter(|keep| keep.sequence == sequence);
            for &cell in &place.cells[kept.map_or(0, |keep| keep.common as usize)..] {
                *counts.entry(cell).or_insert(0u16) += 1;
            }
        }
        let freed = counts
            .iter()
            .filter(|&(&cell, &count)| self.counts[cell as usize] == count);
        (self.free.len() + freed.count()) as u32
    }

    /// Gives a request a sequence, if its cells and the `reserved` ones of others can be had: what has to happen to the
    /// context, the sequence, and the best prefix, of which the sequence has as many tokens as its length says.
    pub(super) fn place(&mut self, ask: &Ask, reserved: u32) -> Option<(Vec<Move>, usize, Option<Best>)> {
        let need = (ask.prompt.len() as u32).saturating_add(ask.max_tokens.saturating_sub(1));
        let best = self.best(ask);
        let usable = best.filter(|best| {
            let fits =
                need.saturating_sub(best.common).saturating_add(reserved) <= self.available(Some(*best));
            !self.shared || fits
        });
        let other = self.victim(usable.map(|best| best.sequence), ask.class);
        let mut moves = Vec::new();
        let (sequence, kept) = match (usable, other) {
            (Some(best), _)
                if self.takes_over(best, ask) || other.is_none() && !self.places[best.sequence].held =>
            {
                (best.sequence, best.common)
            }
            (Some(best), Some(target)) if self.shared && best.common >= WORTH_COPYING => {
                self.empty(target, &mut moves);
                moves.push(Move::Copy {
                    from: best.sequence,
                    to: target,
                    tokens: best.common,
                });
                self.copy(best.sequence, target, best.common as usize);
                (target, best.common)
            }
            (_, target) => {
                let target = target.or_else(|| self.victim(None, ask.class))?;
                if self.shared && need.saturating_add(reserved) > self.available(None) {
                    return None;
                }
                (target, 0)
            }
        };
        if self.len(sequence) > kept as usize {
            self.truncate(sequence, kept as usize);
            moves.push(Move::Truncate {
                sequence,
                tokens: kept,
            });
        }
        self.hold(sequence, ask);
        self.make_room(need - kept, reserved, ask.class, &mut moves);
        Some((moves, sequence, best))
    }

    /// Whether a request goes on in the sequence of its prefix: nobody holds it, and little of it would be lost or it is
    /// the same conversation. Else a copy is made, so that the next request that begins alike finds it too.
    fn takes_over(&self, best: Best, ask: &Ask) -> bool {
        let place = &self.places[best.sequence];
        let lost = place.tokens.len() - best.common as usize;
        let own = ask.conversation.is_some() && place.conversation == ask.conversation;
        !place.held && (own || lost <= 16 + best.common as usize / 8)
    }

    /// The idle sequence that is missed least: an empty one, else one of a background request, else the one that was
    /// used longest ago. `keep` is not it, and no chat's is a background request's, if there is another.
    fn victim(&self, keep: Option<usize>, class: Class) -> Option<usize> {
        let idle = self.places.iter().enumerate();
        let idle = idle.filter(|&(sequence, place)| !place.held && Some(sequence) != keep);
        idle.min_by_key(|(_, place)| {
            let spared = class == Class::Background && place.class == Class::Chat;
            let rank = match (place.tokens.is_empty(), place.class) {
                (true, _) => 0,
                (false, Class::Background) => 1,
                (false, Class::Chat) => 2,
            };
            (spared && !place.tokens.is_empty(), rank, place.used)
        })
        .map(|(sequence, _)| sequence)
    }

    fn empty(&mut self, sequence: usize, moves: &mut Vec<Move>) {
        if self.len(sequence) > 0 {
            self.truncate(sequence, 0);
            moves.push(Move::Truncate { sequence, tokens: 0 });
        }
    }

    /// Clears idle sequences until so many cells are free.
    fn make_room(&mut self, need: u32, reserved: u32, class: Class, moves: &mut Vec<Move>) {
        let need = need.saturating_add(reserved) as usize;
        while self.shared && self.free.len() < need {
            let idle = self.places.iter().enumerate();
            let idle = idle.filter(|(_, place)| !place.held && !place.tokens.is_empty());
            let spared = |place: &Place| class == Class::Background && place.class == Class::Chat;
            let victim =
                idle.min_by_key(|(_, place)| (spared(place), place.class == Class::Chat, place.used));
            let Some((sequence, _)) = victim else { return };
            self.empty(sequence, moves);
        }
    }

    fn hold(&mut self, sequence: usize, ask: &Ask) {
        self.clock += 1;
        let used = self.clock;
        let place = &mut self.places[sequence];
        place.hits = if place.tokens.is_empty() {
            0
        } else {
            place.hits + 1
        };
        place.held = true;
        (place.class, place.namespace) = (ask.class, ask.namespace);
        (place.conversation, place.used) = (ask.conversation, used);
    }

    /// The request that held a sequence has ended.
    pub(super) fn release(&mut self, sequence: usize) {
        self.clock += 1;
        self.places[sequence].held = false;
        self.places[sequence].used = self.clock;
    }

    /// Tokens were computed. There are cells for them, because they were reserved.
    pub(super) fn push(&mut self, sequence: usize, tokens: &[Token]) {
        for &token in tokens {
            // llama.cpp would refuse the pass: there is a cell, because it was reserved.
            let Some(cell) = self.free.pop() else {
                return debug_assert!(false, "a cell that was not reserved");
            };
            self.counts[cell as usize] = 1;
            self.places[sequence].cells.push(cell);
            self.places[sequence].tokens.push(token);
        }
    }

    fn truncate(&mut self, sequence: usize, len: usize) {
        let place = &mut self.places[sequence];
        place.tokens.truncate(len);
        for cell in place.cells.drain(len.min(place.cells.len())..) {
            self.counts[cell as usize] -= 1;
            if self.counts[cell as usize] == 0 {
                self.free.push(cell);
            }
        }
    }

    fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.clock += 1;
        (self.places[from].used, self.places[from].hits) = (self.clock, self.places[from].hits + 1);
        let tokens = self.places[from].tokens[..len].to_vec();
        let cells = self.places[from].cells[..len].to_vec();
        cells.iter().for_each(|&cell| self.counts[cell as usize] += 1);
        (self.places[to].tokens, self.places[to].cells) = (tokens, cells);
    }

    /// Clears every idle sequence; which had something.
    pub(super) fn forget_idle(&mut self) -> Vec<usize> {
        let had = |place: &Place| !place.held && !place.tokens.is_empty();
        let idle: Vec<usize> = (0..self.places.len())
            .filter(|&sequence| had(&self.places[sequence]))
            .collect();
        idle.iter().for_each(|&sequence| self.truncate(sequence, 0));
        idle
    }

    /// Idle sequences with their tokens, namespace and hits.
    pub(super) fn idle(&self) -> impl Iterator<Item = (usize, &[Token], u64, u32)> {
        let places = self.places.iter().enumerate();
        places
            .filter(|(_, place)| !place.held && !place.tokens.is_empty())
            .map(|(sequence, place)| (sequence, &place.tokens[..], place.namespace, place.hits))
    }

    /// An idle sequence with room for so many tokens, emptied, and what was emptied for it.
    pub(super) fn room_for(&mut self, tokens: u32, reserved: u32) -> Option<(usize, Vec<Move>)> {
        let target = self.victim(None, Class::Chat)?;
        if self.shared && tokens.saturating_add(reserved) > self.available(None) {
            return None;
        }
        let mut moves = Vec::new();
        self.empty(target, &mut moves);
        self.make_room(tokens, reserved, Class::Chat, &mut moves);
        Some((target, moves))
    }

    /// An empty idle sequence got tokens from elsewhere.
    pub(super) fn restored(&mut self, sequence: usize, tokens: &[Token], namespace: u64) -> bool {
        let room = match self.shared {
            true => self.free.len(),
            false => self.capacity as usize,
        };
        let place = &self.places[sequence];
        if place.held || !place.tokens.is_empty() || tokens.len() > room {
            return false;
        }
        self.push(sequence, tokens);
        self.clock += 1;
        let used = self.clock;
        let place = &mut self.places[sequence];
        (place.namespace, place.used, place.hits) = (namespace, used, 1);
        (place.class, place.conversation) = (Class::Chat, None);
        true
    }
}
