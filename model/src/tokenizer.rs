//! A GGUF file's vocabulary: it turns text into tokens and back, in a fifth of the memory that llama.cpp
//! needs for it.
//!
//! llama.cpp keeps every token as text three times and every merge in a map of pairs of texts: 52 MiB and a
//! quarter of a second for Llama-3.2's 128,256 tokens and 280,147 merges. Here the texts stay in the one
//! buffer they were read into, and two tables of numbers find them.
//!
//! ```text
//! text ─► special tokens cut out ─► words (byte-level) ─► merges ─► ids        ids ─► pieces
//!         special                   split                 merge                       bytes
//! ```
//!
//! Results equal llama.cpp's, token for token (`tests/through_binary/vocabulary.rs` compares them over random
//! texts). If a file uses anything this module is not sure to reproduce, [`Outline::of`] leaves the
//! vocabulary to llama.cpp.

pub mod bytes;
mod index;
mod kinds;
mod merge;
pub mod size;
mod special;
mod split;
mod token_bytes;

use crate::gguf::{Array, Metadata, Strings, Value};

pub use kinds::Kind;

use index::{Merges, Tokens};
use merge::Pair;
use special::Special;
use split::Splitter;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

/// The tokens of a model, and what it needs to convert text to them and back.
#[derive(Debug)]
pub struct Vocabulary {
    tokens: Tokens,
    kinds: Vec<Kind>,
    special: Special,
    family: Family,
}

/// The algorithm that turns text into tokens.
#[derive(Debug)]
enum Family {
    /// SentencePiece: neighbours in the whole text are merged while a token exists for both, highest score
    /// first.
    SentencePiece {
        scores: Vec<f32>,
        /// Whether a space is put before the text and before what follows a special token.
        leading_space: bool,
        /// The token for each byte value, if there is one.
        bytes: Box<[Option<u32>; 256]>,
    },
    /// Byte-level BPE: each word separately; neighbours are merged in the order of a list.
    ByteLevel {
        splitter: Splitter,
        merges: Merges,
        /// Whether a word that is a token is taken whole instead of being merged from its parts.
        whole_words: bool,
    },
}

/// The settings that a header gives for its vocabulary, once all of them are known to be supported.
#[derive(Debug)]
pub struct Outline {
    kinds: Vec<Kind>,
    keys: special::Keys,
    leading_space: bool,
    /// `None` for SentencePiece.
    splitter: Option<Splitter>,
}

impl Outline {
    /// Reads a header that passed `siskin_model::validate`. Returns `None` if llama.cpp would do something
    /// with it that this module does not implement.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        // llama.cpp recognises these models by name and strips the blanks around their special tokens.
        let name = metadata.text("general.name").unwrap_or_default().to_lowercase();
        if ["phi-3", "phi3"].iter().any(|part| name.contains(part)) {
            return None;
        }
        let splitter = match metadata.text("tokenizer.ggml.model")? {
            "llama" => None,
            "gpt2" => Some(Splitter::named(metadata.text("tokenizer.ggml.pre")?)?),
            _ => return None,
        };
        // llama.cpp ends texts at a NUL and gives empty ones a name.
        let odd = |texts: &Strings| texts.iter().any(|text| text.is_empty() || text.contains('\0'));
        let tokens = metadata.strings(TOKENS)?;
        if odd(tokens) || (splitter.is_some() && odd(metadata.strings(MERGES)?)) {
            return None;
        }
        match metadata.get(SCORES) {
            Some(Value::Array(Array::F32(scores))) if scores.len() >= tokens.len() => {}
            None => {}
            Some(_) => return None,
        }
        let defaults = match splitter {
            None => special::Defaults::SENTENCE_PIECE,
            Some(splitter) => special::Defaults::byte_level(splitter == Splitter::LLAMA3),
        };
        Some(Outline {
            kinds: kinds::read(metadata, tokens.len())?,
            keys: special::Keys::read(metadata, &defaults, tokens.len())?,
            leading_space: special::flag(metadata, "tokenizer.ggml.add_space_prefix", true)?,
            splitter,
        })
    }

    /// The number of tokens in the vocabulary.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }
}

impl Vocabulary {
    /// Builds the vocabulary from the header that `outline` was read from, and moves the header's lists out
    /// of `metadata`. Returns `None` if a merge is not made of tokens.
    pub fn build(outline: Outline, metadata: &mut Metadata) -> Option<Self> {
        let Outline {
            mut kinds,
            keys,
            leading_space,
            splitter,
        } = outline;
        let tokens = Tokens::new(take(metadata, TOKENS));
        let family = match splitter {
            None => Family::SentencePiece {
                scores: match metadata.get_mut(SCORES) {
                    Some(Value::Array(Array::F32(scores))) => std::mem::take(scores),
                    _ => vec![0.0; kinds.len()],
                },
                leading_space,
                bytes: Box::new(std::array::from_fn(|byte| tokens.of_byte(byte as u8))),
            },
            Some(splitter) => Family::ByteLevel {
                splitter,
                merges: Merges::new(&take(metadata, MERGES), &tokens)?,
                whole_words: splitter == Splitter::LLAMA3,
            },
        };
        let special = Special::find(&tokens, &mut kinds, keys);
        Some(Vocabulary {
            tokens,
            kinds,
            special,
            family,
        })
    }

