//! Fields that ollama's requests have in common: options, forms, and how long a model is kept.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use siskin_grammar::Form;
use siskin_runtime::SamplerConfig;

use crate::answer::Ask;
use crate::api::openai::common::{self, Sampling, Stop};
use crate::api::openai::messages;
use crate::api::refused;
use crate::error::ApiError;
use crate::live::Live;

/// A model is kept no longer than this for a client; the service's own limit may be shorter.
const LONGEST_KEEP: Duration = Duration::from_secs(24 * 3600);

/// The options of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Options {
    #[serde(flatten)]
    sampling: Sampling,
    /// Tokens to draw at most; 0 and less for as many as fit.
    num_predict: Option<i64>,
    /// Texts that end an answer.
    stop: Option<Stop>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    pub(super) unknown: Map<String, Json>,
}

/// Options, checked.
pub(super) struct Checked {
    pub(super) sampler: SamplerConfig,
    pub(super) max_tokens: Option<u32>,
    pub(super) stop: Vec<String>,
    pub(super) bias: Vec<(siskin_runtime::Token, f32)>,
    pub(super) ignore_end: bool,
}

impl Options {
    /// Checks them.
    ///
    /// # Errors
    /// A number is out of its range, or an option would change the answer and is not known here.
    pub(super) fn check(self, live: &Live, defaults: &SamplerConfig) -> Result<Checked, ApiError> {
        refused::check(&self.unknown, &[refused::SAMPLERS])?;
        Ok(Checked {
            sampler: self.sampling.config(defaults)?,
            max_tokens: match self.num_predict {
                Some(most) if most > 0 => Some(u32::try_from(most).unwrap_or(u32::MAX)),
                _ => None,
            },
            stop: common::stops(self.stop)?,
            bias: self.sampling.bias(live)?,
            ignore_end: self.sampling.ignore_eos.unwrap_or(false),
        })
    }
}

impl Checked {
    /// An ask with these options; with each token so many of the likeliest are told, if any.
    pub(super) fn of(self, ask: Ask, logprobs: Option<usize>) -> Ask {
        Ask {
            max_tokens: self.max_tokens,
            bias: self.bias,
            stop: [self.stop, ask.stop].concat(),
            ignore_end: self.ignore_end,
            logprobs,
            ..ask
        }
    }
}

/// The form that `format` asks for: none, "json", or a schema.
///
/// # Errors
/// It is something else.
pub(super) fn form(format: Option<&Json>) -> Result<Option<Form>, ApiError> {
    match format {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) if text == "json" => Ok(Some(Form::JsonObject)),
        Some(schema @ Json::Object(_)) => messages::form(None, None, Some(schema)),
        Some(_) => Err(ApiError::field("format", "format must be \"json\" or a schema")),
    }
}

/// Refuses to think: no model here does.
///
/// # Errors
/// It is asked for.
pub(super) fn check_think(think: Option<&Json>, live: &Live) -> Result<(), ApiError> {
    match think {
        None | Some(Json::Null | Json::Bool(false)) => Ok(()),
        Some(_) => Err(ApiError::field(
            "think",
            format!("{:?} does not support thinking", live.name),
        )),
    }
}

/// How long a model is to be kept after an answer: a number of seconds, or a text such as `5m`; negative for as long as
/// may be, 0 for not at all.
///
/// # Errors
/// It is not a time.
pub(super) fn keep_alive(value: Option<&Json>) -> Result<Option<Duration>, ApiError> {
    let seconds = match value {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::Number(number)) => number.as_f64(),
        Some(Json::String(text)) => seconds(text),
        Some(_) => None,
    };
    match seconds.filter(|seconds| seconds.is_finite()) {
        Some(seconds) if seconds < 0.0 => Ok(Some(LONGEST_KEEP)),
        Some(seconds) => Ok(Some(
            Duration::try_from_secs_f64(seconds)
                .unwrap_or(LONGEST_KEEP)
                .min(LONGEST_KEEP),
        )),
        None => Err(ApiError::field(
            "keep_alive",
            "keep_alive must be seconds, or a time such as \"5m\" or \"1h30m\"",
        )),
    }
}

/// Seconds of a time as Go writes it, such as `1h30m`; a number alone is seconds.
fn seconds(text: &str) -> Option<f64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    if let Ok(number) = rest.parse::<f64>() {
        return Some(sign * number);
    }
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        sum += number * unit;
        rest = &rest[end..];
    }
    Some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_seconds_or_texts() {
        let cases = [
            (json!(null), Some(None)),
            (json!(300), Some(Some(300.0))),
            (json!(0), Some(Some(0.0))),
            (json!(-1), Some(Some(86400.0))),
            (json!(1e308), Some(Some(86400.0))),
            (json!("5m"), Some(Some(300.0))),
            (json!("300s"), Some(Some(300.0))),
            (json!("1h30m"), Some(Some(5400.0))),
            (json!("1.5s"), Some(Some(1.5))),
            (json!("100ms"), Some(Some(0.1))),
            (json!("-1"), Some(Some(86400.0))),
            (json!("-1m"), Some(Some(86400.0))),
            (json!("60"), Some(Some(60.0))),
            (json!(""), Some(Some(0.0))),
            (json!("soon"), None),
            (json!("5"), Some(Some(5.0))),
            (json!("5x"), None),
            (json!("nan"), None),
            (json!("1e999"), None),
            (json!([]), None),
            (json!(true), None),
        ];
        for (value, expected) in cases {
            let time = keep_alive(Some(&value)).ok();
            let seconds = time.map(|time| time.map(|time| time.as_secs_f64()));
            assert_eq!(seconds, expected, "{value}");
        }
    }
}
