//! Converts a checkpoint's tokenizer files to the `tokenizer.*` keys of GGUF, as llama.cpp's converter does.
//!
//! There are two families: SentencePiece (`tokenizer.model`, or `tokenizer.json` if that is missing; GGUF's `llama`)
//! and byte-level BPE (`tokenizer.json`, GGUF's `gpt2`). A vocabulary shorter than the embedding is padded with unused
//! `[PADn]` tokens.

mod added;
mod around;
mod bpe;
mod ends;
mod hf;
mod pretokenizer;
mod protobuf;
mod sentencepiece;
mod special;
mod spm_json;
mod templates;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::checkpoint::{CheckpointError, Folder, MAX_JSON, read_json};
use siskin_model::ErrorKind;
use siskin_model::arch::Arch;
use siskin_model::config::{Config, TokenIds};
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::{IGNORE_MERGES, normalizer};
use tokens::Tokens;

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

/// Returns the `tokenizer.*` keys for the checkpoint in `folder`.
///
/// # Errors
/// Fails if a tokenizer file is missing, damaged or of an unknown kind, or if the vocabulary does not fit.
pub fn vocabulary(folder: &Folder, config: &Config) -> Result<Metadata, TokenizerError> {
    const JSON: &str = "tokenizer.json";
    const MODEL: &str = "tokenizer.model";
    let mut settings: Option<hf::TokenizerConfig> = read_json(folder, "tokenizer_config.json", MAX_JSON)?;
    if let Some(names) = read_json(folder, "special_tokens_map.json", MAX_JSON)? {
        settings.get_or_insert_default().merge(names);
    }
    // `Checkpoint::open` names a damaged one; the model is the same without it.
    let generation: Option<Generation> =
        read_json(folder, "generation_config.json", MAX_JSON).unwrap_or_default();
    let listed: Option<BTreeMap<String, u64>> = read_json(folder, "added_tokens.json", MAX_JSON)?;
    let is_llama = Arch::from_config(config).is_ok_and(|arch| arch == Arch::Llama);
    let files = Files {
        settings: settings.as_ref(),
        generation: generation.and_then(|generation| generation.eos_token_id),
        listed: listed.unwrap_or_default(),
        config,
        is_llama,
    };
    let at_json = |source| TokenizerError::File {
        path: folder.path(JSON),
        source,
    };
    // Some repositories have a tokenizer.model of tiktoken; transformers reads tokenizer.json then.
    let is_spm = folder.exists(MODEL) && (sentencepiece::is_one(folder, MODEL)? || !folder.exists(JSON));
    let mut keys = if is_llama && is_spm {
        let processing: hf::Processing = read_json(folder, JSON, MAX_TOKENIZER)?.unwrap_or_default();
        let rows = config.vocab_size.unwrap_or_default();
        let (tokens, settings) = sentencepiece::read(folder, MODEL, rows)?;
        spm_keys(tokens, settings, &processing, files).map_err(at_json)?
    } else {
        let json: Option<hf::Tokenizer> = read_json(folder, JSON, MAX_TOKENIZER)?;
        let json = json.ok_or_else(|| TokenizerError::Missing(folder.root().to_owned()))?;
        json_keys(json, files).map_err(at_json)?
    };
    keys.extend(templates::keys(folder, settings.as_ref())?);
    Ok(keys)
}

/// Returns the keys that can be derived from `tokenizer.json` alone: no names from `tokenizer_config.json`, no chat
/// template.
///
/// # Errors
/// Fails if the JSON is damaged, or describes a tokenizer that siskin does not support.
pub fn from_json(json: &[u8], config: &Config) -> Result<Metadata, ContentError> {
    let json: hf::Tokenizer = siskin_model::json::from_slice(json).map_err(|e| e.to_string())?;
    let files = Files {
        settings: None,
        generation: None,
        listed: BTreeMap::new(),
        config,
        is_llama: false,
    };
    json_keys(json, files)
}

/// The part of `generation_config.json` that is about tokens.
#[derive(Debug, serde::Deserialize)]
struct Generation {
    eos_token_id: Option<TokenIds>,
}

