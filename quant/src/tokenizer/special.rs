//! Special tokens, the tokens added around a text, and chat templates.
//!
//! The rules are those of gguf-py's `SpecialVocab`, so that the keys are the same as those of llama.cpp's
//! converter.

use std::path::Path;

use serde_json::Value;

use super::hf::{AddedToken, Piece, Processing, Processor, TokenizerConfig};
use super::{ContentError, TokenizerError};
use crate::checkpoint::CheckpointError;
use siskin_model::config::Config;
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

/// Whether BOS, EOS and separator tokens are added; `None` if no file specifies it.
#[derive(Debug, Default, PartialEq)]
struct Adds {
    bos: Option<bool>,
    eos: Option<bool>,
    sep: Option<bool>,
}

/// Ids of special tokens, and whether they are added. Ids from `limit` up have no embedding row and are left
/// out.
pub(super) fn keys(
    processing: &Processing,
    added: &[AddedToken],
    settings: Option<&TokenizerConfig>,
    config: &Config,
    limit: Option<u64>,
) -> Metadata {
    let mut keys = Metadata::new();
    let named = |kind: &str| {
        let content = settings?.token(kind)?;
        added
            .iter()
            .find(|token| token.content == content)
            .map(|token| token.id)
    };
    let configured = [
        &config.bos_token_id,
        &config.eos_token_id,
        &None,
        &None,
        &config.pad_token_id,
        &None,
        &None,
    ];
    let configured = |at: usize| match configured[at] {
        Some(siskin_model::config::TokenIds::One(id)) => u64::try_from(*id).ok(),
        _ => None, // a list names several EOS tokens; tokenizer_config.json names the main one
    };
    let mut set = |at: usize, id: Option<u64>| {
        let key = format!("tokenizer.ggml.{}", KINDS[at].1);
        let id = id
            .filter(|id| limit.is_none_or(|limit| *id < limit))
            .and_then(|id| u32::try_from(id).ok());
        if let (Some(id), None) = (id, keys.get(&key)) {
            keys.set(key, id);
        }
    };
    for (at, (kind, _)) in KINDS.iter().enumerate() {
        set(at, named(kind));
    }
    for at in 0..KINDS.len() {
        set(at, configured(at));
    }
    let adds = added_around(processing.post_processor.as_ref(), settings);
    for (kind, add) in [("bos", adds.bos), ("eos", adds.eos), ("sep", adds.sep)] {
        if let Some(add) = add.or_else(|| settings?.adds(kind)) {
            keys.set(format!("tokenizer.ggml.add_{kind}_token"), add);
        }
    }
    keys
}

/// What the post-processor adds around a text.
fn added_around(processor: Option<&Processor>, settings: Option<&TokenizerConfig>) -> Adds {
    let mut adds = Adds::default();
    let Some(processor) = processor else { return adds };
    let chain = match processor.processors.as_slice() {
        [] => std::slice::from_ref(processor),
        chain => chain,
    };
    for processor in chain {
        match processor.kind.as_str() {
            "ByteLevel" => {
                adds.bos.get_or_insert(false);
                adds.eos.get_or_insert(false);
            }
            "TemplateProcessing" => template(processor, settings, &mut adds),
            _ => {}
        }
    }
    adds
}

/// What a template adds: a token before the text is BOS, a token after it is EOS.
fn template(processor: &Processor, settings: Option<&TokenizerConfig>, adds: &mut Adds) {
    let token = |kind: &str| settings.and_then(|s| s.token(kind));
    let (first, last) = match processor.single.as_slice() {
        [first, .., last] => (first.token(), last.token()),
        _ => (None, None),
    };
    if let Some(first) = first {
        let named = token("bos").or(token("cls"));
        // If no file names a BOS or CLS token, the template's first token is BOS.
        adds.bos = Some(named.is_none() || token("bos") == Some(first) || token("cls") == Some(first));
    }
    if last.is_some() {
        adds.eos = Some(true); // the template's last token is EOS, whatever token other files call EOS
    }
    if let Some(middle) = between(&processor.pair, first, last) {
        let end = last.or(token("eos"));
        let separates = |piece: &Piece| {
            piece
                .token()
                .is_some_and(|t| Some(t) == token("sep") || Some(t) == end)
        };
        let first_separates = last.is_none() && separates(&middle[0]);
        adds.sep = Some(first_separates || (middle.len() == 2 && separates(&middle[1])));
    }
}

/// The pieces between the two texts of a pair template, if there are any.
fn between<'a>(pair: &'a [Piece], first: Option<&str>, last: Option<&str>) -> Option<&'a [Piece]> {
    let pair = match pair {
        [start, rest @ ..] if first.is_some() && start.token() == first => rest,
        pair => pair,
    };
    let pair = match pair {
        [rest @ .., end] if last.is_some() && end.token() == last => rest,
        pair => pair,
    };
    match pair {
        [a, middle @ .., b] if a.text() == Some("A") && b.text() == Some("B") && !middle.is_empty() => {
            Some(middle)
        }
        _ => None,
    }
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
    fn post_processors() {
        let special = |id: &str| json!({"SpecialToken": {"id": id}});
        let text = |id: &str| json!({"Sequence": {"id": id}});
        let template = |single: Vec<Value>, pair: Vec<Value>| json!({"type": "TemplateProcessing", "single": single, "pair": pair});
        let bytes = json!({"type": "ByteLevel"});
        let settings = json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}});
        let adds_of = |processor: Value, settings: Option<&Value>| {
            let processor: Processor = serde_json::from_value(processor).expect("a processor");
            let settings: Option<TokenizerConfig> =
                settings.map(|s| serde_json::from_value(s.clone()).expect("settings"));
            let adds = added_around(Some(&processor), settings.as_ref());
            (adds.bos, adds.eos, adds.sep)
        };
        let (some, no) = (Some(true), Some(false));
        let simple = template(vec![special("<s>"), text("A")], vec![]);
        let pair = template(
            vec![special("<s>"), text("A")],
            vec![special("<s>"), text("A"), special("<s>"), text("B")],
        );
        let both = template(vec![special("<s>"), text("A"), special("</s>")], vec![]);
        let cases = [
            ("bytes", bytes.clone(), Some(&settings), (no, no, None)),
            ("beginning", simple.clone(), Some(&settings), (some, None, None)),
            ("no settings", simple.clone(), None, (some, None, None)),
            ("pair", pair, Some(&settings), (some, None, no)),
            ("both", both, Some(&settings), (some, some, None)),
            (
                "chain",
                json!({"type": "Sequence", "processors": [bytes, simple]}),
                Some(&settings),
                (some, no, None),
            ),
        ];
        for (name, processor, settings, want) in cases {
            assert_eq!(adds_of(processor, settings), want, "{name}");
        }
    }

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
