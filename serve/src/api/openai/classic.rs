//! The probabilities of `/v1/completions`: four lists with an element for each token, as OpenAI's first API has them and
//! programs that score texts read them.

use serde_json::{Map, Value as Json, json};
use siskin_runtime::Token;

use super::prompts::Given;
use super::scores::finite;
use crate::error::ApiError;
use crate::live::Live;
use crate::request::Scored;

/// A prompt that is told again.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    /// Its text.
    pub(super) text: String,
    tokens: Vec<Token>,
}

impl Echo {
    /// A prompt: a text as it came, tokens as the text that they are.
    ///
    /// # Errors
    /// As [`Given::tokens`]'s.
    pub(super) fn new(live: &Live, given: &Given) -> Result<Self, ApiError> {
        let tokens = given.tokens(live, "prompt")?;
        let text = match given {
            Given::Text(text) => text.clone(),
            Given::Tokens(_) => {
                let bytes: Vec<u8> = tokens
                    .iter()
                    .flat_map(|token| live.model.piece(*token, false))
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        Ok(Echo { text, tokens })
    }
}

/// The lists as they grow.
#[derive(Debug, Default)]
pub(super) struct Classic {
    tokens: Vec<Json>,
    logprobs: Vec<Json>,
    top: Vec<Json>,
    offsets: Vec<Json>,
    /// Characters so far, of whole ones and begun ones.
    characters: usize,
    /// SentencePiece writes a space before a text's first word that the text has not.
    skips_space: bool,
}

impl Classic {
    /// Adds a prompt with its probabilities; the first token has none.
    pub(super) fn prompt(&mut self, live: &Live, echo: &Echo, scores: &[Option<Scored>]) {
        self.skips_space = live.model.adds_space_prefix() && !echo.text.starts_with(' ');
        for (at, token) in echo.tokens.iter().enumerate() {
            self.add(live, *token, scores.get(at).and_then(Option::as_ref));
        }
    }

    /// Adds a token that was drawn.
    pub(super) fn drawn(&mut self, live: &Live, scored: &Scored) {
        self.add(live, scored.token, Some(scored));
    }

    fn add(&mut self, live: &Live, token: Token, scored: Option<&Scored>) {
        self.tokens.push(spelled(live, token).into());
        self.logprobs
            .push(scored.map(|scored| finite(scored.logprob)).into());
        self.top.push(scored.map_or(Json::Null, |scored| {
            let mut top = Map::new();
            // Of tokens with one spelling the likeliest counts; the token itself is always there.
            let own = (scored.token, scored.logprob);
            for (token, logprob) in scored.top.iter().copied().chain([own]) {
                top.entry(spelled(live, token))
                    .or_insert_with(|| finite(logprob).into());
            }
            top.into()
        }));
        self.offsets.push(self.characters.into());
        let piece = live.model.piece(token, false);
        let mut visible = piece.as_slice();
        if self.skips_space && !visible.is_empty() {
            visible = visible.strip_prefix(b" ").unwrap_or(visible);
            self.skips_space = false;
        }
        // Bytes that go on with a character do not begin one.
        self.characters += visible.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    }

    /// The lists since the last time; offsets go on.
    pub(super) fn take(&mut self) -> Json {
        let [tokens, logprobs, top, offsets] = [
            &mut self.tokens,
            &mut self.logprobs,
            &mut self.top,
            &mut self.offsets,
        ]
        .map(std::mem::take);
        json!({ "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": top, "text_offset": offsets })
    }

    /// The lists.
    pub(super) fn json(mut self) -> Json {
        self.take()
    }
}

/// A token's text; what is no whole character is written as its bytes.
fn spelled(live: &Live, token: Token) -> String {
    let bytes = live.model.piece(token, true);
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let digits = error.as_bytes().iter().map(|byte| format!("\\x{byte:02x}"));
        format!("bytes:{}", digits.collect::<String>())
    })
}
