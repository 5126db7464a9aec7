//! Fields that `/v1/chat/completions` and `/v1/completions` have in common, with llama-server's additions.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Response;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value as Json};
use siskin_runtime::{SamplerConfig, Token};

use crate::api::parts::Usage;
use crate::dialect::json_response;
use crate::error::ApiError;
use crate::live::Live;
use crate::request::Timings;
use crate::stream_body::Sink;

/// A number of a flattened field that may have a fraction. serde holds such fields in values of its own, in which the
/// number is an object if serde_json's feature `arbitrary_precision` is on. Any crate of a build can turn it on; serde_json's
/// own type reads both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fraction(pub(crate) f32);

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?.as_f64();
        let number = number.ok_or_else(|| D::Error::custom("the number is too large"))?;
        Ok(Fraction(number as f32))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Fraction {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        f32::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        f32::json_schema(generator)
    }
}

/// How tokens are chosen.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sampling {
    /// Softmax temperature, from 0 to 2; 0 always takes the most likely token.
    pub(crate) temperature: Option<Fraction>,
    /// Only the most likely tokens that together have this probability.
    pub(crate) top_p: Option<Fraction>,
    /// Only so many of the most likely tokens; 0 for all.
    pub(crate) top_k: Option<i32>,
    /// Only tokens at least this likely relative to the most likely one.
    pub(crate) min_p: Option<Fraction>,
    /// Divides the logits of recent tokens.
    pub(crate) repeat_penalty: Option<Fraction>,
    /// Tokens that the penalties see; -1 for the whole context.
    pub(crate) repeat_last_n: Option<i32>,
    /// Taken from logits once for each time a token came, from -2 to 2.
    pub(crate) frequency_penalty: Option<Fraction>,
    /// Taken from the logits of tokens that came, from -2 to 2.
    pub(crate) presence_penalty: Option<Fraction>,
    /// Seed of the random numbers; a negative one for a new one.
    pub(crate) seed: Option<i64>,
    /// From token ids to what is added to their logits, from -100 to 100.
    pub(crate) logit_bias: Option<BTreeMap<String, Fraction>>,
    /// Never end before the limit.
    pub(crate) ignore_eos: Option<bool>,
}

impl Sampling {
    /// The sampler's settings.
    ///
    /// # Errors
    /// A number is out of its range.
    pub(crate) fn config(&self, defaults: &SamplerConfig) -> Result<SamplerConfig, ApiError> {
        let range =
            |name: &str, value: Option<Fraction>, least: f32, most: f32| match value.map(|value| value.0) {
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
            repeat_last_n: match self.repeat_last_n {
                Some(count) if count < -1 => {
                    let message = format!("repeat_last_n is {count}; it must be -1 or more");
                    return Err(ApiError::field("repeat_last_n", message));
                }
                count => count.unwrap_or(defaults.repeat_last_n),
            },
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
            .map(|(id, Fraction(bias))| {
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

/// Tokens to draw, from several names for it; -1 is as many as fit.
///
/// # Errors
/// It is not a number that makes sense.
pub(crate) fn max_tokens(names: &[(&str, Option<i64>)]) -> Result<Option<u32>, ApiError> {
    at_least(names, 1)
}

/// The same, and it may be 0.
///
/// # Errors
/// It is not a number that makes sense.
pub(crate) fn max_tokens_or_none(names: &[(&str, Option<i64>)]) -> Result<Option<u32>, ApiError> {
    at_least(names, 0)
}

fn at_least(names: &[(&str, Option<i64>)], least: i64) -> Result<Option<u32>, ApiError> {
    let given = names.iter().find_map(|(name, value)| Some((*name, (*value)?)));
    match given {
        None | Some((_, -1)) => Ok(None),
        Some((_, value)) if value >= least => Ok(Some(u32::try_from(value).unwrap_or(u32::MAX))),
        Some((name, value)) => Err(ApiError::field(
            name,
            format!("{name} is {value}; it must be {least} or more"),
        )),
    }
}

/// The usage of an answer.
pub(crate) fn usage(usage: Usage) -> Json {
    serde_json::json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": { "cached_tokens": usage.cached },
    })
}

/// Answers to a prompt, from 1 to 8.
///
/// # Errors
/// There are none, or too many.
pub(crate) fn choices(n: Option<i64>) -> Result<usize, ApiError> {
    match n.unwrap_or(1) {
        n @ 1..=8 => Ok(n as usize),
        n => Err(ApiError::field("n", format!("n is {n}; it must be from 1 to 8"))),
    }
}

/// Likeliest tokens told with each.
///
/// # Errors
/// Too many.
pub(crate) fn likeliest(name: &str, count: Option<i64>) -> Result<usize, ApiError> {
    match count.unwrap_or(0) {
        count @ 0..=20 => Ok(count as usize),
        count => Err(ApiError::field(
            name,
            format!("{name} is {count}; it must be from 0 to 20"),
        )),
    }
}

/// What every piece of an answer of OpenAI's begins with.
pub(crate) struct Envelope {
    /// The answer's id.
    pub(crate) id: String,
    /// When it was asked for, in seconds since 1970.
    pub(crate) created: u64,
    /// The model that answers.
    pub(crate) model: String,
    /// What it is.
    pub(crate) object: &'static str,
    /// Whether a stream tells the usage.
    pub(crate) usage: bool,
}

impl Envelope {
    /// The piece with its choices.
    pub(crate) fn piece(&self, choices: Json) -> Map<String, Json> {
        let mut piece = Map::new();
        piece.insert("id".into(), self.id.clone().into());
        piece.insert("object".into(), self.object.into());
        piece.insert("created".into(), self.created.into());
        piece.insert("model".into(), self.model.clone().into());
        piece.insert(
            "system_fingerprint".into(),
            concat!("siskin-", env!("CARGO_PKG_VERSION")).into(),
        );
        piece.insert("choices".into(), choices);
        piece
    }

    /// The whole answer.
    pub(crate) fn whole(&self, choices: Vec<Json>, tokens: Usage, timings: &Timings) -> Response<Body> {
        let mut body = self.piece(choices.into());
        body.insert("usage".into(), usage(tokens));
        body.insert("timings".into(), serde_json::json!(timings));
        json_response(200, &body)
    }

    /// A piece of a stream with a choice; the last of a choice has its timings.
    pub(crate) fn chunk(&self, choice: Json, timings: Option<&Timings>) -> Map<String, Json> {
        let mut piece = self.piece(Json::Array(vec![choice]));
        if self.usage {
            piece.insert("usage".into(), Json::Null);
        }
        piece.extend(timings.map(|timings| ("timings".to_owned(), serde_json::json!(timings))));
        piece
    }

    /// Ends a stream.
    pub(crate) fn end(&self, sink: &Sink, tokens: Usage) {
        if self.usage {
            let mut piece = self.piece(Json::Array(Vec::new()));
            piece.insert("usage".into(), usage(tokens));
            sink.json(&piece);
        }
        sink.done();
    }
}
