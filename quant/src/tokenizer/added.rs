//! Tokens that were added to a model's vocabulary, wherever they are written: `tokenizer.json`,
//! `tokenizer_config.json`, `added_tokens.json`.

use std::collections::BTreeMap;

use super::ContentError;
use super::hf::{AddedToken, TokenizerConfig};
use super::tokens::Tokens;
use siskin_model::tokenizer::TokenType;

/// Score of added tokens, as in llama.cpp's converter.
const ADDED_SCORE: f32 = -1000.0;

const TOKENIZER_JSON: &str = "tokenizer.json";

/// An added token and the file that it is from.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) content: String,
    special: bool,
    file: &'static str,
}

impl Added {
    pub(super) fn is_from_tokenizer_json(&self) -> bool {
        self.file == TOKENIZER_JSON
    }
}

/// All added tokens by id. The later file decides whether a token is special; that two files give one id to two texts
/// is an error.
pub(super) fn collect(
    json: &[AddedToken],
    settings: Option<&TokenizerConfig>,
    listed: BTreeMap<String, u64>,
) -> Result<BTreeMap<u64, Added>, ContentError> {
    let decoded = settings.map(|s| &s.added_tokens_decoder).into_iter().flatten();
    let ours = json.iter().map(|token| (&token.content, token.around));
    let theirs = decoded.map(|(_, token)| (&token.content, token.around));
    for (content, around) in ours.chain(theirs) {
        if let Some(setting) = around.setting() {
            return Err(ContentError::Unsupported(format!(
                "the added token {content:?} has {setting}, which changes how the text around it is split; that is not supported"
            )));
        }
    }
    let listed = listed
        .into_iter()
        .map(|(text, id)| (id, text, false, "added_tokens.json"));
    let json = json
        .iter()
        .map(|token| (token.id, token.content.clone(), token.special, TOKENIZER_JSON));
    let decoder = settings.map(|s| &s.added_tokens_decoder).into_iter().flatten();
    let decoder = decoder.filter_map(|(id, token)| {
        let content = token.content.clone();
        Some((id.parse().ok()?, content, token.special, "tokenizer_config.json"))
    });
    let mut all: BTreeMap<u64, Added> = BTreeMap::new();
    for (id, content, special, file) in listed.chain(json).chain(decoder) {
        let before = all.get(&id).filter(|before| before.content != content);
        if let Some(before) = before {
            return Err(ContentError::Damaged(format!(
                "token {id} is {:?} in {} and {content:?} in {file}; one of the two files is not this model's",
                before.content, before.file
            )));
        }
        all.insert(
            id,
            Added {
                content,
                special,
                file,
            },
        );
    }
    Ok(all)
}

/// Puts the added tokens into the vocabulary. An id without a row in the embedding is passed over: the model can
/// neither read nor write it.
pub(super) fn apply(tokens: &mut Tokens, added: &BTreeMap<u64, Added>, settings: Option<&TokenizerConfig>) {
    for (&id, token) in added.range(..tokens.rows()) {
        let (text, ty) = match token.special || looks_special(&token.content) {
            true => (token.content.clone(), TokenType::Control),
            false => (token.content.replace('\u{2581}', " "), TokenType::UserDefined),
        };
        let slot = id as usize;
        tokens.set(slot, text, ty);
        tokens.set_score(slot, ADDED_SCORE);
    }
    for text in settings.into_iter().flat_map(TokenizerConfig::additional) {
        if let Some(id) = tokens.find(text) {
            tokens.set_type(id as usize, TokenType::Control);
        }
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

#[cfg(test)]
mod tests {
    use super::super::hf::Around;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_file_counts_and_contradictions_are_named() {
        let settings = |decoder| -> TokenizerConfig {
            let json = json!({"added_tokens_decoder": decoder, "additional_special_tokens": ["<x>", {"content": "b"}]});
            serde_json::from_value(json).expect("settings")
        };
        let json = [AddedToken {
            id: 2,
            content: "<t>".into(),
            special: false,
            around: Around::default(),
        }];
        let listed = || BTreeMap::from([("<|user|>".to_owned(), 3), ("far".to_owned(), 9)]);
        let config =
            settings(json!({"2": {"content": "<t>", "special": true}, "4": {"content": "\u{2581}y"}}));
        let added = collect(&json, Some(&config), listed()).expect("no contradictions");
        let mut tokens = Tokens::padding(6);
        tokens.set(1, "b".into(), TokenType::Normal);
        apply(&mut tokens, &added, Some(&config));
        assert_eq!(tokens.texts, ["[PAD0]", "b", "<t>", "<|user|>", " y", "[PAD5]"]);
        let control = (0..6).filter(|&id| tokens.is_a(id, TokenType::Control));
        assert_eq!(control.collect::<Vec<_>>(), [1, 2, 3]);

        for setting in ["lstrip", "rstrip", "single_word"] {
            let strips = settings(json!({"2": {"content": "<t>", setting: true}}));
            let error = collect(&[], Some(&strips), BTreeMap::new()).expect_err(setting);
            assert!(error.to_string().contains(setting), "{error}");
        }
        let other = settings(json!({"2": {"content": "<u>"}}));
        let error = collect(&json, Some(&other), listed())
            .expect_err("two texts")
            .to_string();
        assert!(
            error.contains("\"<t>\" in tokenizer.json and \"<u>\" in tokenizer_config.json"),
            "{error}"
        );
    }
}
