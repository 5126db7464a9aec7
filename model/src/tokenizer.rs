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

pub mod agreement;
mod bpe;
mod brake;
pub mod bytes;
mod index;
pub mod normalizer;
mod pre_tokenizer;
pub mod size;
mod special;
#[doc(hidden)]
pub mod spellings;
#[cfg(test)]
mod tests;
mod token_bytes;
mod token_type;

use crate::gguf::{Array, Metadata, Strings, Value};

pub use special::MORE_ENDS;
pub use token_type::TokenType;

use bpe::Pair;
use brake::Brake;
use index::{Merges, Tokens};
use normalizer::Normalizer;
use pre_tokenizer::PreTokenizer;
use special::Special;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
/// What SentencePiece writes for a space.
const SPACE: char = '\u{2581}';
/// Bytes of the parts that a text is tokenized in, if it can be cut.
const PART: usize = 4 << 10;

/// The key by which siskin's converter says whether a space is put before the text that follows a token which is never
/// split: llama.cpp puts one, SentencePiece does not.
pub const PREFIX_AFTER_USER_DEFINED: &str = "siskin.tokenizer.prefix_after_user_defined";
/// The same for every special token: transformers puts a space before a whole text only, if it is asked to
/// (`prepend_scheme` is `first`).
pub const PREFIX_AFTER_SPECIAL: &str = "siskin.tokenizer.prefix_after_special";
/// The key by which siskin's converter says whether a word that is a token is taken whole, if the pre-tokenizer's name
/// means something else to llama.cpp.
pub const IGNORE_MERGES: &str = "siskin.tokenizer.ignore_merges";

/// The tokens of a model, and what it needs to convert text to them and back.
#[derive(Debug)]
pub struct Tokenizer {
    tokens: Tokens,
    types: Vec<TokenType>,
    special: Special,
    family: Family,
    normalizer: Normalizer,
    /// The longest token's length in bytes.
    longest: usize,
}

/// The algorithm that turns text into tokens.
#[derive(Debug)]
enum Family {
    /// SentencePiece: neighbours in the whole text are merged while a token exists for both, highest score
    /// first.
    SentencePiece {
        scores: Vec<f32>,
        spaces: Spaces,
        /// Whether no token goes on after a word's end: then every word can be merged by itself.
        words_end: bool,
        /// The token for each byte value, if there is one.
        bytes: Box<[Option<u32>; 256]>,
    },
    /// Byte-level BPE: each word separately; neighbours are merged in the order of a list.
    ByteLevel {
        pre_tokenizer: PreTokenizer,
        merges: Merges,
    },
}

/// What happens to spaces before a SentencePiece vocabulary sees them.
#[derive(Debug, Clone, Copy)]
struct Spaces {
    /// Whether a space is put before the text.
    prefix: bool,
    /// The same for what follows a special token.
    prefix_after_special: bool,
    /// The same for what follows a user-defined token.
    prefix_after_user_defined: bool,
    /// Whether spaces at the ends and repeated ones are left out. llama.cpp ignores it.
    remove_extra: bool,
}

impl Spaces {
    /// The text as the vocabulary spells it.
    fn spelled(self, text: &str, begins: bool) -> String {
        let prefix = if self.prefix && begins { "\u{2581}" } else { "" };
        if !self.remove_extra {
            return format!("{prefix}{}", text.replace(' ', "\u{2581}"));
        }
        let mut spelled = String::with_capacity(text.len() + 3);
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            spelled.push_str(if spelled.is_empty() { prefix } else { "\u{2581}" });
            spelled.push_str(word);
        }
        spelled
    }
}

