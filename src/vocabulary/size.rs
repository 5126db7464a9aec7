//! How much memory a vocabulary takes.

use siskin_quant::gguf::{Array, Metadata, Value};

use super::{MERGES, Outline, TOKENS};

/// llama.cpp's entry for a token of which it knows nothing: an empty string, a score, attributes.
const NAMELESS: u64 = 40;

/// What llama.cpp keeps of a token beside its text where the vocabulary is its: two copies of a string, a score,
/// attributes, a hash entry, the cached piece. Of a merge: two strings, short enough to lie within, in a hash entry.
/// Measured on four vocabularies: see `scripts/check-budget.sh`.
const LLAMA_CPP_TOKEN: u64 = 184;
const LLAMA_CPP_MERGE: u64 = 104;

/// How many texts there are, and how many bytes they have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) count: u64,
    pub(crate) text: u64,
}

impl List {
    fn of(metadata: &Metadata, key: &str) -> Self {
        match metadata.get(key) {
            Some(Value::Array(Array::String(texts))) => List {
                count: texts.len() as u64,
                text: texts.text_len() as u64,
            },
            _ => List::default(),
        }
    }

    /// Texts, their ends, and the table that finds them: five bytes a slot, seven of eight slots used at most.
    fn bytes(self) -> u64 {
        let slots = (self.count.saturating_mul(8) / 7).checked_next_power_of_two();
        self.text + 4 * self.count + 5 * slots.unwrap_or(0)
    }
}

/// Bytes that the vocabulary of a header takes, by whoever reads it.
pub(crate) fn of_header(metadata: &Metadata) -> u64 {
    let (tokens, merges) = (List::of(metadata, TOKENS), List::of(metadata, MERGES));
    match Outline::of(metadata) {
        Some(_) => own(tokens, merges),
        None => LLAMA_CPP_TOKEN * tokens.count + 2 * tokens.text + LLAMA_CPP_MERGE * merges.count,
    }
}

/// Bytes of a vocabulary that this room reads, and of what llama.cpp keeps beside it.
pub(crate) fn own(tokens: List, merges: List) -> u64 {
    // Kinds and scores beside the texts; byte-level vocabularies have no scores.
    let scores = if merges.count == 0 { 4 } else { 0 };
    tokens.bytes() + merges.bytes() + (1 + scores + NAMELESS) * tokens.count
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
        let merges = List {
            count: 280_147,
            text: 2_900_000,
        };
        let (own, theirs) = (
            own(tokens, merges),
            LLAMA_CPP_TOKEN * tokens.count + 2 * tokens.text + LLAMA_CPP_MERGE * merges.count,
        );
        assert!(
            (13 << 20..15 << 20).contains(&own) && theirs > 52 << 20,
            "{own} {theirs}"
        );
        assert_eq!(super::own(List::default(), List::default()), 10);
    }
}
