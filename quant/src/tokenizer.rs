//! A checkpoint's tokenizer files become the `tokenizer.*` keys of GGUF, as llama.cpp's converter writes them.
//!
//! Two families: SentencePiece (`tokenizer.model`, GGUF's `llama`) and byte-level BPE (`tokenizer.json`,
//! GGUF's `gpt2`). A vocabulary shorter than the embedding is padded with unused `[PADn]` tokens.

mod bpe;
mod hf;
mod pretokenizer;
mod sentencepiece;
mod special;

use std::path::{Path, PathBuf};

use siskin_model::arch::Arch;
use crate::checkpoint::{CheckpointError, MAX_JSON, read_json};
use siskin_model::config::Config;
use siskin_model::gguf::Metadata;

/// The largest `tokenizer.json` read; the largest vocabularies take 33 MB.
const MAX_TOKENIZER: u64 = 40 << 20;

/// What a token is, numbered as in llama.cpp (`enum llama_token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// A tokenizer cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// A file's content is damaged or of a kind siskin does not know.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// There is no tokenizer.
    #[error("{}: neither tokenizer.model nor tokenizer.json in this folder; get the model's tokenizer files too", .0.display())]
    Missing(PathBuf),
    /// `config.json` does not say how large the vocabulary is, or says something impossible.
    #[error("{}: vocab_size of config.json is {size}, fewer than the tokenizer's {tokens} tokens", dir.display())]
    TooSmall {
        /// The folder.
        dir: PathBuf,
        /// Rows of the embedding.
        size: u64,
        /// Tokens the tokenizer has.
        tokens: u64,
    },
}

/// The `tokenizer.*` keys for the checkpoint in `dir`.
pub fn vocabulary(dir: &Path, config: &Config) -> Result<Metadata, TokenizerError> {
    let rows = config.vocab_size.unwrap_or_default();
    let settings: Option<hf::TokenizerConfig> = read_json(&dir.join("tokenizer_config.json"), MAX_JSON)?;
    let json_path = dir.join("tokenizer.json");
    let mut keys = Metadata::new();
    let is_llama = Arch::of(config).is_ok_and(|arch| arch == Arch::Llama);
    if let Some(add) = settings
        .as_ref()
        .and_then(|s| s.add_prefix_space)
        .filter(|_| is_llama)
    {
        keys.set("tokenizer.ggml.add_space_prefix", add);
    }
    let model = dir.join("tokenizer.model");
    let (processing, added, limit);
    if is_llama && model.exists() {
        let json: Option<hf::Processing> = read_json(&json_path, MAX_TOKENIZER)?;
        processing = json.unwrap_or_default();
        added = processing.added_tokens.clone();
        keys.extend(sentencepiece::keys(dir, &model, rows, settings.as_ref())?);
        limit = Some(rows);
    } else {
        let json: hf::Tokenizer =
            read_json(&json_path, MAX_TOKENIZER)?.ok_or_else(|| TokenizerError::Missing(dir.to_owned()))?;
        let at_json = |reason| TokenizerError::File {
            path: json_path.clone(),
            reason,
        };
        let pre = pretokenizer::recognise(&json).map_err(at_json)?;
        let (bpe, rest) = bpe::keys(json, pre, rows).map_err(at_json)?;
        keys.extend(bpe);
        processing = rest;
        added = processing.added_tokens.clone();
        limit = None;
    }
    let template = special::chat_templates(dir, settings.as_ref())?;
    keys.extend(special::keys(
        &processing,
        &added,
        settings.as_ref(),
        config,
        limit,
    ));
    keys.extend(template);
    Ok(keys)
}

/// The keys that the `tokenizer.json` of a byte-level BPE gives alone: no names from `tokenizer_config.json`, no chat
/// template. The error is a sentence without a path.
pub fn of_json(json: &[u8], config: &Config) -> Result<Metadata, String> {
    let json: hf::Tokenizer = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let pre = pretokenizer::recognise(&json)?;
    let (mut keys, processing) = bpe::keys(json, pre, config.vocab_size.unwrap_or_default())?;
    keys.extend(special::keys(
        &processing,
        &processing.added_tokens,
        None,
        config,
        None,
    ));
    Ok(keys)
}

/// Tokens and their types, with padding for the rows that no token has.
struct Tokens {
    texts: Vec<String>,
    types: Vec<i32>,
}

impl Tokens {
    /// `rows` unused padding tokens.
    fn padding(rows: u64) -> Self {
        Tokens {
            texts: (0..rows).map(|id| format!("[PAD{id}]")).collect(),
            types: vec![TokenType::Unused as i32; rows as usize],
        }
    }

    fn set(&mut self, id: usize, text: String, ty: TokenType) {
        self.texts[id] = text;
        self.types[id] = ty as i32;
    }
}

/// Tokens that checkpoints forget to mark as special.
fn looks_special(text: &str) -> bool {
    const NAMES: [&str; 4] = ["<pad>", "<mask>", "<2mass>", "[@BOS@]"];
    const FRAMES: [(&str, &str); 3] = [("<|", "|>"), ("<｜", "｜>"), ("<unused", ">")];
    NAMES.contains(&text)
        || FRAMES
            .iter()
            .any(|(start, end)| text.starts_with(start) && text.ends_with(end))
}
