//! The parts of Hugging Face's tokenizer files that conversion reads.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The parts of a byte-level BPE's `tokenizer.json` that conversion reads.
#[derive(Debug, Deserialize)]
pub(super) struct Tokenizer {
    #[serde(default, deserialize_with = "small")]
    pub(super) normalizer: Option<Value>,
    #[serde(default, deserialize_with = "small")]
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) model: Model,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) post_processor: Option<Processor>,
}

/// Accepts JSON of any shape, but only up to a size limit: a parsed tree takes many times the memory of its
/// text.
fn small<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    const MAX: usize = 64 << 10;
    match Option::<Box<RawValue>>::deserialize(deserializer)? {
        Some(raw) if raw.get().len() > MAX => Err(D::Error::custom(format!(
            "a normalizer or pre_tokenizer of {} bytes, larger than the {} KiB limit",
            raw.get().len(),
            MAX >> 10
        ))),
        Some(raw) => serde_json::from_str(raw.get()).map_err(D::Error::custom),
        None => Ok(None),
    }
}

/// The parts of `tokenizer.json` that both families use.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Processing {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) post_processor: Option<Processor>,
}

/// The BPE model: vocabulary and merges.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) vocab: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) merges: Vec<Merge>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
}

/// A merge as a string `a b`, or as a pair (tokenizers 0.20 and later).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    Text(String),
    Pair(String, String),
}

/// A token added to the model's own vocabulary.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u64,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
}

/// A post-processor: describes what is added around a text.
#[derive(Debug, Deserialize)]
pub(super) struct Processor {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) processors: Vec<Processor>,
    #[serde(default)]
    pub(super) single: Vec<Piece>,
    #[serde(default)]
    pub(super) pair: Vec<Piece>,
}

/// A piece of a template: either a special token or one of the texts.
#[derive(Debug, Deserialize)]
pub(super) struct Piece {
    #[serde(rename = "SpecialToken")]
    pub(super) special: Option<Reference>,
    #[serde(rename = "Sequence")]
    pub(super) sequence: Option<Reference>,
}

/// Reference to a token or a text by its id.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

impl Piece {
    /// The special token of this piece, if it is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.special.as_ref().map(|reference| reference.id.as_str())
    }

    /// The text of this piece (`A` or `B`), if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        self.sequence.as_ref().map(|reference| reference.id.as_str())
    }
}

/// The parts of `tokenizer_config.json` that conversion reads.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenizerConfig {
    pub(super) add_prefix_space: Option<bool>,
    pub(super) chat_template: Option<Value>,
    #[serde(default)]
    pub(super) added_tokens_decoder: BTreeMap<String, Decoded>,
    /// `bos_token`, `add_bos_token` and similar fields.
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

/// One entry of `added_tokens_decoder`.
#[derive(Debug, Deserialize)]
pub(super) struct Decoded {
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
}

impl TokenizerConfig {
    /// The text of the special token of this kind, e.g. `bos`.
    pub(super) fn token(&self, kind: &str) -> Option<&str> {
        let entry = self.rest.get(&format!("{kind}_token"))?;
        entry.as_str().or_else(|| entry.get("content")?.as_str())
    }

    /// Whether the special token of this kind is added around texts.
    pub(super) fn adds(&self, kind: &str) -> Option<bool> {
        self.rest.get(&format!("add_{kind}_token"))?.as_bool()
    }
}
