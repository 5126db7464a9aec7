//! Chat templates, from wherever a checkpoint has them.
//!
//! As in transformers: the files `chat_template.jinja` and `additional_chat_templates/NAME.jinja` win over
//! `tokenizer_config.json`, whose `chat_template` is one template or several with names. The older `chat_template.json`
//! is read last.

use serde::Deserialize;
use serde_json::Value;

use super::hf::TokenizerConfig;
use super::{ContentError, TokenizerError};
use crate::checkpoint::{CheckpointError, Content, Folder, MAX_JSON, read_json};
use siskin_model::gguf::Metadata;

/// Size limit of a chat template in bytes.
const MAX_TEMPLATE: u64 = 1 << 20;
/// The most named templates that a checkpoint may have.
const MAX_TEMPLATES: usize = 64;
/// The name of the template that is used if none is asked for.
const DEFAULT: &str = "default";

/// Templates and their names; of several with one name, the last is kept.
#[derive(Debug, Default)]
struct Named(Vec<(String, String)>);

impl Named {
    fn set(&mut self, name: &str, template: &str) {
        match self.0.iter().position(|(other, _)| other == name) {
            Some(at) => template.clone_into(&mut self.0[at].1),
            None if self.0.len() < MAX_TEMPLATES => self.0.push((name.to_owned(), template.to_owned())),
            None => {}
        }
    }

