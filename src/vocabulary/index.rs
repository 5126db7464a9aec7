//! Finding tokens and merges by their text: tables of numbers beside the texts.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use siskin_quant::gguf::Strings;

/// Tokens by text; their number is their id.
pub(super) struct Tokens {
    texts: Strings,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Tokens {
    pub(super) fn new(texts: Strings) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut table = HashTable::with_capacity(texts.len());
        for (id, text) in (0u32..).zip(texts.iter()) {
            // Preflight refuses vocabularies with a text twice.
            table.insert_unique(hasher.hash_one(text), id, |&id| {
                hasher.hash_one(&texts[id as usize])
            });
        }
        Tokens { texts, table, hasher }
    }

    /// The id of the token with this text.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let same = |id: &u32| &self.texts[*id as usize] == text;
        self.table.find(self.hasher.hash_one(text), same).copied()
    }

    /// The token that spells a byte: `<0x41>`, else the character itself.
    pub(super) fn of_byte(&self, byte: u8) -> Option<u32> {
        let plain = || {
            self.find(char::from(byte).encode_utf8(&mut [0; 4]))
                .filter(|_| byte.is_ascii())
        };
        self.find(&format!("<0x{byte:02X}>")).or_else(plain)
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize)
    }

    /// Ids and texts in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0u32..).zip(self.texts.iter())
    }
}

/// Merges by their two halves; their number is their rank. Stored as the file has them: `left right`.
pub(super) struct Merges {
    texts: Strings,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Merges {
    pub(super) fn new(texts: Strings) -> Self {
        let hasher = DefaultHashBuilder::default();
        let hash = |merge: &str| halves(merge).map(|(left, right)| hash_pair(&hasher, left, right));
        let mut table = HashTable::with_capacity(texts.len());
        for (rank, text) in (0u32..).zip(texts.iter()) {
            let Some(key) = hash(text) else { continue };
            let same = |&other: &u32| &texts[other as usize] == text;
            // Of a merge that stands twice, the first counts.
            if table.find(key, same).is_none() {
                table.insert_unique(key, rank, |&rank| hash(&texts[rank as usize]).unwrap_or_default());
            }
        }
        Merges { texts, table, hasher }
    }

    /// The rank of the merge of `left` with `right`.
    pub(super) fn rank(&self, left: &str, right: &str) -> Option<u32> {
        let same = |&rank: &u32| halves(&self.texts[rank as usize]) == Some((left, right));
        self.table
            .find(hash_pair(&self.hasher, left, right), same)
            .copied()
    }
}

/// A merge's halves: they are parted by the first space that does not begin it.
fn halves(merge: &str) -> Option<(&str, &str)> {
    let first = merge.chars().next()?.len_utf8();
    let at = first + merge[first..].find(' ')?;
    Some((&merge[..at], &merge[at + 1..]))
}

fn hash_pair(hasher: &DefaultHashBuilder, left: &str, right: &str) -> u64 {
    let mut state = hasher.build_hasher();
    left.hash(&mut state);
    right.hash(&mut state);
    state.finish()
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.texts.len())
    }
}

impl std::fmt::Debug for Merges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} merges", self.texts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_their_text_and_bytes_by_their_number() {
        let tokens = Tokens::new(["a", "<0x62>", "b", "\u{2581}"].into_iter().collect());
        let cases = [
            ("a", Some(0)),
            ("b", Some(2)),
            ("\u{2581}", Some(3)),
            ("", None),
            ("ab", None),
        ];
        for (text, want) in cases {
            assert_eq!(tokens.find(text), want, "{text:?}");
        }
        assert_eq!(
            [b'a', b'b', b'c', 0xe2].map(|byte| tokens.of_byte(byte)),
            [Some(0), Some(1), None, None]
        );
    }

    #[test]
    fn merges_are_found_by_their_halves() {
        let merges = Merges::new(
            ["a b", "ab c", "é d", "a b", "  x", "lonely", "x y z"]
                .into_iter()
                .collect(),
        );
        let cases = [
            ("a", "b", Some(0)),
            ("ab", "c", Some(1)),
            ("a", "bc", None),
            ("é", "d", Some(2)),
            (" ", "x", Some(4)),
            ("lonely", "", None),
            ("x", "y z", Some(6)),
        ];
        for (left, right, want) in cases {
            assert_eq!(merges.rank(left, right), want, "{left:?} {right:?}");
        }
    }
}
