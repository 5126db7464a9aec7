//! The tokens that end a turn, from every list that names some.

use super::special::Sources;
use super::tokens::Tokens;
use siskin_model::config::{Config, TokenIds};
use siskin_model::gguf::{Array, Metadata, Value};
use siskin_model::tokenizer::{MORE_ENDS, spellings};

/// Every end token that the configuration files list.
pub(super) fn all<'a>(
    config: &'a Config,
    generation: Option<&'a TokenIds>,
) -> impl Iterator<Item = u64> + 'a {
    let lists = [config.eos_token_id.as_ref(), generation];
    let ids = lists.into_iter().flatten().flat_map(|ids| match ids {
        TokenIds::One(id) => std::slice::from_ref(id),
        TokenIds::Many(ids) => ids.as_slice(),
    });
    ids.filter_map(|id| u64::try_from(*id).ok())
}

/// Names the end tokens that llama.cpp would not find by the keys so far or by their spelling: under its own keys for
/// two of them, the others under a key of siskin's.
pub(super) fn keys(sources: &Sources<'_>, tokens: &Tokens, keys: &mut Metadata) {
    const OWN: [&str; 3] = [
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",
    ];
    let mut more = Vec::new();
    for id in all(sources.config, sources.generation) {
        let Some(text) = tokens.get(id) else { continue };
        let Ok(id) = u32::try_from(id) else { continue };
        let known = OWN.iter().any(|key| keys.get(key) == Some(&Value::U32(id)))
            || spellings::ENDS.contains(&text)
            || more.contains(&id);
        if known {
            continue;
        }
        match OWN.iter().find(|key| keys.get(key).is_none()) {
            Some(key) => keys.set(*key, id),
            None => more.push(id),
        }
    }
    if !more.is_empty() {
        keys.set(MORE_ENDS, Value::Array(Array::U32(more)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use siskin_model::tokenizer::TokenType;

    #[test]
    fn every_list_counts_and_spellings_need_no_key() {
        let mut config = Config::default();
        config.eos_token_id = Some(TokenIds::Many(vec![0, 1, 2, -1, 99]));
        let generation = TokenIds::Many(vec![2, 3, 4, 5]);
        let mut tokens = Tokens::padding(8);
        for (id, text) in ["<a>", "<|eot_id|>", "<c>", "<d>", "<e>", "<f>"]
            .into_iter()
            .enumerate()
        {
            tokens.set(id, text.into(), TokenType::Control);
        }
        let sources = Sources {
            processor: None,
            added: &BTreeMap::new(),
            settings: None,
            config: &config,
            generation: Some(&generation),
            bos_by_default: false,
        };
        let keys = super::super::special::keys(&sources, &tokens).expect("keys");
        let id = |name: &str| keys.get(&format!("tokenizer.ggml.{name}_token_id")).cloned();
        assert_eq!(id("eos"), Some(Value::U32(0)));
        assert_eq!(id("eot"), Some(Value::U32(2)));
        assert_eq!(id("eom"), Some(Value::U32(3)));
        assert_eq!(keys.get(MORE_ENDS), Some(&Value::Array(Array::U32(vec![4, 5]))));
    }
}