    /// Adds what JSON has: a template, a list of `{name, template}`, or a map of names.
    fn add(&mut self, json: &Value) {
        match json {
            Value::String(template) => self.set(DEFAULT, template),
            Value::Array(list) => {
                for entry in list {
                    if let (Some(name), Some(template)) = (entry["name"].as_str(), entry["template"].as_str())
                    {
                        self.set(name, template);
                    }
                }
            }
            Value::Object(map) => {
                for (name, template) in map {
                    if let Some(template) = template.as_str() {
                        self.set(name, template);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `chat_template.json`.
#[derive(Debug, Deserialize)]
struct Older {
    chat_template: Option<Value>,
}

/// The keys of the chat templates: the default one under the plain key, each other one under its own.
pub(super) fn keys(folder: &Folder, settings: Option<&TokenizerConfig>) -> Result<Metadata, TokenizerError> {
    const ADDITIONAL: &str = "additional_chat_templates";
    let mut named = Named::default();
    if let Some(older) = read_json::<Older>(folder, "chat_template.json", MAX_JSON)? {
        named.add(&older.chat_template.unwrap_or_default());
    }
    if let Some(json) = settings.and_then(|settings| settings.chat_template.as_ref()) {
        named.add(json);
    }
    if let Some(template) = read_text(folder, "chat_template.jinja")? {
        named.set(DEFAULT, &template);
    }
    let entries = folder.names_under(ADDITIONAL);
    let mut additional: Vec<&str> = entries
        .iter()
        .filter_map(|name| name.strip_suffix(".jinja"))
        .collect();
    additional.sort_unstable();
    for name in additional.into_iter().take(MAX_TEMPLATES) {
        if let Some(template) = read_text(folder, &format!("{ADDITIONAL}/{name}.jinja"))? {
            named.set(name, &template);
        }
    }
    let mut keys = Metadata::new();
    let mut names: Vec<String> = Vec::new();
    for (name, template) in named.0 {
        // As llama.cpp's converter spells names.
        let keep = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let spelled: String = name.chars().filter(keep).collect();
        if name == DEFAULT {
            keys.set("tokenizer.chat_template", template);
        } else if !spelled.is_empty() {
            keys.set(format!("tokenizer.chat_template.{spelled}"), template);
            if !names.contains(&spelled) {
                names.push(spelled);
            }
        }
    }
    if !names.is_empty() {
        keys.set("tokenizer.chat_templates", names);
    }
    Ok(keys)
}

/// A template's file as Python reads text: every line ends with LF.
fn read_text(folder: &Folder, name: &str) -> Result<Option<String>, TokenizerError> {
    let error = |source: ContentError| TokenizerError::File {
        path: folder.path(name),
        source,
    };
    let bytes = match folder.read(name, MAX_TEMPLATE).map_err(CheckpointError::from)? {
        Content::Absent => return Ok(None),
        Content::TooLarge(len) => {
            let limit = MAX_TEMPLATE;
            return Err(error(ContentError::TooLarge { len, limit }));
        }
        Content::Whole(bytes) => bytes,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| error(ContentError::Damaged("not UTF-8".into())))?;
    Ok(Some(text.replace("\r\n", "\n").replace('\r', "\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Files, the setting of `tokenizer_config.json`, and the keys with their templates that come of them.
    type Case = (
        &'static [(&'static str, &'static str)],
        Value,
        &'static [(&'static str, &'static str)],
    );

    #[test]
    fn each_place_is_read_in_transformers_order() {
        let named = json!([{"name": "default", "template": "x"}, {"name": "tool use", "template": "y"}]);
        let cases: [Case; 11] = [
            (&[], Value::Null, &[]),
            (&[], json!("x"), &[("", "x")]),
            (&[], named.clone(), &[("", "x"), (".tooluse", "y")]),
            (
                &[],
                json!({"default": "x", "rag": "r"}),
                &[("", "x"), (".rag", "r")],
            ),
            (
                &[],
                json!([{"name": "default", "template": "x"}, {"name": "default", "template": "y"}, {}, 7]),
                &[("", "y")],
            ),
            (&[("chat_template.jinja", "z")], json!("x"), &[("", "z")]),
            (
                &[("chat_template.jinja", "z")],
                named,
                &[("", "z"), (".tooluse", "y")],
            ),
            (
                &[("chat_template.jinja", "a\r\nb\rc")],
                Value::Null,
                &[("", "a\nb\nc")],
            ),
            (
                &[("chat_template.json", r#"{"chat_template": "o"}"#)],
                Value::Null,
                &[("", "o")],
            ),
            (
                &[("chat_template.json", r#"{"chat_template": "o"}"#)],
                json!("x"),
                &[("", "x")],
            ),
            (
                &[
                    ("additional_chat_templates/tool_use.jinja", "t"),
                    ("additional_chat_templates/rag.jinja", "r"),
                    ("additional_chat_templates/README.md", "no"),
                ],
                json!("x"),
                &[("", "x"), (".rag", "r"), (".tool_use", "t")],
            ),
        ];
        for (files, setting, want) in cases {
            let dir = tempfile::tempdir().expect("a temporary folder");
            std::fs::create_dir(dir.path().join("additional_chat_templates")).expect("a folder");
            for (name, text) in files {
                std::fs::write(dir.path().join(name), text).expect("written");
            }
            let settings = json!({"chat_template": setting});
            let settings: TokenizerConfig = serde_json::from_value(settings).expect("settings");
            let keys = keys(&Folder::Disk(dir.path().to_owned()), Some(&settings)).expect("templates");
            let templates = keys.iter().filter_map(|(key, _)| {
                let name = key
                    .strip_prefix("tokenizer.chat_template")
                    .filter(|name| *name != "s")?;
                Some((name, keys.text(key)?))
            });
            assert_eq!(templates.collect::<Vec<_>>(), want, "{files:?} {setting}");
            assert_eq!(keys.get("tokenizer.chat_templates").is_some(), want.len() > 1);
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::Disk(dir.path().to_owned());
        std::fs::write(dir.path().join("chat_template.jinja"), [0xff]).expect("written");
        assert!(keys(&folder, None).is_err());
        let long = " ".repeat(MAX_TEMPLATE as usize + 1);
        std::fs::write(dir.path().join("chat_template.jinja"), long).expect("written");
        assert!(keys(&folder, None).is_err());
    }
}
