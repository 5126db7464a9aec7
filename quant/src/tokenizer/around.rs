//! The tokens that are added around a text: what the post-processor adds, against what the configuration says.
//!
//! The keys that llama.cpp's converter derives come first (gguf-py's `SpecialVocab`); what transformers adds is then
//! compared with what llama.cpp would add by them.

use super::ContentError;
use super::hf::{Piece, Processor, TokenizerConfig};
use super::special::Sources;
use super::tokens::Tokens;
use siskin_model::gguf::{Metadata, Value};

const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const EOT: &str = "tokenizer.ggml.eot_token_id";

/// Whether BOS, EOS and separator tokens are added; `None` if no file specifies it.
#[derive(Debug, Default, PartialEq)]
struct Adds {
    bos: Option<bool>,
    eos: Option<bool>,
    sep: Option<bool>,
}

/// What transformers puts before and after a text: ids of tokens.
#[derive(Debug, PartialEq)]
struct Around {
    before: Option<u64>,
    after: Option<u64>,
}

/// Whether BOS, EOS and separator tokens are added, and which BOS and EOS are.
pub(super) fn keys(sources: &Sources<'_>, tokens: &Tokens, keys: &mut Metadata) -> Result<(), ContentError> {
    let settings = sources.settings;
    let adds = added_around(sources.processor, settings);
    for (kind, add) in [("bos", adds.bos), ("eos", adds.eos), ("sep", adds.sep)] {
        if let Some(add) = add.or_else(|| settings?.adds(kind)) {
            keys.set(format!("tokenizer.ggml.add_{kind}_token"), add);
        }
    }
    let Some(around) = around(sources, tokens, keys)? else {
        return Ok(());
    };
    let defaults = [
        ("bos", BOS, around.before, sources.bos_by_default),
        ("eos", EOS, around.after, false),
    ];
    for (kind, id_key, token, default) in defaults {
        let key = format!("tokenizer.ggml.add_{kind}_token");
        let adds = match keys.get(&key) {
            Some(Value::Bool(adds)) => *adds,
            _ => default,
        };
        if adds != token.is_some() {
            keys.set(key, token.is_some());
        }
        let Some(token) = token.and_then(|id| u32::try_from(id).ok()) else {
            continue;
        };
        let named = keys.get(id_key).cloned();
        if named == Some(Value::U32(token)) {
            continue;
        }
        keys.set(id_key, token);
        // The token that was named still ends a turn.
        if let (EOS, Some(named), None) = (id_key, named, keys.get(EOT)) {
            keys.set(EOT, named);
        }
    }
    Ok(())
}

/// What transformers adds; `None` if no file says it.
fn around(sources: &Sources<'_>, tokens: &Tokens, keys: &Metadata) -> Result<Option<Around>, ContentError> {
    let named = |key: &str| match keys.get(key) {
        Some(Value::U32(id)) => Some(u64::from(*id)),
        _ => None,
    };
    let mut around = match sources.processor {
        Some(processor) => processed(processor, tokens)?,
        None => None,
    };
    let Some(settings) = sources.settings.filter(|settings| settings.decides_around()) else {
        return Ok(around);
    };
    let asked = [
        (settings.adds("bos"), named(BOS)),
        (settings.adds("eos"), named(EOS)),
    ];
    if asked.iter().any(|(adds, _)| adds.is_some()) {
        let before = asked[0].1.filter(|_| settings.adds_bos_by_class());
        let around = around.get_or_insert(Around { before, after: None });
        let decide = |adds: Option<bool>, named: Option<u64>, slot: &mut Option<u64>| match adds {
            Some(true) => *slot = named.or(*slot),
            Some(false) => *slot = None,
            None => {}
        };
        decide(asked[0].0, asked[0].1, &mut around.before);
        decide(asked[1].0, asked[1].1, &mut around.after);
    }
    Ok(around)
}

/// What a post-processor adds; `None` if it adds nothing and does not say so either.
fn processed(processor: &Processor, tokens: &Tokens) -> Result<Option<Around>, ContentError> {
    let mut around = None;
    for processor in chain(processor) {
        let ids = |name: &str| match processor.special_tokens.get(name) {
            Some(token) => match token.ids[..] {
                [id] => Ok(id),
                _ => Err(unsupported(name)),
            },
            None => tokens.find(name).ok_or_else(|| unsupported(name)),
        };
        match (processor.kind.as_str(), &processor.cls, &processor.sep) {
            ("BertProcessing" | "RobertaProcessing", Some(cls), Some(sep)) => {
                around = Some(Around {
                    before: Some(cls.1),
                    after: Some(sep.1),
                });
            }
            ("TemplateProcessing", ..) => {
                let text = processor.single.iter().position(|piece| piece.text().is_some());
                let Some(text) = text else { continue };
                let (before, after) = (&processor.single[..text], &processor.single[text + 1..]);
                let one = |pieces: &[Piece]| match pieces {
                    [] => Ok(None),
                    [piece] => piece.token().map(ids).transpose(),
                    _ => Err(ContentError::Unsupported(
                        "the post-processor puts several tokens on one side of a text, which GGUF cannot say"
                            .into(),
                    )),
                };
                around = Some(Around {
                    before: one(before)?,
                    after: one(after)?,
                });
            }
            ("ByteLevel", ..) => {
                around.get_or_insert(Around {
                    before: None,
                    after: None,
                });
            }
            _ => {}
        }
    }
    Ok(around)
}

fn unsupported(name: &str) -> ContentError {
    ContentError::Damaged(format!(
        "the post-processor adds {name:?}, which is not one token of the vocabulary"
    ))
}

