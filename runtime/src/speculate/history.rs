//! What followed the same tokens earlier in this text.

use super::automaton::{Automaton, BYTES_PER_TOKEN};
use super::{BUCKETS, Bucket, Draft, Drafter, GoesOn, Source};
use crate::engine::Token;

/// Tokens that are indexed at most. If they are all there, the older half is dropped.
const MOST: usize = 65_536;

/// Classes of matched lengths by their first length: 1, 2, 3-4, 5-8, 9-16, 17 and more.
const LENGTHS: [u32; 6] = [1, 2, 3, 5, 9, 17];

/// How often a guess is right, by class of length: if other tokens followed too; if it followed once, and nothing else;
/// if it followed more often, and nothing else. Estimates; what is measured replaces them.
const PRIORS: [[f64; 3]; LENGTHS.len()] = [
    [0.20, 0.25, 0.40],
    [0.30, 0.35, 0.55],
    [0.42, 0.50, 0.70],
    [0.55, 0.65, 0.80],
    [0.68, 0.80, 0.88],
    [0.80, 0.90, 0.93],
];

const _: () = assert!(LENGTHS.len() * PRIORS[0].len() <= BUCKETS as usize);

/// Guesses that a text goes on as it went on after the same tokens before: the longest end of it that occurred earlier
/// decides, then how often a token followed, then which followed last.
///
/// It indexes the last 32,768 to 65,536 tokens and takes 8 MiB at most.
#[derive(Debug)]
pub struct History {
    /// Tokens that it may index.
    most: usize,
    /// Tokens of the text before those that are kept.
    dropped: usize,
    kept: Vec<Token>,
    index: Automaton,
}

impl History {
    /// Of an empty text.
    pub fn new() -> Self {
        History::with_limit(MOST)
    }

    fn with_limit(most: usize) -> Self {
        History {
            most,
            dropped: 0,
            kept: Vec::new(),
            index: Automaton::new(most),
        }
    }

    /// Bytes of memory that it takes now.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.kept.capacity() * size_of::<Token>()
    }

    /// Bytes of memory that it takes at most.
    pub const fn most_bytes() -> usize {
        MOST * (BYTES_PER_TOKEN + size_of::<Token>())
    }

    fn rebuild(&mut self) {
        self.index.clear();
        self.kept.iter().for_each(|&token| self.index.append(token));
    }

    fn drop_older_half(&mut self) {
        let dropped = self.kept.len() - self.most / 2;
        self.kept.drain(..dropped);
        self.dropped += dropped;
        self.rebuild();
    }
}

impl Default for History {
    fn default() -> Self {
        History::new()
    }
}

impl Drafter for History {
    fn source(&self) -> Source {
        Source::History
    }

    fn observe(&mut self, tokens: &[Token]) {
        for &token in tokens {
            if self.kept.len() == self.most {
                self.drop_older_half();
            }
            self.kept.push(token);
            self.index.append(token);
        }
    }

    /// Builds the index again from what is left, if anything is cut: tens of milliseconds if it is full.
    fn forget(&mut self, len: usize) {
        if len == 0 {
            *self = History::with_limit(self.most);
        } else if len < self.dropped + self.kept.len() {
            self.kept.truncate(len.saturating_sub(self.dropped));
            self.dropped = len - self.kept.len();
            self.rebuild();
        }
    }

    fn propose(&mut self, most: usize, _: GoesOn<'_>) -> Draft {
        let mut draft = Draft::none(Source::History);
        let mut state = self.index.longest();
        let mut matched = self.index.len(state);
        let mut period = None;
        while draft.tokens.len() < most && matched > 0 {
            let guess = match self.index.best(state) {
                Some(next) => {
                    state = next.to;
                    (next.token, bucket(matched, next.alone, next.count))
                }
                // The end of the text, which followed once what was matched: the guesses themselves come next.
                None => {
                    let period = *period.get_or_insert(draft.tokens.len());
                    let Some(&(token, _)) = draft.tokens.get(draft.tokens.len().wrapping_sub(period)) else {
                        break;
                    };
                    (token, bucket(matched, true, 1))
                }
            };
            draft.tokens.push(guess);
            matched = matched.saturating_add(1);
        }
        draft
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        let kinds = PRIORS[0].len();
        let lengths = PRIORS.get(usize::from(bucket.0) / kinds);
        lengths.map_or(0.0, |priors| priors[usize::from(bucket.0) % kinds])
    }
}

/// The bucket of a token that followed `count` times, alone or beside others, what was matched.
fn bucket(matched: u32, alone: bool, count: u32) -> Bucket {
    let length = LENGTHS
        .partition_point(|&first| first <= matched)
        .saturating_sub(1);
    let kind = match (alone, count) {
        (false, _) => 0,
        (true, 1) => 1,
        (true, _) => 2,
    };
    Bucket((length * PRIORS[0].len() + kind) as u8)
}

#[cfg(test)]
mod tests;
