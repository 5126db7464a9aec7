//! Checks of plain JSON values.

use serde_json::{Number, Value};

use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// A schema takes two levels of JSON: the object and the map or list that it is in.
const MAX_JSON_DEPTH: usize = 3 * limits::MAX_SCHEMA_DEPTH;

/// Refuses what is nested too deeply, without recursion: what follows may recurse.
pub(crate) fn check_depth(value: &Value) -> Result<(), GrammarError> {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_JSON_DEPTH {
            return Err(too_deep());
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(map) => open.extend(map.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

/// Refuses texts and patterns with characters that have no short escape in JSON: an answer has no `\u` escapes, so none
/// of its strings could have them. Annotations may have any.
pub(crate) fn check_characters(schema: &Value) -> Result<(), GrammarError> {
    const ANNOTATIONS: [&str; 5] = ["title", "description", "$comment", "default", "examples"];
    let has_no_escape = |c: char| c == '\u{7f}' || c < ' ' && !"\n\r\t\u{8}\u{c}".contains(c);
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if text.chars().any(has_no_escape) || names_control_character(text) => {
                return Err(GrammarError::new(
                    ErrorKind::Unsupported,
                    "",
                    "a text or pattern has a control character, which no string of an answer can have",
                ));
            }
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                let values = map.iter().filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str()));
                open.extend(values.map(|(_, value)| value));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a pattern writes a control character as `\x01`, `\u0001` or `\cA`. A text that is no pattern and has these
/// letters is refused too.
fn names_control_character(text: &str) -> bool {
    let after = |escape: &str| -> Vec<&str> { text.split(escape).skip(1).collect() };
    let control = |digits: &str| {
        digits
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .is_some_and(|code| code == 0x7f || code < 0x20 && !matches!(code, 8 | 9 | 10 | 12 | 13))
    };
    let short = after("\\x").into_iter().chain(after("\\u00")).any(control);
    let letter = after("\\c")
        .into_iter()
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    short || letter
}

pub(crate) fn too_deep() -> GrammarError {
    let message = format!(
        "the schema is nested more than {} levels deep",
        limits::MAX_SCHEMA_DEPTH
    );
    GrammarError::new(ErrorKind::Limit, "", message)
}

/// The bytes of `value` as compact JSON. Its depth is checked.
pub(crate) fn compact_len(value: &Value) -> usize {
    value.to_string().len()
}

/// Whether a double has exactly this number, and no bound or constant changes on its way into a grammar.
pub(crate) fn is_exact(number: &Number) -> bool {
    number
        .as_f64()
        .is_some_and(|value| value.abs() <= limits::MAX_NUMBER && has_few_digits(value))
}

/// Whether `value` has at most 15 decimals.
fn has_few_digits(value: f64) -> bool {
    let text = value.abs().to_string();
    text.split_once('.')
        .is_none_or(|(_, decimals)| decimals.len() <= 15)
}

/// The first number in `value` that is not exact.
pub(crate) fn inexact(value: &Value) -> Option<&Number> {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Number(number) if !is_exact(number) => return Some(number),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.values()),
            _ => {}
        }
    }
    None
}

/// `multipleOf` as digits and the number of decimals: 0.25 is (25, 2).
pub(crate) fn multiple(number: &Number) -> Option<(u64, u32)> {
    let value = number.as_f64()?;
    if !(value > 0.0 && value <= limits::MAX_MULTIPLE as f64) {
        return None;
    }
    // The same steps as llguidance's, so that both come to the same digits.
    let (mut scaled, mut decimals) = (value, 0);
    while scaled.fract() != 0.0 {
        scaled *= 10.0;
        decimals += 1;
        if decimals > 6 {
            return None;
        }
    }
    (scaled <= limits::MAX_MULTIPLE as f64).then_some((scaled as u64, decimals))
}
