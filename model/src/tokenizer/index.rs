//! Finds tokens and merges by their text: tables of numbers that refer to the texts.

use std::hash::BuildHasher;

use crate::gguf::Strings;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Tokens by text; a token's index is its id.
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
            // `validate` rejects vocabularies that contain a text twice.
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

    /// The token for a byte: `<0x41>`, or the character itself if that is missing and the byte is ASCII.
    pub(super) fn find_byte(&self, byte: u8) -> Option<u32> {
        let plain = || {
            self.find(char::from(byte).encode_utf8(&mut [0; 4]))
                .filter(|_| byte.is_ascii())
        };
        self.find(&format!("<0x{byte:02X}>")).or_else(plain)
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize)
    }

    /// Ids and texts, in order of id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0u32..).zip(self.texts.iter())
    }
}

/// Merges, found by the tokens of their halves.
pub(super) struct Merges {
    /// For each left half, the index in `rights` at which its merges begin; the last entry is the end.
    starts: Vec<u32>,
    /// Right half and rank, sorted by right half within each left half.
    rights: Box<[(u32, u32)]>,
}

impl Merges {
    /// Reads the file's list, in which a merge's index is its rank. Returns `None` if a merge is not made of
    /// two tokens that form a token together; llama.cpp carries on in that case.
    pub(super) fn new(texts: &Strings, tokens: &Tokens) -> Option<Self> {
        let mut all = Vec::with_capacity(texts.len());
        let mut both = String::new();
        for (rank, text) in (0u32..).zip(texts.iter()) {
            let (left, right) = halves(text)?;
            both.clear();
            both.push_str(left);
            both.push_str(right);
            tokens.find(&both)?;
            all.push((tokens.find(left)?, tokens.find(right)?, rank));
        }
        all.sort_unstable();
        // If a merge is listed twice, the first one counts.
        all.dedup_by_key(|&mut (left, right, _)| (left, right));
        let mut starts = vec![0; tokens.texts.len() + 1];
        all.iter().for_each(|&(left, ..)| starts[left as usize + 1] += 1);
        (1..starts.len()).for_each(|index| starts[index] += starts[index - 1]);
        Some(Merges {
            starts,
            rights: all.into_iter().map(|(_, right, rank)| (right, rank)).collect(),
        })
    }

    /// The rank of the merge of `left` with `right`; `None` if the list has no such merge.
    pub(super) fn rank(&self, left: u32, right: u32) -> Option<u32> {
        let at = |index: u32| self.starts.get(index as usize).map(|&start| start as usize);
        let row = &self.rights[at(left)?..at(left + 1)?];
        let found = row.binary_search_by_key(&right, |&(right, _)| right).ok()?;
        Some(row[found].1)
    }
}

/// A merge's two halves. They are separated by the first space that is not the merge's first character.
fn halves(merge: &str) -> Option<(&str, &str)> {
    let first = merge.chars().next()?.len_utf8();
    let at = first + merge[first..].find(' ')?;
    Some((&merge[..at], &merge[at + 1..]))
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.texts.len())
    }
}

impl std::fmt::Debug for Merges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} merges", self.rights.len())
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
            [b'a', b'b', b'c', 0xe2].map(|byte| tokens.find_byte(byte)),
            [Some(0), Some(1), None, None]
        );
    }

    #[test]
    fn merges_are_found_by_their_halves() {
        let tokens = Tokens::new(["a", "b", "é", "ab", "aé", "abé"].into_iter().collect());
        let list = |merges: &[&str]| Merges::new(&merges.iter().collect(), &tokens);
        let merges = list(&["a é", "a b", "ab é", "a b"]).expect("of tokens");
        let cases = [
            ((0, 2), Some(0)),
            ((0, 1), Some(1)),
            ((3, 2), Some(2)),
            ((1, 0), None),
            ((5, 5), None),
            ((6, 0), None),
        ];
        for ((left, right), want) in cases {
            assert_eq!(merges.rank(left, right), want, "{left} {right}");
        }
        for odd in ["lonely", "", "a x", "b a", "a b é"] {
            assert!(list(&["a b", odd]).is_none(), "{odd:?}");
        }
        assert!(list(&[]).is_some());
    }
}
