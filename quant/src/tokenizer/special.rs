//! Special tokens and chat templates.
//!
//! The rules are those of gguf-py's `SpecialVocab`, so that the keys are the same as those of llama.cpp's
//! converter.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::added::Added;
use super::hf::{Processor, TokenizerConfig};
use super::tokens::Tokens;
use super::{ContentError, TokenizerError, around, ends};
use crate::checkpoint::CheckpointError;
use siskin_model::config::{Config, TokenIds};
use siskin_model::files::Files;
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
    let ways: [&dyn Fn(&str) -> Option<u64>; 4] = [&named, &configured, &in_vocabulary, &listed];
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

/// Chat templates: from `tokenizer_config.json`, else from `chat_template.jinja`.
pub(super) fn chat_templates(
    dir: &Path,
    settings: Option<&TokenizerConfig>,
) -> Result<Metadata, TokenizerError> {
    let mut keys = Metadata::new();
    match settings.and_then(|s| s.chat_template.as_ref()) {
        Some(Value::String(template)) => keys.set("tokenizer.chat_template", template.as_str()),
        Some(Value::Array(named)) => named_templates(&mut keys, named),
        _ => {
            if let Some(template) = read_text(&dir.join("chat_template.jinja"))? {
                keys.set("tokenizer.chat_template", template);
            }
        }
    }
    Ok(keys)
}

/// Stores a list of `{name, template}`: the default under the plain key, each other template under its own
/// key.
fn named_templates(keys: &mut Metadata, named: &[Value]) {
    let mut names = Vec::new();
    for entry in named {
        let (Some(name), Some(template)) = (entry["name"].as_str(), entry["template"].as_str()) else {
            continue;
        };
        if name == "default" {
            keys.set("tokenizer.chat_template", template);
        } else {
            let keep = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            let name: String = name.chars().filter(keep).collect();
            keys.set(format!("tokenizer.chat_template.{name}"), template);
            names.push(name);
        }
    }
    if !names.is_empty() {
        keys.set("tokenizer.chat_templates", names);
    }
}

/// Size limit of a chat template in bytes.
const MAX_TEMPLATE: u64 = 1 << 20;

fn read_text(path: &Path) -> Result<Option<String>, TokenizerError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut files = Files::new();
    let file = files.open(path).map_err(CheckpointError::from)?;
    let len = files.len(file);
    let error = |source: ContentError| TokenizerError::File {
        path: path.to_owned(),
        source,
    };
    if len > MAX_TEMPLATE {
        let limit = MAX_TEMPLATE;
        return Err(error(ContentError::TooLarge { len, limit }));
    }
    let bytes = files.read(file, 0..len).map_err(CheckpointError::from)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| error(ContentError::Damaged("not UTF-8".into())))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let settings = |json: Value| serde_json::from_value::<TokenizerConfig>(json).expect("settings");
        let keys_of = |settings: Option<&TokenizerConfig>| {
            let keys = chat_templates(dir.path(), settings).expect("templates");
            keys.iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys_of(None), [""; 0]);
        let one = settings(json!({"chat_template": "x"}));
        assert_eq!(keys_of(Some(&one)), ["tokenizer.chat_template"]);
        let several = settings(json!({"chat_template": [
            {"name": "default", "template": "x"}, {"name": "tool use", "template": "y"}
        ]}));
        let want = [
            "tokenizer.chat_template",
            "tokenizer.chat_template.tooluse",
            "tokenizer.chat_templates",
        ];
        assert_eq!(keys_of(Some(&several)), want);
        std::fs::write(dir.path().join("chat_template.jinja"), "z").expect("written");
        assert_eq!(keys_of(None), ["tokenizer.chat_template"]);
        std::fs::write(dir.path().join("chat_template.jinja"), [0xff]).expect("written");
        assert!(chat_templates(dir.path(), None).is_err());
    }
}
