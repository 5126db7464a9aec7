//! The parts of Hugging Face's tokenizer files that conversion reads.

use std::collections::BTreeMap;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    /// Texts and ids; empty if the model is of another kind and lists them otherwise.
    #[serde(deserialize_with = "texts_and_ids")]
    pub(super) vocab: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) merges: Vec<Merge>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    pub(super) unk_token: Option<String>,
    /// Whether a word that is a token is taken whole.
    pub(super) ignore_merges: Option<bool>,
    /// A text in front of every piece that does not begin a word.
    pub(super) continuing_subword_prefix: Option<String>,
    /// A text at the end of every word.
    pub(super) end_of_word_suffix: Option<String>,
}

/// Reads a map; passes over a list, which is how a unigram model has its pieces.
fn texts_and_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u64>, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = BTreeMap<String, u64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of tokens")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            BTreeMap::deserialize(MapAccessDeserializer::new(map))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(BTreeMap::new())
        }
    }
    deserializer.deserialize_any(Texts)
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
    #[serde(flatten)]
    pub(super) around: Around,
}

/// What an added token does to the text around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Around {
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
}

impl Around {
    /// The name of a setting that is on; no GGUF key expresses any of them.
    pub(super) fn setting(self) -> Option<&'static str> {
        let settings = [
            (self.lstrip, "lstrip"),
            (self.rstrip, "rstrip"),
            (self.single_word, "single_word"),
        ];
        settings
            .into_iter()
            .find(|(is_on, _)| *is_on)
            .map(|(_, name)| name)
    }
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
    /// The ids of the tokens that a template names.
    #[serde(default)]
    pub(super) special_tokens: BTreeMap<String, TemplateToken>,
    /// The first and last token that BERT's and RoBERTa's processors add: text and id.
    pub(super) cls: Option<(String, u64)>,
    pub(super) sep: Option<(String, u64)>,
}

/// The ids that a name in a template becomes.
#[derive(Debug, Deserialize)]
pub(super) struct TemplateToken {
    #[serde(default)]
    pub(super) ids: Vec<u64>,
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
    #[serde(flatten)]
    pub(super) around: Around,
}

impl TokenizerConfig {
    /// Takes over what `special_tokens_map.json` names, as transformers does for models without
    /// `added_tokens_decoder`.
    pub(super) fn merge(&mut self, names: BTreeMap<String, Value>) {
        if self.added_tokens_decoder.is_empty() {
            let names = names.into_iter().filter(|(_, value)| !value.is_null());
            self.rest.extend(names);
        }
    }

    /// The texts of tokens that are special although no kind is named for them.
    pub(super) fn additional(&self) -> impl Iterator<Item = &str> {
        let lists = ["additional_special_tokens", "extra_special_tokens"].map(|key| self.rest.get(key));
        let entries = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
        entries.filter_map(|entry| entry.as_str().or_else(|| entry.get("content")?.as_str()))
    }

    fn class(&self) -> &str {
        let class = self.rest.get("tokenizer_class").and_then(Value::as_str);
        let class = class.unwrap_or_default();
        class.strip_suffix("Fast").unwrap_or(class)
    }

    /// True if transformers puts its own post-processor in place of the file's: what the configuration says about BOS
    /// and EOS counts then.
    pub(super) fn decides_around(&self) -> bool {
        let classes = [
            "CodeLlamaTokenizer",
            "CohereTokenizer",
            "GPTNeoXTokenizer",
            "GemmaTokenizer",
            "LlamaTokenizer",
        ];
        classes.contains(&self.class())
    }

    /// True if such a class adds BOS unless the configuration says otherwise.
    pub(super) fn adds_bos_by_class(&self) -> bool {
        self.decides_around() && self.class() != "GPTNeoXTokenizer"
    }

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
