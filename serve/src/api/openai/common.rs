//! Fields that `/v1/chat/completions` and `/v1/completions` have in common, with llama-server's additions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use siskin_runtime::scheduler::Class;
use siskin_runtime::{SamplerConfig, Token};

use crate::error::ApiError;
use crate::live::Live;

/// How tokens are chosen.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sampling {
    /// Softmax temperature, from 0 to 2; 0 always takes the most likely token.
    pub(crate) temperature: Option<f32>,
    /// Only the most likely tokens that together have this probability.
    pub(crate) top_p: Option<f32>,
    /// Only so many of the most likely tokens; 0 for all.
    pub(crate) top_k: Option<i32>,
    /// Only tokens at least this likely relative to the most likely one.
    pub(crate) min_p: Option<f32>,
    /// Divides the logits of recent tokens.
    pub(crate) repeat_penalty: Option<f32>,
    /// Tokens that the penalties see; -1 for the whole context.
    pub(crate) repeat_last_n: Option<i32>,
    /// Taken from logits once for each time a token came, from -2 to 2.
    pub(crate) frequency_penalty: Option<f32>,
    /// Taken from the logits of tokens that came, from -2 to 2.
    pub(crate) presence_penalty: Option<f32>,
    /// Seed of the random numbers; a negative one for a new one.
    pub(crate) seed: Option<i64>,
    /// From token ids to what is added to their logits, from -100 to 100.
    pub(crate) logit_bias: Option<BTreeMap<String, f32>>,
    /// Never end before the limit.
    pub(crate) ignore_eos: Option<bool>,
}

impl Sampling {
    /// The sampler's settings.
    ///
    /// # Errors
    /// A number is out of its range.
    pub(crate) fn config(&self, defaults: &SamplerConfig) -> Result<SamplerConfig, ApiError> {
        let range = |name: &str, value: Option<f32>, least: f32, most: f32| match value {
            Some(value) if !(least..=most).contains(&value) => Err(ApiError::field(
                name,
                format!("{name} is {value}; it must be from {least} to {most}"),
            )),
            value => Ok(value),
        };
        let config = SamplerConfig {
            temp: range("temperature", self.temperature, 0.0, 100.0)?.unwrap_or(defaults.temp),
            top_p: range("top_p", self.top_p, 0.0, 1.0)?.unwrap_or(defaults.top_p),
            top_k: self.top_k.unwrap_or(defaults.top_k).max(0),
            min_p: range("min_p", self.min_p, 0.0, 1.0)?.unwrap_or(defaults.min_p),
            repeat_penalty: range("repeat_penalty", self.repeat_penalty, 0.01, 100.0)?
                .unwrap_or(defaults.repeat_penalty),
            repeat_last_n: self.repeat_last_n.unwrap_or(defaults.repeat_last_n).max(-1),
            frequency_penalty: range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?
                .unwrap_or(defaults.frequency_penalty),
            presence_penalty: range("presence_penalty", self.presence_penalty, -2.0, 2.0)?
                .unwrap_or(defaults.presence_penalty),
            seed: match self.seed {
                None => defaults.seed,
                Some(seed) => u32::try_from(seed & 0xffff_ffff).ok().filter(|_| seed >= 0),
            },
        };
        Ok(config.with_seed())
    }

    /// What is added to logits.
    ///
    /// # Errors
    /// A token or a number does not exist.
    pub(crate) fn bias(&self, live: &Live) -> Result<Vec<(Token, f32)>, ApiError> {
        let entries = self.logit_bias.iter().flatten();
        entries
            .map(|(id, bias)| {
                let token = id.parse().ok().and_then(|id| live.token(id));
                let token = token.ok_or_else(|| {
                    ApiError::field(
                        "logit_bias",
                        format!(
                            "the vocabulary has no token {:?}",
                            id.chars().take(40).collect::<String>()
                        ),
                    )
                })?;
                match (-100.0..=100.0).contains(bias) {
                    true => Ok((token, *bias)),
                    false => Err(ApiError::field(
                        "logit_bias",
                        format!("{bias} is not from -100 to 100"),
                    )),
                }
            })
            .collect()
    }
}

/// Texts that end an answer: one, or several.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Stop {
    /// One.
    One(String),
    /// At most 16.
    Many(Vec<String>),
}

/// Stop strings, checked.
///
/// # Errors
/// There are too many, or one is too long.
pub(crate) fn stops(stop: Option<Stop>) -> Result<Vec<String>, ApiError> {
    let stops = match stop {
        None => return Ok(Vec::new()),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Many(texts)) => texts,
    };
    if stops.len() > 16 {
        return Err(ApiError::field(
            "stop",
            format!("there are {} stop strings; at most 16 are taken", stops.len()),
        ));
    }
    if stops.iter().any(|text| text.len() > 1024) {
        return Err(ApiError::field("stop", "a stop string is longer than 1024 bytes"));
    }
    Ok(stops)
}

/// Options of a stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StreamOptions {
    /// Tell tokens at the end.
    #[serde(default)]
    pub(crate) include_usage: Option<bool>,
}

/// Tokens to draw: from several names for it.
///
/// # Errors
/// It is not a number that makes sense.
pub(crate) fn max_tokens(names: &[(&str, Option<i64>)]) -> Result<Option<u32>, ApiError> {
    let Some((name, value)) = names.iter().find_map(|(name, value)| Some((*name, (*value)?))) else {
        return Ok(None);
    };
    match value {
        // As many as fit.
        -1 => Ok(None),
        value if value >= 0 => Ok(Some(u32::try_from(value).unwrap_or(u32::MAX))),
        value => Err(ApiError::field(
            name,
            format!("{name} is {value}; it must be 0 or more"),
        )),
    }
}

/// The number of a conversation, from what a client calls it.
pub(crate) fn conversation(names: &[Option<&str>]) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let name = names.iter().flatten().find(|name| !name.is_empty())?;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

/// Who waits, from `X-Siskin-Class`.
pub(crate) fn class(headers: &axum::http::HeaderMap) -> Class {
    let name = headers
        .get("x-siskin-class")
        .and_then(|value| value.to_str().ok());
    match name {
        Some(name) if name.eq_ignore_ascii_case("background") => Class::Background,
        _ => Class::Chat,
    }
}

/// The session that a header names.
pub(crate) fn session(headers: &axum::http::HeaderMap) -> Option<&str> {
    headers.get("x-session-id").and_then(|value| value.to_str().ok())
}

/// The usage of an answer.
pub(crate) fn usage(prompt: u32, completion: u32, cached: u32) -> Json {
    serde_json::json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}
