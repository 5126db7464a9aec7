//! Bounds of numbers that llguidance enforces as they are meant.

use serde_json::{Map, Number, Value};

use crate::limits;

/// Decimals that an excluded bound is moved by, at least.
const MIN_DECIMALS: usize = 6;
/// And at most: a double has no more.
const MAX_DECIMALS: usize = 14;

/// Bounds a number on both sides, so that it has at most 16 digits before the point and no exponent: small models repeat
/// digits without end, and `1e999` is JSON that no reader takes.
///
/// An excluded bound of a number that is not whole becomes an included one a little further in: llguidance 1.9.1 lets 7 be
/// more than 7 if the number must be less than 7.5.
pub(crate) fn bound(map: &mut Map<String, Value>) {
    if map.contains_key("const") || map.contains_key("enum") {
        return;
    }
    let named = |name: &str| match map.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(names)) => names.iter().any(|other| other == name),
        _ => false,
    };
    let (number, whole) = (named("number") || !map.contains_key("type"), named("integer"));
    if number {
        let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
        let decimals = bounds
            .iter()
            .filter_map(|name| map.get(*name))
            .map(decimals)
            .max()
            .unwrap_or(0);
        let decimals = decimals.clamp(MIN_DECIMALS, MAX_DECIMALS) + 1;
        include(map, ["minimum", "exclusiveMinimum"], 1.0, decimals);
        include(map, ["maximum", "exclusiveMaximum"], -1.0, decimals);
    }
    if map.contains_key("type") && (number || whole) {
        for (bound, excluded, most) in [
            ("minimum", "exclusiveMinimum", -limits::MAX_NUMBER),
            ("maximum", "exclusiveMaximum", limits::MAX_NUMBER),
        ] {
            if !map.contains_key(bound) && !map.contains_key(excluded) {
                map.insert(bound.to_owned(), most.into());
            }
        }
    }
}

/// Moves an excluded bound into the range by one of the last of `places` decimals; `direction` is 1 for the lower bound.
fn include(map: &mut Map<String, Value>, [bound, excluded]: [&str; 2], direction: f64, places: usize) {
    let included = map.get(bound).and_then(Value::as_f64);
    let limit = match map.remove(excluded) {
        Some(Value::Bool(true)) => included,
        Some(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    let Some(limit) = limit else { return };
    let moved = limit + direction * 10f64.powi(-(places as i32));
    // The bound that is further in counts, and its text has no more decimals than these.
    let moved = included.map_or(moved, |included| {
        if direction > 0.0 {
            included.max(moved)
        } else {
            included.min(moved)
        }
    });
    let moved = format!("{moved:.places$}").parse().unwrap_or(moved);
    if let Some(moved) = Number::from_f64(moved) {
        map.insert(bound.to_owned(), Value::Number(moved));
    }
}

fn decimals(value: &Value) -> usize {
    let text = value.as_f64().map_or(String::new(), |value| value.to_string());
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_bounded_and_excluded_bounds_are_moved() {
        let most = limits::MAX_NUMBER;
        let cases = [
            (
                json!({"type": "integer"}),
                json!({"type": "integer", "minimum": -most, "maximum": most}),
            ),
            (
                json!({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}),
                json!({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}),
            ),
            (
                json!({"type": "number", "exclusiveMinimum": 7, "exclusiveMaximum": 7.25}),
                json!({"type": "number", "minimum": 7.0000001, "maximum": 7.2499999}),
            ),
            (
                json!({"type": "number", "minimum": 1, "exclusiveMinimum": true, "maximum": 2}),
                json!({"type": "number", "minimum": 1.0000001, "maximum": 2}),
            ),
            (
                json!({"minimum": 1, "exclusiveMinimum": false}),
                json!({"minimum": 1}),
            ),
            (json!({"type": "string"}), json!({"type": "string"})),
            (
                json!({"type": "number", "const": 3}),
                json!({"type": "number", "const": 3}),
            ),
        ];
        for (before, after) in cases {
            let Value::Object(mut map) = before.clone() else {
                panic!("{before}")
            };
            bound(&mut map);
            assert_eq!(Value::Object(map), after, "{before}");
        }
    }
}
