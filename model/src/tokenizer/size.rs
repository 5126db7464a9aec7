//! Estimates how much memory a vocabulary takes.

use crate::gguf::Metadata;

use super::{MERGES, Outline, TOKENS};

/// Size in bytes of llama.cpp's entry for a token it knows nothing about: an empty string, a score,
/// attributes.
const NAMELESS: u64 = 40;

/// Bytes that llama.cpp keeps per token, in addition to its text, if it reads the vocabulary: two copies of a
/// string, a score, attributes, a hash entry, the cached piece. Per merge: two strings, short enough to be
/// stored inline, in a hash entry. Measured on four vocabularies: see `scripts/check-budget.sh`.
const LLAMA_CPP_TOKEN: u64 = 184;
const LLAMA_CPP_MERGE: u64 = 104;

/// A list of texts: how many there are, and their total length in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct List {
    /// Texts.
    pub count: u64,
    /// Bytes of all of them together.
    pub text: u64,
}

impl List {
    fn from_metadata(metadata: &Metadata, key: &str) -> Self {
        metadata.strings(key).map_or_else(List::default, |texts| List {
            count: texts.len() as u64,
            text: texts.text_len() as u64,
        })
    }
}

/// Bytes that a header's vocabulary takes, whether siskin or llama.cpp reads it.
pub fn from_metadata(metadata: &Metadata) -> u64 {
    let (tokens, merges) = (
        List::from_metadata(metadata, TOKENS),
        List::from_metadata(metadata, MERGES),
    );
    match Outline::from_metadata(metadata) {
        Some(_) => own(tokens, merges.count),
        None => LLAMA_CPP_TOKEN * tokens.count + 2 * tokens.text + LLAMA_CPP_MERGE * merges.count,
    }
}

/// Bytes of a vocabulary that siskin reads, including what llama.cpp keeps for it.
pub fn own(tokens: List, merges: u64) -> u64 {
    // A slot of the hash table has five bytes, and at most seven of eight slots are used.
    let slots = (tokens.count.saturating_mul(8) / 7).checked_next_power_of_two();
    // End of the text, kind, and either the score or the start of the token's merges.
    let each = 4 + 1 + 4 + NAMELESS;
    let parts = [
        (5, slots.unwrap_or(0)),
        (each, tokens.count),
        (8, merges),
        (1, tokens.text),
    ];
    let sizes = parts.map(|(bytes, count): (u64, u64)| bytes.saturating_mul(count));
    sizes.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_takes_a_fifth_of_what_llama_cpp_took() {
        let tokens = List {
            count: 128_256,
            text: 900_000,
        };
        let merges = 280_147;
        let theirs = LLAMA_CPP_TOKEN * tokens.count + 2 * tokens.text + LLAMA_CPP_MERGE * merges;
        let own = own(tokens, merges);
        assert!(
            theirs > 52 << 20 && own < theirs / 5 && own > 10 << 20,
            "{own} {theirs}"
        );
    }
}