/// The settings that a header gives for its vocabulary, once all of them are known to be supported.
#[derive(Debug)]
pub struct Outline {
    types: Vec<TokenType>,
    keys: special::Keys,
    spaces: Spaces,
    /// `None` for SentencePiece.
    pre_tokenizer: Option<PreTokenizer>,
    normalizer: Normalizer,
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
            "gpt2" => {
                let mut named = PreTokenizer::named(pre_tokenizer_name(metadata)?)?;
                named.whole_words = special::flag(metadata, IGNORE_MERGES, named.whole_words)?;
                Some(named)
            }
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
        let defaults = match &pre_tokenizer {
            None => special::Defaults::SENTENCE_PIECE,
            Some(pre_tokenizer) => special::Defaults::byte_level(pre_tokenizer.adds_bos),
        };
        Some(Outline {
            types: token_type::read(metadata, tokens.len())?,
            keys: special::Keys::read(metadata, &defaults, tokens.len())?,
            spaces: Spaces {
                prefix: special::flag(metadata, "tokenizer.ggml.add_space_prefix", true)?,
                prefix_after_special: special::flag(metadata, PREFIX_AFTER_SPECIAL, true)?,
                prefix_after_user_defined: special::flag(metadata, PREFIX_AFTER_USER_DEFINED, true)?,
                remove_extra: special::flag(metadata, "tokenizer.ggml.remove_extra_whitespaces", false)?,
            },
            pre_tokenizer,
            normalizer: Normalizer::from_metadata(metadata).ok()?,
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
            spaces,
            pre_tokenizer,
            normalizer,
        } = outline;
        let tokens = Tokens::new(take(metadata, TOKENS));
        let family = match pre_tokenizer {
            None => Family::SentencePiece {
                scores: match metadata.get_mut(SCORES) {
                    Some(Value::Array(Array::F32(scores))) => std::mem::take(scores),
                    _ => vec![0.0; types.len()],
                },
                spaces,
                words_end: tokens.iter().all(|(_, text)| word_end(text, 0) == text.len()),
                bytes: Box::new(std::array::from_fn(|byte| tokens.find_byte(byte as u8))),
            },
            Some(pre_tokenizer) => Family::ByteLevel {
                pre_tokenizer,
                merges: Merges::new(&take(metadata, MERGES), &tokens)?,
            },
        };
        let special = Special::find(&tokens, &mut types, keys);
        let longest = tokens.iter().map(|(_, text)| text.len()).max();
        Some(Tokenizer {
            tokens,
            types,
            special,
            family,
            normalizer,
            longest: longest.unwrap_or(0).max(1),
        })
    }

    /// The ids of `text`. `around` adds the tokens that the model wants around a text; `parse_special` turns
    /// control tokens that are written out in the text into their ids.
    pub fn tokenize(&self, text: &str, around: bool, parse_special: bool) -> Vec<u32> {
        self.tokenize_until(text, around, parse_special, &|| false)
            .unwrap_or_default()
    }

