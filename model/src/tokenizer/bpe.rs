//! Byte-pair encoding: merges neighbours, best pair first, until no pair is left that has a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::brake::Brake;

/// The index for "no neighbour".
const NONE: u32 = u32::MAX;

/// A stretch of the text. A chain of symbols covers all of it; a merged-away symbol has length 0.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: u32,
    len: u32,
    token: Option<u32>,
    before: u32,
    after: u32,
}

/// Two neighbours that may be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair<'a> {
    /// The text of both halves together.
    pub(super) text: &'a str,
    /// The tokens of the halves, if they are tokens.
    pub(super) halves: (Option<u32>, Option<u32>),
}

/// Merges the characters of `text`, and passes what is left to `left_over` in order: text and token.
///
/// `first` gives the token of a character. `rank` gives a pair's rank (the lowest is merged first) and the
/// token it becomes, or `None` if it is never merged. Pairs of equal rank are merged from left to right. If `brake` is
/// on, what is left is not what it should be.
pub(super) fn merge(
    text: &str,
    first: impl Fn(&str) -> Option<u32>,
    rank: impl Fn(Pair<'_>) -> Option<(u32, u32)>,
    brake: &Brake<'_>,
    mut left_over: impl FnMut(&str, Option<u32>),
) {
    debug_assert!(text.len() < NONE as usize);
    let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
    for (start, c) in text.char_indices() {
        let (index, len) = (symbols.len() as u32, c.len_utf8());
        symbols.push(Symbol {
            start: start as u32,
            len: len as u32,
            token: first(&text[start..start + len]),
            before: index.checked_sub(1).unwrap_or(NONE),
            after: index + 1,
        });
    }
    let Some(last) = symbols.last_mut() else { return };
    last.after = NONE;

    let mut heap = BinaryHeap::new();
    let pair = |symbols: &[Symbol], left: u32, right: u32| {
        if left == NONE || right == NONE {
            return None;
        }
        let (a, b) = (symbols[left as usize], symbols[right as usize]);
        let both = &text[a.start as usize..(b.start + b.len) as usize];
        let (rank, token) = rank(Pair {
            text: both,
            halves: (a.token, b.token),
        })?;
        Some(Reverse((rank, left, right, both.len() as u32, token)))
    };
    heap.extend((1..symbols.len() as u32).filter_map(|right| pair(&symbols, right - 1, right)));
    while let Some(Reverse((_, left, right, len, token))) = heap.pop() {
        if brake.is_on(1) {
            return;
        }
        let (a, b) = (symbols[left as usize], symbols[right as usize]);
        // One of the two has been merged with another symbol since.
        if a.len == 0 || b.len == 0 || a.len + b.len != len {
            continue;
        }
        symbols[left as usize] = Symbol {
            len,
            token: Some(token),
            after: b.after,
            ..a
        };
        symbols[right as usize].len = 0;
        if b.after != NONE {
            symbols[b.after as usize].before = left;
        }
        heap.extend(pair(&symbols, a.before, left));
        heap.extend(pair(&symbols, left, b.after));
    }
    for symbol in symbols.iter().filter(|symbol| symbol.len > 0) {
        let part = &text[symbol.start as usize..(symbol.start + symbol.len) as usize];
        left_over(part, symbol.token);
    }
}

/// Maps scores to ranks so that the highest score gets the lowest rank.
pub(super) fn descending(score: f32) -> u32 {
    // Both zeros are the same score.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    !ascending
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, ranks: &[(&str, u32)]) -> Vec<String> {
        let mut parts = Vec::new();
        // A token's id is its length.
        let token = |text: &str| Some(text.len() as u32);
        let rank = |pair: Pair<'_>| {
            let (left, right) = (pair.halves.0.expect("a token"), pair.halves.1.expect("a token"));
            assert_eq!((left + right) as usize, pair.text.len());
            let row = ranks.iter().find(|(text, _)| *text == pair.text)?;
            Some((row.1, token(pair.text)?))
        };
        merge(text, token, rank, &Brake::new(&|| false), |part, id| {
            assert_eq!(id, token(part));
            parts.push(part.to_owned());
        });
        parts
    }

    #[test]
    fn the_least_rank_is_merged_first_and_equals_from_the_left() {
        /// Text, ranks of pairs, expected parts.
        type Case = (
            &'static str,
            &'static [(&'static str, u32)],
            &'static [&'static str],
        );
        let cases: [Case; 6] = [
            ("", &[], &[]),
            ("é", &[], &["é"]),
            ("abc", &[("ab", 1), ("bc", 0)], &["a", "bc"]),
            ("abc", &[("ab", 0), ("bc", 1)], &["ab", "c"]),
            ("aaa", &[("aa", 0)], &["aa", "a"]),
            ("abcd", &[("ab", 2), ("cd", 1), ("abcd", 3)], &["abcd"]),
        ];
        for (text, ranks, want) in cases {
            assert_eq!(merged(text, ranks), want, "{text}");
        }
    }

    #[test]
    fn scores_in_descending_order() {
        let scores = [f32::INFINITY, 1e9, 0.5, 0.0, -0.5, -1e9, f32::NEG_INFINITY];
        let ranks = scores.map(descending);
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(descending(0.0), descending(-0.0));
    }
}