    /// The ids of `text`. `around` adds the tokens that the model wants around a text; `parse_special` turns
    /// control tokens that are written out in the text into their ids.
    pub fn tokenize(&self, text: &str, around: bool, parse_special: bool) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        ids.extend(self.special.keys.begin().filter(|_| around));
        let mut after_special = true;
        self.special.cut(
            text,
            &self.tokens,
            &self.kinds,
            parse_special,
            |part| match part {
                special::Part::Token(id) => {
                    ids.push(id);
                    after_special = true;
                }
                special::Part::Text(text) => {
                    self.plain(text, after_special, &mut ids);
                    after_special = false;
                }
            },
        );
        ids.extend(self.special.keys.end().filter(|_| around));
        ids
    }

    /// Tokenizes text that contains no special tokens.
    fn plain(&self, text: &str, after_special: bool, ids: &mut Vec<u32>) {
        match &self.family {
            Family::SentencePiece {
                scores,
                leading_space,
                bytes,
            } => {
                let space = if *leading_space && after_special {
                    "\u{2581}"
                } else {
                    ""
                };
                let text = format!("{space}{}", text.replace(' ', "\u{2581}"));
                let find = |text: &str| self.tokens.find(text);
                let rank = |pair: Pair<'_>| {
                    let token = find(pair.text)?;
                    Some((merge::descending(scores[token as usize]), token))
                };
                merge::merge(&text, find, rank, |part, token| match token {
                    Some(id) => ids.push(id),
                    None => ids.extend(part.bytes().filter_map(|byte| bytes[usize::from(byte)])),
                });
            }
            Family::ByteLevel {
                splitter,
                merges,
                whole_words,
            } => {
                let mut word = String::new();
                for part in splitter.words(text) {
                    word.clear();
                    word.extend(part.bytes().map(bytes::spelling));
                    if let Some(id) = Some(&word)
                        .filter(|_| *whole_words)
                        .and_then(|word| self.tokens.find(word))
                    {
                        ids.push(id);
                        continue;
                    }
                    let find = |text: &str| self.tokens.find(text);
                    let rank = |pair: Pair<'_>| {
                        let rank = merges.rank(pair.halves.0?, pair.halves.1?)?;
                        Some((rank, find(pair.text)?))
                    };
                    // If a byte's spelling is not a token, the byte is lost, as with llama.cpp.
                    merge::merge(&word, find, rank, |_, token| ids.extend(token));
                }
            }
        }
    }

    /// The bytes of token `id`. Control tokens have none unless `special` is set.
    pub fn piece(&self, id: u32, special: bool) -> Vec<u8> {
        let (Some(kind), Some(text)) = (self.kind(id), self.spelling(id)) else {
            return Vec::new();
        };
        match kind {
            Kind::Control | Kind::Unknown if !special => Vec::new(),
            Kind::Control | Kind::Unknown | Kind::UserDefined => text.as_bytes().to_vec(),
            Kind::Normal => match self.family {
                Family::SentencePiece { .. } => text.replace('\u{2581}', " ").into_bytes(),
                Family::ByteLevel { .. } => token_bytes::decode(text),
            },
            Kind::Byte => token_bytes::of_hex(text).into_iter().collect(),
            Kind::Unused | Kind::Undefined => Vec::new(),
        }
    }

    /// A token's text as the vocabulary spells it.
    pub fn spelling(&self, id: u32) -> Option<&str> {
        self.tokens.text(id)
    }

    /// The kind of token `id`; `None` if there is no such token.
    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }

    /// Whether the token ends a text or a turn.
    pub fn is_end(&self, id: u32) -> bool {
        self.special.is_end(id)
    }

    /// The token that begins texts. The model may not want it there: see [`adds_bos`](Self::adds_bos).
    pub fn bos_id(&self) -> u32 {
        self.special.keys.bos
    }

    /// True if the model wants every text to begin with [`bos_id`](Self::bos_id).
    pub fn adds_bos(&self) -> bool {
        self.special.keys.begin().is_some()
    }

    /// The token that ends texts.
    pub fn eos_id(&self) -> u32 {
        self.special.keys.eos
    }

    /// The token that fills up batches, if the file names one.
    pub fn pad_id(&self) -> Option<u32> {
        self.special.keys.pad
    }

    /// Whether the vocabulary spells the space before the first word, as SentencePiece does.
    pub fn leads_with_space(&self) -> bool {
        matches!(self.family, Family::SentencePiece { .. })
    }
}

/// Takes a list out of the metadata and leaves it empty there.
fn take(metadata: &mut Metadata, key: &str) -> Strings {
    let mut texts = match metadata.get_mut(key) {
        Some(Value::Array(Array::String(texts))) => std::mem::take(texts),
        _ => Strings::new(),
    };
    texts.shrink();
    texts
}