    /// The same, and gives up once `stop` returns true; it is asked every few milliseconds.
    pub fn tokenize_until(
        &self,
        text: &str,
        around: bool,
        parse_special: bool,
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<u32>> {
        let brake = Brake::new(stop);
        let mut ids = Vec::with_capacity((text.len() / 3 + 2).min(1 << 20));
        ids.extend(self.special.keys.begin().filter(|_| around));
        self.append(text, parse_special, true, &brake, &mut ids);
        ids.extend(self.special.keys.end().filter(|_| around));
        (!brake.was_on()).then_some(ids)
    }

    /// The ids of plain text that follows the token `last`; nothing is recognised in it. It gives up as
    /// [`tokenize_until`](Self::tokenize_until) does.
    pub fn tokenize_after(&self, last: Option<u32>, text: &str, stop: &dyn Fn() -> bool) -> Option<Vec<u32>> {
        let brake = Brake::new(stop);
        let mut ids = Vec::with_capacity((text.len() / 3 + 2).min(1 << 20));
        let begins = last.is_none_or(|last| self.begins_after(last));
        self.append(text, false, begins, &brake, &mut ids);
        (!brake.was_on()).then_some(ids)
    }

    /// Appends the ids of `text`. `begins` is true if a space is put before it, should the vocabulary want one.
    fn append(
        &self,
        text: &str,
        parse_special: bool,
        mut begins: bool,
        brake: &Brake<'_>,
        ids: &mut Vec<u32>,
    ) {
        self.special.cut(
            text,
            &self.tokens,
            &self.types,
            parse_special,
            brake,
            |part| match part {
                special::Part::Token(id) => {
                    ids.push(id);
                    begins = self.begins_after(id);
                }
                special::Part::Text(text) => {
                    self.plain(&self.normalizer.apply(text), begins, brake, ids);
                    begins = false;
                }
            },
        );
    }

    /// Whether text after this token begins with a space if a whole text does.
    fn begins_after(&self, id: u32) -> bool {
        let Family::SentencePiece { spaces, .. } = &self.family else {
            return true;
        };
        match self.token_type(id) {
            Some(TokenType::Control | TokenType::Unknown) => spaces.prefix_after_special,
            Some(TokenType::UserDefined) => spaces.prefix_after_special && spaces.prefix_after_user_defined,
            _ => false,
        }
    }

    /// True if text may become the token. A control token never comes from text, whatever the vocabulary merges.
    fn is_text(&self, id: u32) -> bool {
        !matches!(
            self.types.get(id as usize),
            Some(TokenType::Control | TokenType::Unknown)
        )
    }

    /// Tokenizes text that contains no special tokens.
    fn plain(&self, text: &str, begins: bool, brake: &Brake<'_>, ids: &mut Vec<u32>) {
        match &self.family {
            Family::SentencePiece {
                scores,
                spaces,
                words_end,
                bytes,
            } => {
                let text = spaces.spelled(text, begins);
                let find = |text: &str| self.tokens.find(text).filter(|&id| self.is_text(id));
                let rank = |pair: Pair<'_>| {
                    let token = find(pair.text)?;
                    Some((bpe::descending(scores[token as usize]), token))
                };
                let spelled = |byte| bytes[usize::from(byte)].filter(|&id| self.is_text(id));
                let mut rest = text.as_str();
                while !rest.is_empty() && !brake.is_on(0) {
                    let end = if *words_end {
                        word_end(rest, PART)
                    } else {
                        rest.len()
                    };
                    let (part, after) = rest.split_at(end);
                    bpe::merge(part, find, rank, brake, |part, token| match token {
                        Some(id) => ids.push(id),
                        None => ids.extend(part.bytes().filter_map(spelled)),
                    });
                    rest = after;
                }
            }
            Family::ByteLevel {
                pre_tokenizer,
                merges,
            } => {
                let mut word = String::new();
                pre_tokenizer.split(text, &mut |part| {
                    if brake.is_on(part.len()) {
                        return;
                    }
                    word.clear();
                    word.extend(part.bytes().map(bytes::spelling));
                    let find = |text: &str| self.tokens.find(text).filter(|&id| self.is_text(id));
                    if let Some(id) = Some(&word)
                        .filter(|_| pre_tokenizer.whole_words)
                        .and_then(|word| find(word))
                    {
                        ids.push(id);
                        return;
                    }
                    let rank = |pair: Pair<'_>| {
                        let rank = merges.rank(pair.halves.0?, pair.halves.1?)?;
                        Some((rank, find(pair.text)?))
                    };
                    // If a byte's spelling is not a token, the byte is lost, as with llama.cpp.
                    bpe::merge(&word, find, rank, brake, |_, token| ids.extend(token));
                });
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

    /// The most bytes of a text that one token stands for.
    pub fn longest(&self) -> usize {
        match &self.family {
            Family::SentencePiece { spaces, .. } if spaces.remove_extra => usize::MAX,
            _ => self.normalizer.most_bytes(self.longest),
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

/// llama.cpp's names of the pre-tokenizers (`tokenizer.ggml.pre`) that siskin splits by. The empty one is for files
/// without the key.
pub fn pre_tokenizers() -> impl Iterator<Item = &'static str> {
    PreTokenizer::names()
}

/// True if llama.cpp cannot be trusted with the texts of this vocabulary: it calls itself once a character to split
/// them, and a long word overflows the stack.
pub fn overflows_in_llama_cpp(metadata: &Metadata) -> bool {
    let is_byte_level = metadata.text("tokenizer.ggml.model") == Some("gpt2");
    let name = pre_tokenizer_name(metadata).unwrap_or_default();
    is_byte_level && (name == "whitespace" || pre_tokenizer::has_expressions(name))
}

/// True if the file does not say how its texts are split: llama.cpp's default is then hardly ever what the model was
/// trained with.
pub fn lacks_pre_tokenizer(metadata: &Metadata) -> bool {
    metadata.text("tokenizer.ggml.model") == Some("gpt2")
        && metadata.text("tokenizer.ggml.pre").is_none_or(str::is_empty)
}

/// The name of a byte-level vocabulary's pre-tokenizer: llama.cpp's default if the file has none. `None` if it is not
/// a text.
fn pre_tokenizer_name(metadata: &Metadata) -> Option<&str> {
    match metadata.get("tokenizer.ggml.pre") {
        None => Some("default"),
        Some(_) => metadata.text("tokenizer.ggml.pre"),
    }
}

/// Where the first word ends that ends at `from` or later, in bytes: before a space that follows something else.
fn word_end(text: &str, from: usize) -> usize {
    let is_space = |c: char| c == ' ' || c == SPACE;
    let from = text.floor_char_boundary(from);
    let mut space_before = text[..from].chars().next_back().is_none_or(is_space);
    for (at, c) in text[from..].char_indices() {
        let space = is_space(c);
        if space && !space_before {
            return from + at;
        }
        space_before = space;
    }
    text.len()
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
