//! The vocabulary: tokens, their types, special tokens.
//!
//! Source: `llama_vocab::impl::load` and the tokenizers of llama.cpp: their assertions, and the exceptions
//! that they throw while tokenizing, which would end the process.

use std::collections::HashSet;

use super::ValidateError;
use crate::arch::MAX_DIM;
use crate::gguf::{Metadata, Strings, Value, shortened};
use crate::tokenizer::bytes;
use crate::tokenizer::normalizer::{self, Normalizer};

/// Far above any real vocabulary; llama.cpp keeps several copies of each token.
const MAX_TOKENS: usize = MAX_DIM as usize;
/// Far above any real token.
const MAX_TOKEN_BYTES: usize = 4096;
/// Most bytes that llama.cpp may generate from the tokens of a byte-level vocabulary: it writes the whole
/// token again for each character that does not represent a byte.
const MAX_SPELLED_OUT: u64 = 64 << 20;

/// Special tokens at the start and end of texts; their ids must be in the vocabulary.
const SPECIAL: [&str; 4] = ["bos", "eos", "eot", "eom"];

/// The tokenizer family of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    SentencePiece,
    ByteLevel,
}

/// The texts of all tokens, by id.
pub(super) fn tokens(metadata: &Metadata) -> Option<&Strings> {
    metadata.strings("tokenizer.ggml.tokens")
}

/// Checks tokens, lists, merges and special tokens.
pub(super) fn check(metadata: &Metadata) -> Result<(), ValidateError> {
    let family = read_family(metadata)?;
    let Some(tokens) = tokens(metadata) else {
        return Err(ValidateError::key(
            "tokenizer.ggml.tokens",
            "is missing or not a list of strings",
        ));
    };
    let wrong = |problem: String| Err(ValidateError::Vocabulary(problem));
    if tokens.len() > MAX_TOKENS {
        return wrong(format!(
            "has {} tokens; no model has more than {MAX_TOKENS}",
            tokens.len()
        ));
    }
    let mut seen = HashSet::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > MAX_TOKEN_BYTES {
            return wrong(format!(
                "has a token of {} bytes, number {id}; the file is damaged",
                token.len()
            ));
        }
        if !seen.insert(read_by_llama_cpp(token, id)) {
            let text = shortened(token);
            return wrong(format!(
                "has the token {text:?} twice, the second time as number {id}"
            ));
        }
    }
    for (key, len) in lists(metadata) {
        if len.is_some_and(|len| len < tokens.len()) {
            let len = len.unwrap_or_default();
            return Err(ValidateError::key(
                key,
                format!("has {len} entries for {} tokens", tokens.len()),
            ));
        }
    }
    if count_of(metadata, "tokenizer.ggml.merges") > MAX_TOKENS {
        return wrong(format!("has more than {MAX_TOKENS} merges; no model has"));
    }
    special(metadata, family, tokens.len())?;
    match family {
        Family::SentencePiece => every_byte(&seen),
        Family::ByteLevel => spelled_out(tokens),
    }
}

fn read_family(metadata: &Metadata) -> Result<Family, ValidateError> {
    const KEY: &str = "tokenizer.ggml.model";
    match metadata.get(KEY) {
        Some(Value::String(name)) if name == "llama" => Ok(Family::SentencePiece),
        Some(Value::String(name)) if name == "gpt2" => Ok(Family::ByteLevel),
        Some(Value::String(name)) => {
            let name = shortened(name);
            Err(ValidateError::key(
                KEY,
                format!("is {name:?}; supported: llama and gpt2"),
            ))
        }
        _ => Err(ValidateError::key(KEY, "is missing or not a string")),
    }
}

/// The text as llama.cpp reads it: cut at the first NUL, with a generated name if nothing is left.
pub(crate) fn read_by_llama_cpp(token: &str, id: usize) -> std::borrow::Cow<'_, str> {
    match token.split('\0').next().unwrap_or_default() {
        "" => format!("[EMPTY_{id}]").into(),
        text => text.into(),
    }
}