/// What the files besides the vocabulary's say.
struct Files<'a> {
    settings: Option<&'a hf::TokenizerConfig>,
    generation: Option<TokenIds>,
    /// `added_tokens.json`.
    listed: BTreeMap<String, u64>,
    config: &'a Config,
    is_llama: bool,
}

/// The keys of a vocabulary that is in `tokenizer.json`.
fn json_keys(json: hf::Tokenizer, files: Files<'_>) -> Result<Metadata, ContentError> {
    let rows = files.config.vocab_size.unwrap_or_default();
    match json.model.kind.as_deref() {
        None | Some("BPE") => {}
        Some(kind) => {
            return Err(ContentError::Unsupported(format!(
                "a model of type {kind}; supported: byte-level BPE and SentencePiece's BPE"
            )));
        }
    }
    if spm_json::is_one(&json) {
        let (tokens, settings) = spm_json::read(&json, rows)?;
        let processing = hf::Processing {
            added_tokens: json.added_tokens,
            post_processor: json.post_processor,
        };
        return spm_keys(tokens, settings, &processing, files);
    }
    let pre = pretokenizer::recognise(&json)?;
    let add_prefix = files.settings.and_then(|s| s.add_prefix_space);
    if add_prefix == Some(true) {
        return Err(ContentError::Unsupported(
            "a space is put before every text (add_prefix_space of tokenizer_config.json), which is not supported".into(),
        ));
    }
    let whole_words = json.model.ignore_merges;
    let (mut tokens, merges) = bpe::read(json.model, &json.added_tokens, rows)?;
    let processing = hf::Processing {
        added_tokens: json.added_tokens,
        post_processor: json.post_processor,
    };
    let is_llama = files.is_llama;
    let special = special_keys(&mut tokens, &processing, files, pre.name == "llama-bpe")?;
    let mut keys = Metadata::new();
    if let Some(add) = add_prefix.filter(|_| is_llama) {
        keys.set("tokenizer.ggml.add_space_prefix", add);
    }
    keys.set("tokenizer.ggml.model", "gpt2");
    keys.set("tokenizer.ggml.pre", pre.name);
    tokens.into_keys(&mut keys);
    if !merges.is_empty() {
        keys.set("tokenizer.ggml.merges", merges);
    }
    keys.extend(special);
    // llama.cpp knows it by the name of the pre-tokenizer.
    if let Some(whole) = whole_words.filter(|whole| *whole != (pre.name == "llama-bpe")) {
        keys.set(IGNORE_MERGES, whole);
    }
    if let Some(normalizer) = pre.normalizer {
        keys.set(normalizer::KEY, normalizer.name());
    }
    Ok(keys)
}

/// Puts the added tokens in, makes every text unique, and returns the keys of the special tokens. `bos_by_default`: a
/// text begins with BOS if no file says otherwise.
fn special_keys(
    tokens: &mut Tokens,
    processing: &hf::Processing,
    files: Files<'_>,
    bos_by_default: bool,
) -> Result<Metadata, ContentError> {
    let added = added::collect(&processing.added_tokens, files.settings, files.listed)?;
    added::apply(tokens, &added, files.settings);
    let sources = special::Sources {
        processor: processing.post_processor.as_ref(),
        added: &added,
        settings: files.settings,
        config: files.config,
        generation: files.generation.as_ref(),
        bos_by_default,
    };
    let special = special::keys(&sources, tokens)?;
    tokens.make_unique();
    Ok(special)
}

/// The keys of a SentencePiece vocabulary; `own` are those of its settings.
fn spm_keys(
    mut tokens: Tokens,
    own: Metadata,
    processing: &hf::Processing,
    files: Files<'_>,
) -> Result<Metadata, ContentError> {
    let add_prefix = files.settings.and_then(|s| s.add_prefix_space);
    let special = special_keys(&mut tokens, processing, files, true)?;
    let mut keys = Metadata::new();
    if let Some(add) = add_prefix {
        keys.set("tokenizer.ggml.add_space_prefix", add);
    }
    keys.extend(own);
    keys.set("tokenizer.ggml.model", "llama");
    keys.set("tokenizer.ggml.pre", "default");
    tokens.into_keys(&mut keys);
    keys.extend(special);
    Ok(keys)
}
