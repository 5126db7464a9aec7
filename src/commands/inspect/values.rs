//! Metadata values on one line, and as JSON.

use serde_json::{Value as Json, json};
use siskin_model::gguf::{Array, Value, ValueType};

use crate::render::text;

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

/// A text's first line; if there is more text, preceded by its length.
fn line_of_text(text: &str, width: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    if first.len() == text.len() && text.len() <= width {
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

/// Key, type and value; for a list longer than `FIRST`, its length and first entries.
pub(super) fn json(key: &str, value: &Value) -> Json {
    let ty = format!("{:?}", value.ty()).to_lowercase();
    match value {
        Value::Array(array) => {
            let elements = format!("{:?}", array.element_type()).to_lowercase();
            let first: Vec<Json> =
                each_array!(array, list => list.iter().take(FIRST).map(|x| json!(x)).collect());
            let name = if array.len() > FIRST { "first" } else { "value" };
            json!({"key": key, "type": ty, "elements": elements, "length": array.len(), name: first})
        }
        scalar => {
            let value = each_scalar!(scalar, one => json!(one), _array => Json::Null);
            json!({"key": key, "type": ty, "value": value})
        }
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
        let long = one_line(&"x".repeat(500).as_str().into(), 40);
        assert!(
            long.starts_with("500 characters: xxx") && long.chars().count() == 40,
            "{long}"
        );
    }
}