/// Lists with one entry per token, and their lengths.
fn lists(metadata: &Metadata) -> impl Iterator<Item = (&'static str, Option<usize>)> {
    ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"]
        .into_iter()
        .map(|key| match metadata.get(key) {
            Some(Value::Array(list)) => (key, Some(list.len())),
            Some(_) => (key, Some(0)),
            None => (key, None),
        })
}

fn count_of(metadata: &Metadata, key: &str) -> usize {
    match metadata.get(key) {
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

/// Checks that the ids of special tokens are in the vocabulary, including the ids that llama.cpp assumes.
fn special(metadata: &Metadata, family: Family, tokens: usize) -> Result<(), ValidateError> {
    let outside = |id: u64| format!("is {id}, but the vocabulary has {tokens} tokens");
    for kind in SPECIAL {
        let key = format!("tokenizer.ggml.{kind}_token_id");
        match metadata.get(&key) {
            Some(Value::U32(id)) if *id as usize >= tokens => {
                return Err(ValidateError::key(key, outside((*id).into())));
            }
            Some(Value::U32(_)) | None => {}
            Some(_) => return Err(ValidateError::key(key, "is not a u32")),
        }
    }
    // llama.cpp assumes no BOS for these, and asserts that there is one if it is to be added.
    let without_bos = ["chatglm-bpe", "glm4", "glm5"]
        .map(Some)
        .contains(&metadata.text("tokenizer.ggml.pre"));
    let adds_bos = metadata.get("tokenizer.ggml.add_bos_token") == Some(&Value::Bool(true));
    if without_bos && adds_bos && metadata.get("tokenizer.ggml.bos_token_id").is_none() {
        return Err(ValidateError::key(
            "tokenizer.ggml.bos_token_id",
            "is missing, but texts are to begin with it",
        ));
    }
    if let Err(name) = Normalizer::from_metadata(metadata) {
        let name = shortened(&name);
        return Err(ValidateError::key(
            normalizer::KEY,
            format!("is {name:?}; supported: none and NFC"),
        ));
    }
    let assumed = match family {
        Family::SentencePiece => 2,
        Family::ByteLevel => 11,
    };
    if tokens <= assumed {
        return Err(ValidateError::Vocabulary(format!(
            "has {tokens} tokens, too few for any text"
        )));
    }
    Ok(())
}

/// SentencePiece spells text without a token in bytes: every byte that occurs in UTF-8 needs a token.
fn every_byte(tokens: &HashSet<std::borrow::Cow<'_, str>>) -> Result<(), ValidateError> {
    let in_utf8 = |byte: &u8| !matches!(byte, 0xc0 | 0xc1 | 0xf5..);
    let missing = (0..=u8::MAX).filter(in_utf8).find(|&byte| {
        let alone = char::from(byte).to_string();
        let spelled = tokens.contains(format!("<0x{byte:02X}>").as_str());
        let plain = byte.is_ascii() && byte != 0 && tokens.contains(alone.as_str());
        !(spelled || plain)
    });
    match missing {
        Some(byte) => Err(ValidateError::Vocabulary(format!(
            "has no token for byte <0x{byte:02X}>; texts that contain it could not be tokenized"
        ))),
        None => Ok(()),
    }
}

fn spelled_out(tokens: &Strings) -> Result<(), ValidateError> {
    let spelled = |token: &str| {
        let others = token.chars().filter(|&c| bytes::from_char(c).is_none()).count();
        others as u64 * (token.len() as u64 + 32)
    };
    let all: u64 = tokens.iter().map(spelled).sum();
    if all > MAX_SPELLED_OUT {
        return Err(ValidateError::Vocabulary(
            "has tokens that are not byte-level text; the file is damaged or names the wrong tokenizer"
                .into(),
        ));
    }
    Ok(())
}
