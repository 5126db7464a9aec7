//! Prompts of `/v1/completions` and inputs of `/v1/embeddings`: texts or tokens, one or several.

use serde::Deserialize;
use siskin_runtime::{Token, Tokenize};

use crate::error::ApiError;
use crate::live::Live;

/// Prompts of a request at most.
pub(super) const MOST: usize = 128;

/// A text, several, the tokens of one, or the tokens of several.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Prompts {
    /// One text.
    Text(String),
    /// Texts, or a text in tokens, or texts in tokens.
    Many(Vec<Prompt>),
}

/// A part of a list of prompts.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Prompt {
    /// A token of the only text.
    Token(i64),
    /// A text.
    Text(String),
    /// A text in tokens.
    Tokens(Vec<i64>),
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// As a text.
    Text(String),
    /// As tokens.
    Tokens(Vec<i64>),
}

impl Prompts {
    /// The prompts one by one; `field` is their name.
    ///
    /// # Errors
    /// There are none or too many, or tokens and texts are mixed.
    pub(crate) fn list(self, field: &str) -> Result<Vec<Given>, ApiError> {
        let wrong = |message: String| Err(ApiError::field(field, message));
        let many = match self {
            Prompts::Text(text) => return Ok(vec![Given::Text(text)]),
            Prompts::Many(many) => many,
        };
        if matches!(many.first(), Some(Prompt::Token(_))) {
            let ids = many.iter().map(|part| match part {
                Prompt::Token(id) => Some(*id),
                _ => None,
            });
            return match ids.collect() {
                Some(ids) => Ok(vec![Given::Tokens(ids)]),
                None => wrong(format!("{field} has both tokens and texts")),
            };
        }
        if many.is_empty() || many.len() > MOST {
            return wrong(format!(
                "{field} has {} texts; there must be 1 to {MOST}",
                many.len()
            ));
        }
        let list = many.into_iter().map(|part| match part {
            Prompt::Text(text) => Some(Given::Text(text)),
            Prompt::Tokens(ids) => Some(Given::Tokens(ids)),
            Prompt::Token(_) => None,
        });
        list.collect::<Option<_>>()
            .map_or_else(|| wrong(format!("{field} has both tokens and texts")), Ok)
    }
}

impl Given {
    /// Its tokens. An empty text is the token that begins texts, if the model has one.
    ///
    /// # Errors
    /// A token is not in the vocabulary, or the text is too long for the context whatever its tokens are.
    pub(crate) fn tokens(&self, live: &Live, field: &str) -> Result<Vec<Token>, ApiError> {
        match self {
            Given::Text(text) => live.tokens(text, Tokenize::PROMPT),
            Given::Tokens(ids) => known(live, field, ids),
        }
    }
}

/// Tokens that the vocabulary has.
///
/// # Errors
/// One is not there.
pub(crate) fn known(live: &Live, field: &str, ids: &[i64]) -> Result<Vec<Token>, ApiError> {
    let token = |id: &i64| {
        let most = live.model.vocabulary_len().saturating_sub(1);
        live.token(*id)
            .ok_or_else(|| ApiError::field(field, format!("there is no token {id}; the ids are 0 to {most}")))
    };
    ids.iter().map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    #[test]
    fn prompts_are_texts_or_tokens_but_not_both() {
        let text = |text: &str| Given::Text(text.into());
        let cases: [(Json, Option<Vec<Given>>); 9] = [
            (json!("a"), Some(vec![text("a")])),
            (json!(["a", "b"]), Some(vec![text("a"), text("b")])),
            (json!([1, 2]), Some(vec![Given::Tokens(vec![1, 2])])),
            (
                json!([[1], [2, 3]]),
                Some(vec![Given::Tokens(vec![1]), Given::Tokens(vec![2, 3])]),
            ),
            (json!(["a", [2]]), Some(vec![text("a"), Given::Tokens(vec![2])])),
            (json!([]), None),
            (json!([1, "a"]), None),
            (json!(["a", 1]), None),
            (json!(vec!["a"; MOST + 1]), None),
        ];
        for (body, list) in cases {
            let prompts: Prompts = serde_json::from_value(body.clone()).expect("one of the forms");
            assert_eq!(prompts.list("prompt").ok(), list, "{body}");
        }
    }
}
