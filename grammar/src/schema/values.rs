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
