//! Fields that would change what an answer means, and are not done here: refused, unless they say nothing.

use serde_json::{Map, Value as Json};

use crate::error::ApiError;

/// Values that change nothing, besides null, false, 0 and what is empty.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Neutral {
    /// No others.
    None,
    /// A number.
    Number(f64),
    /// A text, or a list of it alone.
    Text(&'static str),
    /// An object with this `type`.
    Type(&'static str),
    /// Numbers up to this one.
    UpTo(f64),
}

/// A field's name, and its values that change nothing.
pub(crate) type Refused = (&'static str, Neutral);

/// Samplers of llama.cpp and ollama that siskin has not.
pub(crate) const SAMPLERS: &[Refused] = &[
    ("adaptive_target", Neutral::UpTo(0.0)),
    ("dry_multiplier", Neutral::None),
    ("dynatemp_range", Neutral::None),
    ("lora", Neutral::None),
    ("mirostat", Neutral::None),
    ("samplers", Neutral::None),
    ("tfs_z", Neutral::Number(1.0)),
    ("top_a", Neutral::None),
    ("top_n_sigma", Neutral::UpTo(0.0)),
    ("typical_p", Neutral::Number(1.0)),
    ("xtc_probability", Neutral::None),
];

/// Refuses the first field of `tables` that says something.
///
/// # Errors
/// There is one.
pub(crate) fn check(unknown: &Map<String, Json>, tables: &[&[Refused]]) -> Result<(), ApiError> {
    let wrong = tables.iter().copied().flatten().find(|(name, neutral)| {
        unknown
            .get(*name)
            .is_some_and(|value| !is_empty(value) && !neutral.is(value))
    });
    match wrong {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::field(
            *name,
            format!("{name} is not done here and would change the answer: leave it out"),
        )),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
    }
}

impl Neutral {
    fn is(self, value: &Json) -> bool {
        match self {
            Neutral::None => false,
            Neutral::Number(number) => value.as_f64() == Some(number),
            Neutral::UpTo(most) => value.as_f64().is_some_and(|number| number <= most),
            Neutral::Text(text) => match value {
                Json::Array(list) => list.iter().all(|value| value == text),
                value => value == text,
            },
            Neutral::Type(ty) => value.get("type").is_some_and(|value| value == ty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_nothing_is_not_refused() {
        const TABLE: &[Refused] = &[
            ("modalities", Neutral::Text("text")),
            ("thinking", Neutral::Type("disabled")),
        ];
        for (body, refused) in [
            (json!({}), None),
            (json!({"other": 1}), None),
            (
                json!({"mirostat": 0, "typical_p": 1.0, "top_n_sigma": -1, "lora": [], "samplers": null}),
                None,
            ),
            (json!({"mirostat": 2}), Some("mirostat")),
            (json!({"typical_p": 0.5}), Some("typical_p")),
            (json!({"top_n_sigma": 0.5}), Some("top_n_sigma")),
            (json!({"modalities": ["text"]}), None),
            (json!({"modalities": ["text", "audio"]}), Some("modalities")),
            (json!({"thinking": {"type": "disabled"}}), None),
            (json!({"thinking": {"type": "enabled"}}), Some("thinking")),
        ] {
            let error = check(body.as_object().expect("an object"), &[SAMPLERS, TABLE]).err();
            assert_eq!(error.and_then(|error| error.param).as_deref(), refused, "{body}");
        }
    }
}