/// The post-processor, or the parts of a sequence.
fn chain(processor: &Processor) -> &[Processor] {
    match processor.processors.as_slice() {
        [] => std::slice::from_ref(processor),
        chain => chain,
    }
}

/// What the post-processor adds around a text.
fn added_around(processor: Option<&Processor>, settings: Option<&TokenizerConfig>) -> Adds {
    let mut adds = Adds::default();
    let Some(processor) = processor else { return adds };
    for processor in chain(processor) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde_json::{Value as Json, json};
    use siskin_model::config::Config;
    use siskin_model::tokenizer::TokenType;

    #[test]
    fn post_processors() {
        let special = |id: &str| json!({"SpecialToken": {"id": id}});
        let text = |id: &str| json!({"Sequence": {"id": id}});
        let template = |single: Vec<Json>, pair: Vec<Json>| json!({"type": "TemplateProcessing", "single": single, "pair": pair});
        let bytes = json!({"type": "ByteLevel"});
        let settings = json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}});
        let adds_of = |processor: Json, settings: Option<&Json>| {
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

    fn llama_cpp_adds(processor: Json, settings: Json, bos_by_default: bool) -> Result<Vec<String>, String> {
        let processor: Option<Processor> = serde_json::from_value(processor).expect("a processor");
        let settings: TokenizerConfig = serde_json::from_value(settings).expect("settings");
        let config = Config::default();
        let mut tokens = Tokens::padding(8);
        for (id, text) in ["<s>", "</s>", "<cls>"].into_iter().enumerate() {
            tokens.set(id, text.into(), TokenType::Control);
        }
        let sources = Sources {
            processor: processor.as_ref(),
            added: &BTreeMap::new(),
            settings: Some(&settings),
            config: &config,
            generation: None,
            bos_by_default,
        };
        let keys = super::super::special::keys(&sources, &tokens).map_err(|e| e.to_string())?;
        let flag = |kind: &str, default: bool| match keys.get(&format!("tokenizer.ggml.add_{kind}_token")) {
            Some(Value::Bool(adds)) => *adds,
            _ => default,
        };
        let token = |key: &str| match keys.get(key) {
            Some(Value::U32(id)) => tokens.texts[*id as usize].clone(),
            _ => "?".to_owned(),
        };
        let mut added = Vec::from_iter(flag("bos", bos_by_default).then(|| token(BOS)));
        added.push("text".to_owned());
        added.extend(flag("eos", false).then(|| token(EOS)));
        Ok(added)
    }

    #[test]
    fn llama_cpp_adds_what_transformers_adds() {
        let special = |id: &str| json!({"SpecialToken": {"id": id}});
        let text = || json!({"Sequence": {"id": "A"}});
        let template =
            |single: Vec<Json>| json!({"type": "TemplateProcessing", "single": single, "pair": []});
        let bytes = || json!({"type": "ByteLevel"});
        let named = || json!({"bos_token": "<s>", "eos_token": "</s>"});
        let with = |more: Json| {
            let mut all = named();
            let more = more.as_object().expect("an object").clone();
            all.as_object_mut().expect("an object").extend(more);
            all
        };
        let llama = "LlamaTokenizerFast";
        let both = || template(vec![special("<s>"), text(), special("</s>")]);
        let chain =
            || json!({"type": "Sequence", "processors": [bytes(), template(vec![special("<s>"), text()])]});
        let bert = || json!({"type": "BertProcessing", "cls": ["<cls>", 2], "sep": ["</s>", 1]});
        let cases = [
            (
                "no names",
                template(vec![special("<s>"), text()]),
                json!({}),
                true,
                "<s> text",
            ),
            ("both", both(), named(), true, "<s> text </s>"),
            ("nothing", template(vec![text()]), named(), true, "text"),
            ("bytes", bytes(), named(), true, "text"),
            ("bytes first", chain(), named(), false, "<s> text"),
            (
                "another first token",
                template(vec![special("<cls>"), text()]),
                named(),
                false,
                "<cls> text",
            ),
            (
                "another last token",
                template(vec![text(), special("<cls>")]),
                named(),
                false,
                "text <cls>",
            ),
            ("bert", bert(), named(), false, "<cls> text </s>"),
            (
                "the class decides",
                both(),
                with(json!({"tokenizer_class": llama, "add_eos_token": false})),
                true,
                "<s> text",
            ),
            (
                "the class decides twice",
                bytes(),
                with(json!({"tokenizer_class": llama, "add_bos_token": true, "add_eos_token": true})),
                false,
                "<s> text </s>",
            ),
            (
                "the class does not decide",
                both(),
                with(json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false})),
                true,
                "<s> text </s>",
            ),
            (
                "no processor",
                Json::Null,
                with(json!({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false})),
                true,
                "text",
            ),
            (
                "no processor, only an end",
                Json::Null,
                with(json!({"tokenizer_class": "LlamaTokenizer", "add_eos_token": true})),
                true,
                "<s> text </s>",
            ),
        ];
        for (name, processor, settings, bos_by_default, want) in cases {
            let got = llama_cpp_adds(processor, settings, bos_by_default).map(|added| added.join(" "));
            assert_eq!(got.as_deref(), Ok(want), "{name}");
        }
        let two = template(vec![special("<s>"), special("<cls>"), text()]);
        assert!(
            llama_cpp_adds(two, named(), false)
                .expect_err("two")
                .contains("several tokens")
        );
        let unknown = template(vec![special("<q>"), text()]);
        assert!(
            llama_cpp_adds(unknown, named(), false)
                .expect_err("unknown")
                .contains("<q>")
        );
    }
}
