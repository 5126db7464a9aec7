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
//! texts). If a file uses anything this module is not sure to reproduce, [`Outline::from_metadata`] leaves the
//! vocabulary to llama.cpp.

mod bpe;
pub mod bytes;
mod index;
mod pre_tokenizer;
pub mod size;
mod special;
#[doc(hidden)]
pub mod spellings;
mod token_bytes;
mod token_type;

use crate::gguf::{Array, Metadata, Strings, Value};

pub use token_type::TokenType;

use bpe::Pair;
use index::{Merges, Tokens};
use pre_tokenizer::PreTokenizer;
use special::Special;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

/// The tokens of a model, and what it needs to convert text to them and back.
#[derive(Debug)]
pub struct Tokenizer {
    tokens: Tokens,
    types: Vec<TokenType>,
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
        space_prefix: bool,
        /// The token for each byte value, if there is one.
        bytes: Box<[Option<u32>; 256]>,
    },
    /// Byte-level BPE: each word separately; neighbours are merged in the order of a list.
    ByteLevel {
        pre_tokenizer: PreTokenizer,
        merges: Merges,
        /// Whether a word that is a token is taken whole instead of being merged from its parts.
        whole_words: bool,
    },
}

/// The settings that a header gives for its vocabulary, once all of them are known to be supported.
#[derive(Debug)]
pub struct Outline {
    types: Vec<TokenType>,
    keys: special::Keys,
    space_prefix: bool,
    /// `None` for SentencePiece.
    pre_tokenizer: Option<PreTokenizer>,
}

impl Outline {
    /// Reads a header that passed `siskin_model::validate`. Returns `None` if llama.cpp would do something
    /// with it that this module does not implement.
    pub fn from_metadata(metadata: &Metadata) -> Option<Self> {
        // llama.cpp recognises these models by name and strips the blanks around their special tokens.
        let name = metadata.text("general.name").unwrap_or_default().to_lowercase();
        if ["phi-3", "phi3"].iter().any(|part| name.contains(part)) {
            return None;
        }
        let pre_tokenizer = match metadata.text("tokenizer.ggml.model")? {
            "llama" => None,
            "gpt2" => Some(PreTokenizer::named(metadata.text("tokenizer.ggml.pre")?)?),
            _ => return None,
        };
        // llama.cpp ends texts at a NUL and gives empty ones a name.
        let odd = |texts: &Strings| texts.iter().any(|text| text.is_empty() || text.contains('\0'));
        let tokens = metadata.strings(TOKENS)?;
        if odd(tokens) || (pre_tokenizer.is_some() && odd(metadata.strings(MERGES)?)) {
            return None;
        }
        match metadata.get(SCORES) {
            Some(Value::Array(Array::F32(scores))) if scores.len() >= tokens.len() => {}
            None => {}
            Some(_) => return None,
        }
        let defaults = match pre_tokenizer {
            None => special::Defaults::SENTENCE_PIECE,
            Some(pre_tokenizer) => special::Defaults::byte_level(pre_tokenizer == PreTokenizer::LLAMA3),
        };
        Some(Outline {
            types: token_type::read(metadata, tokens.len())?,
            keys: special::Keys::read(metadata, &defaults, tokens.len())?,
            space_prefix: special::flag(metadata, "tokenizer.ggml.add_space_prefix", true)?,
            pre_tokenizer,
        })
    }

    /// The number of tokens in the vocabulary.
    pub fn token_count(&self) -> usize {
        self.types.len()
    }
}

impl Tokenizer {
    /// Builds the vocabulary from the header that `outline` was read from, and moves the header's lists out
    /// of `metadata`. Returns `None` if a merge is not made of tokens.
    pub fn new(outline: Outline, metadata: &mut Metadata) -> Option<Self> {
        let Outline {
            mut types,
            keys,
            space_prefix,
            pre_tokenizer,
        } = outline;
        let tokens = Tokens::new(take(metadata, TOKENS));
        let family = match pre_tokenizer {
            None => Family::SentencePiece {
                scores: match metadata.get_mut(SCORES) {
                    Some(Value::Array(Array::F32(scores))) => std::mem::take(scores),
                    _ => vec![0.0; types.len()],
                },
                space_prefix,
                bytes: Box::new(std::array::from_fn(|byte| tokens.find_byte(byte as u8))),
            },
            Some(pre_tokenizer) => Family::ByteLevel {
                pre_tokenizer,
                merges: Merges::new(&take(metadata, MERGES), &tokens)?,
                whole_words: pre_tokenizer == PreTokenizer::LLAMA3,
            },
        };
        let special = Special::find(&tokens, &mut types, keys);
        Some(Tokenizer {
            tokens,
            types,
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
            &self.types,
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
                space_prefix,
                bytes,
            } => {
                let space = if *space_prefix && after_special {
                    "\u{2581}"
                } else {
                    ""
                };
                let text = format!("{space}{}", text.replace(' ', "\u{2581}"));
                let find = |text: &str| self.tokens.find(text);
                let rank = |pair: Pair<'_>| {
                    let token = find(pair.text)?;
                    Some((bpe::descending(scores[token as usize]), token))
                };
                bpe::merge(&text, find, rank, |part, token| match token {
                    Some(id) => ids.push(id),
                    None => ids.extend(part.bytes().filter_map(|byte| bytes[usize::from(byte)])),
                });
            }
            Family::ByteLevel {
                pre_tokenizer,
                merges,
                whole_words,
            } => {
                let mut word = String::new();
                for part in pre_tokenizer.words(text) {
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
                    bpe::merge(&word, find, rank, |_, token| ids.extend(token));
                }
            }
        }
    }

    /// The bytes of token `id`. Control tokens have none unless `special` is set.
    pub fn piece(&self, id: u32, special: bool) -> Vec<u8> {
        let (Some(kind), Some(text)) = (self.token_type(id), self.spelling(id)) else {
            return Vec::new();
        };
        match kind {
            TokenType::Control | TokenType::Unknown if !special => Vec::new(),
            TokenType::Control | TokenType::Unknown | TokenType::UserDefined => text.as_bytes().to_vec(),
            TokenType::Normal => match self.family {
                Family::SentencePiece { .. } => text.replace('\u{2581}', " ").into_bytes(),
                Family::ByteLevel { .. } => token_bytes::decode(text),
            },
            TokenType::Byte => token_bytes::from_hex(text).into_iter().collect(),
            TokenType::Unused | TokenType::Undefined => Vec::new(),
        }
    }

    /// A token's text as the vocabulary spells it.
    pub fn spelling(&self, id: u32) -> Option<&str> {
        self.tokens.text(id)
    }

    /// The type of token `id`; `None` if there is no such token.
    pub fn token_type(&self, id: u32) -> Option<TokenType> {
        self.types.get(id as usize).copied()
    }

    /// Whether the token ends a text or a turn.
    pub fn is_eog(&self, id: u32) -> bool {
        self.special.is_eog(id)
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
    pub fn adds_space_prefix(&self) -> bool {
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
