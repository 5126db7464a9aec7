//! Metadata values on one line, and as JSON.

use serde_json::{Value as Json, json};
use siskin_model::gguf::{Array, Value, ValueType};

use crate::render::text;

/// A line of this many characters is not cut for a terminal. It is still a bound: texts may have megabytes.
pub(super) const UNLIMITED: usize = 1 << 16;

/// The number of entries shown of a list.
const FIRST: usize = 8;

macro_rules! each_array {
    ($array:expr, $list:ident => $body:expr) => {
        match $array {
            Array::U8($list) => $body,
            Array::I8($list) => $body,
            Array::U16($list) => $body,
            Array::I16($list) => $body,
            Array::U32($list) => $body,
            Array::I32($list) => $body,
            Array::F32($list) => $body,
            Array::Bool($list) => $body,
            Array::String($list) => $body,
            Array::U64($list) => $body,
            Array::I64($list) => $body,
            Array::F64($list) => $body,
        }
    };
}

macro_rules! each_scalar {
    ($value:expr, $one:ident => $body:expr, $array:ident => $other:expr) => {
        match $value {
            Value::U8($one) => $body,
            Value::I8($one) => $body,
            Value::U16($one) => $body,
            Value::I16($one) => $body,
            Value::U32($one) => $body,
            Value::I32($one) => $body,
            Value::F32($one) => $body,
            Value::Bool($one) => $body,
            Value::String($one) => $body,
            Value::U64($one) => $body,
            Value::I64($one) => $body,
            Value::F64($one) => $body,
            Value::Array($array) => $other,
        }
    };
}

/// The type as GGUF's documentation writes it: `u32`, `string`, `i32[512]`.
pub(super) fn type_name(value: &Value) -> String {
    let name = |ty: ValueType| format!("{ty:?}").to_lowercase();
    match value {
        Value::Array(array) => format!("{}[{}]", name(array.element_type()), array.len()),
        other => name(other.ty()),
    }
}

/// The value on one line of at most `width` characters.
pub(super) fn one_line(value: &Value, width: usize) -> String {
    match value {
        Value::String(text) => line_of_text(text, width),
        Value::Array(Array::String(texts)) => {
            // A text may have megabytes, so it is cut before it is escaped.
            let quoted = |text: &str| format!("\"{}\"", text::escaped(&start(text, width)));
            list(texts.iter().take(FIRST).map(quoted), texts.len(), width)
        }
        Value::Array(array) => {
            let shown: Vec<String> =
                each_array!(array, list => list.iter().take(FIRST).map(ToString::to_string).collect());
            list(shown.into_iter(), array.len(), width)
        }
        scalar => {
            each_scalar!(scalar, one => text::shortened(&one.to_string(), width), _array => String::new())
        }
    }
}

/// A text's first line; if there is much more text, preceded by its length. The whole text if there is no limit.
fn line_of_text(text: &str, width: usize) -> String {
    if width >= UNLIMITED && text.len() <= UNLIMITED {
        return text::escaped(text);
    }
    let first = text.lines().next().unwrap_or_default();
    // The length of a text of which most is visible tells nothing.
    if first.len() == text.len() && text.len() <= 4 * width {
        return text::shortened(&text::escaped(text), width);
    }
    let length = format!("{} characters: ", text.chars().count());
    let left = width.saturating_sub(length.len());
    length + &text::shortened(&(text::escaped(&start(first, left)) + "…"), left)
}

fn start(text: &str, chars: usize) -> String {
    text.chars().take(chars + 1).collect()
}

fn list(shown: impl Iterator<Item = String>, len: usize, width: usize) -> String {
    let more = if len > FIRST { ", …" } else { "" };
    text::shortened(&(shown.collect::<Vec<_>>().join(", ") + more), width)
}

/// The value; for a list longer than `FIRST`, its type, length and first entries.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Array(array) => {
            let first: Vec<Json> =
                each_array!(array, list => list.iter().take(FIRST).map(|x| json!(x)).collect());
            if array.len() <= FIRST {
                return first.into();
            }
            json!({"type": type_name(value), "length": array.len(), "first": first})
        }
        scalar => each_scalar!(scalar, one => json!(one), _array => Json::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_line() {
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let cases: [(Value, usize, &str, &str); 9] = [
            (7u32.into(), 40, "u32", "7"),
            (true.into(), 40, "bool", "true"),
            (f32::NAN.into(), 40, "f32", "NaN"),
            ("plain".into(), 40, "string", "plain"),
            ("a\x1b[2J".into(), 40, "string", "a\\u{1b}[2J"),
            ("one\ntwo".into(), 40, "string", "7 characters: one…"),
            (vec![1u8, 2].into(), 40, "u8[2]", "1, 2"),
            (
                many.into(),
                30,
                "string[100]",
                "\"0\", \"1\", \"2\", \"3\", \"4\", \"5\",…",
            ),
            (Vec::<String>::new().into(), 40, "string[0]", ""),
        ];
        for (value, width, ty, want) in cases {
            assert_eq!(type_name(&value), ty);
            assert_eq!(one_line(&value, width), want);
        }
        assert_eq!(one_line(&"one\ntwo".into(), UNLIMITED), "one\\ntwo");
        let whole = "x".repeat(500);
        assert_eq!(one_line(&whole.as_str().into(), UNLIMITED), whole);
        let huge = one_line(&"x".repeat(1 << 20).as_str().into(), UNLIMITED);
        assert!(huge.starts_with("1048576 characters: xxx") && huge.chars().count() == UNLIMITED);
        let long = one_line(&"x".repeat(500).as_str().into(), 40);
        assert!(
            long.starts_with("500 characters: xxx") && long.chars().count() == 40,
            "{long}"
        );
    }

    #[test]
    fn json_has_the_value_itself() {
        assert_eq!(json(&"plain".into()), json!("plain"));
        assert_eq!(json(&7u32.into()), json!(7));
        assert_eq!(json(&vec![1u8, 2].into()), json!([1, 2]));
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(
            json(&many.into()),
            json!({"type": "u32[100]", "length": 100, "first": [0, 1, 2, 3, 4, 5, 6, 7]})
        );
    }
}
