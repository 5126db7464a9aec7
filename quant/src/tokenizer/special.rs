//! Special tokens.
//!
//! The rules are those of gguf-py's `SpecialVocab`, so that the keys are the same as those of llama.cpp's
//! converter.

use std::collections::BTreeMap;

use super::added::Added;
use super::hf::{Processor, TokenizerConfig};
use super::tokens::Tokens;
use super::{ContentError, around, ends};
use siskin_model::config::{Config, TokenIds};
use siskin_model::gguf::Metadata;

/// Kind of token in Hugging Face's files, and its key in GGUF (with GGUF's spelling).
const KINDS: [(&str, &str); 7] = [
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"),
    ("pad", "padding_token_id"),
    ("cls", "cls_token_id"),
    ("mask", "mask_token_id"),
];

/// Finds the token of a kind.
type Way<'a> = &'a dyn Fn(&str) -> Option<u64>;

/// What the files say about special tokens.
pub(super) struct Sources<'a> {
    pub(super) processor: Option<&'a Processor>,
    pub(super) added: &'a BTreeMap<u64, Added>,
    pub(super) settings: Option<&'a TokenizerConfig>,
    pub(super) config: &'a Config,
    /// The end tokens of `generation_config.json`.
    pub(super) generation: Option<&'a TokenIds>,
    /// Whether llama.cpp puts BOS before texts if no key says otherwise.
    pub(super) bos_by_default: bool,
}

/// Ids of special tokens, and whether they are added. Ids without an embedding row are left out.
pub(super) fn keys(sources: &Sources<'_>, tokens: &Tokens) -> Result<Metadata, ContentError> {
    let Sources { settings, config, .. } = *sources;
    let mut keys = Metadata::new();
    let text = |kind: &str| settings?.token(kind);
    let named = |kind: &str| {
        let content = text(kind)?;
        // llama.cpp's converter looks in this file only.
        let is_it = |token: &Added| token.content == content && token.is_from_tokenizer_json();
        let id = sources.added.iter().find(|(_, token)| is_it(token));
        // Of several ids with this text, the vocabulary keeps one.
        id.map(|(&id, _)| tokens.find(content).unwrap_or(id))
    };
    let one = |ids: &Option<TokenIds>| match ids {
        Some(TokenIds::One(id)) => u64::try_from(*id).ok(),
        _ => None, // a list names several EOS tokens; tokenizer_config.json names the main one
    };
    let configured = |kind: &str| match kind {
        "bos" => one(&config.bos_token_id),
        "eos" => one(&config.eos_token_id),
        "pad" => one(&config.pad_token_id),
        _ => None,
    };
    // Nothing depends on the other kinds.
    let is_used = |kind: &str| ["bos", "eos"].contains(&kind);
    let in_vocabulary = |kind: &str| tokens.find(text(kind)?).filter(|_| is_used(kind));
    let listed = |kind: &str| {
        ends::all(config, sources.generation)
            .next()
            .filter(|_| kind == "eos")
    };
    let ways: [Way<'_>; 4] = [&named, &configured, &in_vocabulary, &listed];
    for way in ways {
        for (kind, name) in KINDS {
            let key = format!("tokenizer.ggml.{name}");
            let id = way(kind).filter(|id| *id < tokens.rows());
            let id = id.and_then(|id| u32::try_from(id).ok());
            if let (Some(id), None) = (id, keys.get(&key)) {
                keys.set(key, id);
            }
        }
    }
    around::keys(sources, tokens, &mut keys)?;
    ends::keys(sources, tokens, &mut keys);
    Ok(keys)
}
