//! What the model itself found most likely after a token when it last computed it.

mod top_two;

use super::tail::Tail;
use super::{BUCKETS, Bucket, Draft, Drafter, GoesOn, Source};
use crate::engine::Token;
use top_two::top_two;

/// Tokens that have a place. A token whose place another one takes is forgotten.
const PLACES: usize = 16_384;

/// Classes of gaps between the best two logits, by their first gap: 0 to 1, 1 to 2, 2 to 4, 4 to 8, 8 and more.
const GAPS: [f32; 5] = [0.0, 1.0, 2.0, 4.0, 8.0];

/// How often a guess is right, by class of gap: for the next token, and for those after it. The text before the token
/// was another when its logits were computed, so a guess is right less often than its probability was.
/// Estimates; what is measured replaces them.
const PRIORS: [[f64; 2]; GAPS.len()] = [
    [0.12, 0.10],
    [0.18, 0.15],
    [0.28, 0.22],
    [0.42, 0.35],
    [0.60, 0.50],
];

const _: () = assert!(GAPS.len() * PRIORS[0].len() <= BUCKETS as usize);

/// The two most likely successors of a token.
#[derive(Debug, Clone, Copy)]
struct Place {
    token: i32,
    first: i32,
    second: i32,
    /// How much larger the first one's logit was, 0 or more.
    gap: f32,
}

/// No token; ids are never negative.
const FREE: Place = Place {
    token: -1,
    first: -1,
    second: -1,
    gap: 0.0,
};

/// Guesses the successor that was most likely when a token's logits were last computed, wherever that was: logits that
/// were computed anyway are used again (Token Recycling, <https://arxiv.org/abs/2408.08696>, as a chain and not a tree).
///
/// If the second most likely one came, it is the first one next time. 256 KiB.
#[derive(Debug)]
pub struct Recycled {
    /// By the lowest bits of a token's hash. Empty until the first logits come.
    places: Vec<Place>,
    text: Tail,
}

impl Recycled {
    /// Knows nothing.
    pub fn new() -> Self {
        Recycled {
            places: Vec::new(),
            text: Tail::default(),
        }
    }

    /// Bytes of memory that it takes now.
    pub fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// Bytes of memory that it takes at most.
    pub const fn most_bytes() -> usize {
        PLACES * size_of::<Place>()
    }

    fn get(&self, token: Token) -> Option<&Place> {
        let place = self.places.get(place_of(token))?;
        (place.token == token.0 && token.0 >= 0).then_some(place)
    }

    /// `next` came after `token`.
    fn came(&mut self, token: Token, next: Token) {
        let known = self
            .get(token)
            .is_some_and(|place| place.second == next.0 && next.0 >= 0);
        if known {
            let place = &mut self.places[place_of(token)];
            (place.first, place.second) = (place.second, place.first);
            // Nobody knows how much likelier it is now.
            place.gap = 0.0;
        }
    }
}

impl Default for Recycled {
    fn default() -> Self {
        Recycled::new()
    }
}

impl Drafter for Recycled {
    fn source(&self) -> Source {
        Source::Recycled
    }

    fn observe(&mut self, tokens: &[Token]) {
        for &token in tokens {
            if let &[before] = self.text.last(1) {
                self.came(before, token);
            }
            self.text.push(token);
        }
    }

    /// Logits that are not numbers count as impossible.
    fn row(&mut self, token: Token, logits: &[f32]) {
        let Some((first, second, gap)) = top_two(logits) else {
            return;
        };
        if token.0 < 0 {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![FREE; PLACES];
        }
        self.places[place_of(token)] = Place {
            token: token.0,
            first,
            second,
            gap,
        };
    }

    /// What is known of tokens stays.
    fn forget(&mut self, len: usize) {
        self.text.forget(len);
    }

    fn propose(&mut self, most: usize, _: GoesOn<'_>) -> Draft {
        let mut draft = Draft::none(Source::Recycled);
        let mut token = self.text.last(1).first().copied();
        while let Some(place) = token
            .filter(|_| draft.tokens.len() < most)
            .and_then(|it| self.get(it))
        {
            let next = Token(place.first);
            draft
                .tokens
                .push((next, bucket(place.gap, draft.tokens.is_empty())));
            token = Some(next);
        }
        draft
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        let columns = PRIORS[0].len();
        let gaps = PRIORS.get(usize::from(bucket.0) / columns);
        gaps.map_or(0.0, |priors| priors[usize::from(bucket.0) % columns])
    }
}

fn bucket(gap: f32, next: bool) -> Bucket {
    let class = GAPS.partition_point(|&first| first <= gap).saturating_sub(1);
    Bucket((class * PRIORS[0].len() + usize::from(!next)) as u8)
}

/// Ids of tokens that are used often are small and close together in most vocabularies: the lowest bits spread them
/// better than a hash.
fn place_of(token: Token) -> usize {
    token.0 as usize & (PLACES - 1)
}

#[cfg(test)]
mod tests;
