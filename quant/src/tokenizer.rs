//! Converts a checkpoint's tokenizer files to the `tokenizer.*` keys of GGUF, as llama.cpp's converter does.
//!
//! There are two families: SentencePiece (`tokenizer.model`, GGUF's `llama`) and byte-level BPE
//! (`tokenizer.json`, GGUF's `gpt2`). A vocabulary shorter than the embedding is padded with unused `[PADn]`
//! tokens.

mod bpe;
mod hf;
mod pretokenizer;
mod sentencepiece;
mod special;

use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointError, MAX_JSON, read_json};
use siskin_model::ErrorKind;
use siskin_model::arch::Arch;
use siskin_model::config::Config;
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::TokenType;

/// Size limit of `tokenizer.json` in bytes; the largest vocabularies take 33 MB.
const MAX_TOKENIZER: u64 = 40 << 20;

/// A tokenizer cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A tokenizer file could not be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// The content of a file is damaged or not supported.
    #[error("{}: {source}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        source: ContentError,
    },
    /// The folder has no tokenizer files.
    #[error("{}: neither tokenizer.model nor tokenizer.json in this folder; get the model's tokenizer files too", .0.display())]
    Missing(PathBuf),
    /// `config.json` has no vocabulary size, or one that is too small.
    #[error("{}: vocab_size of config.json is {size}, fewer than the tokenizer's {tokens} tokens", dir.display())]
    TooSmall {
        /// Path of the checkpoint folder.
        dir: PathBuf,
        /// Rows of the embedding matrix.
        size: u64,
        /// Number of tokens in the tokenizer.
        tokens: u64,
    },
}

/// What is wrong with the content of a tokenizer file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The file is damaged, or contradicts `config.json`.
    #[error("{0}")]
    Damaged(String),
    /// The file describes a tokenizer that siskin does not support.
    #[error("{0}")]
    Unsupported(String),
    /// The file is larger than the limit in bytes for files of its kind.
    #[error("{len} bytes, larger than the {} MiB limit for this file", limit >> 20)]
    TooLarge {
        /// Size of the file in bytes.
        len: u64,
        /// Size limit in bytes.
        limit: u64,
    },
}

impl From<String> for ContentError {
    fn from(reason: String) -> Self {
        ContentError::Damaged(reason)
    }
}

impl TokenizerError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            TokenizerError::Read(source) => source.kind(),
            TokenizerError::File { source, .. } => match source {
                ContentError::Damaged(_) => ErrorKind::Damaged,
                ContentError::Unsupported(_) => ErrorKind::Unsupported,
                ContentError::TooLarge { .. } => ErrorKind::TooLarge,
            },
            TokenizerError::Missing(_) => ErrorKind::Missing,
            TokenizerError::TooSmall { .. } => ErrorKind::Mismatch,
        }
    }
}

/// Returns the `tokenizer.*` keys for the checkpoint in `dir`.
///
/// # Errors
/// Fails if a tokenizer file is missing, damaged or of an unknown kind, or if the vocabulary does not fit.
pub fn vocabulary(dir: &Path, config: &Config) -> Result<Metadata, TokenizerError> {
    let rows = config.vocab_size.unwrap_or_default();
    let settings: Option<hf::TokenizerConfig> = read_json(&dir.join("tokenizer_config.json"), MAX_JSON)?;
    let json_path = dir.join("tokenizer.json");
    let mut keys = Metadata::new();
    let is_llama = Arch::from_config(config).is_ok_and(|arch| arch == Arch::Llama);
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
        let at_json = |source| TokenizerError::File {
            path: json_path.clone(),
            source,
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

/// Returns the keys that can be derived from the `tokenizer.json` of a byte-level BPE alone: no names from
/// `tokenizer_config.json`, no chat template.
///
/// # Errors
/// Fails if the JSON is damaged, or describes a tokenizer that siskin does not support.
pub fn from_json(json: &[u8], config: &Config) -> Result<Metadata, ContentError> {
    let json: hf::Tokenizer = siskin_model::json::from_slice(json).map_err(|e| e.to_string())?;
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

/// Tokens and their types, with padding for rows without a token.
struct Tokens {
    texts: Vec<String>,
    types: Vec<i32>,
}

impl Tokens {
    /// Creates `rows` unused padding tokens.
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

/// True for tokens that checkpoints often forget to mark as special.
fn looks_special(text: &str) -> bool {
    const NAMES: [&str; 4] = ["<pad>", "<mask>", "<2mass>", "[@BOS@]"];
    const FRAMES: [(&str, &str); 3] = [("<|", "|>"), ("<｜", "｜>"), ("<unused", ">")];
    NAMES.contains(&text)
        || FRAMES
            .iter()
            .any(|(start, end)| text.starts_with(start) && text.ends_with(end))
}
