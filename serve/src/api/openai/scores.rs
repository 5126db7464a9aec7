//! Probabilities of tokens, as OpenAI writes them.

use serde_json::{Value as Json, json};
use siskin_runtime::Token;

use crate::live::Live;
use crate::request::Scored;

/// A token's text; bytes that are no whole character are replaced.
pub(crate) fn text(live: &Live, token: Token) -> String {
    String::from_utf8_lossy(&live.model.piece(token, true)).into_owned()
}

/// A token of a chat's answer.
pub(crate) fn chat(live: &Live, scored: &Scored) -> Json {
    let one = |token: Token, logprob: f32| {
        json!({
            "token": text(live, token),
            "logprob": finite(logprob),
            "bytes": live.model.piece(token, true),
        })
    };
    let top: Vec<Json> = scored
        .top
        .iter()
        .map(|(token, logprob)| one(*token, *logprob))
        .collect();
    let mut own = one(scored.token, scored.logprob);
    own["top_logprobs"] = top.into();
    own
}

/// JSON has no infinity: OpenAI writes -9999 for tokens that cannot come.
pub(crate) fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}
