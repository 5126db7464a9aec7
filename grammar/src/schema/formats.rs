//! Formats that llguidance reads too widely, as patterns.

use serde_json::{Map, Value, json};

use crate::error::{ErrorKind, GrammarError};

/// RFC 3339 without leap seconds, which few readers take and which are right in one minute of a day only. February has 29
/// days in leap years only, there is no year 0, a fraction has at most 9 digits.
macro_rules! time {
    () => {
        "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    };
}

macro_rules! date {
    () => {
        concat!(
            "((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])",
            "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))",
            "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)"
        )
    };
}

/// What becomes of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// llguidance enforces it.
    Kept,
    /// This pattern is enforced in its place.
    Pattern(&'static str),
    /// Says nothing about which texts validate.
    Annotation,
    /// JSON Schema knows it, and it is not enforced.
    Refused,
}

/// Sorted by name: the formats of JSON Schema, and those of OpenAPI that are annotations.
const FORMATS: [(&str, Format); 24] = [
    ("date", Format::Pattern(concat!("^", date!(), "$"))),
    (
        "date-time",
        Format::Pattern(concat!("^", date!(), "T", time!(), "$")),
    ),
    ("double", Format::Annotation),
    ("duration", Format::Kept),
    ("email", Format::Kept),
    ("float", Format::Annotation),
    ("hostname", Format::Kept),
    ("idn-email", Format::Refused),
    ("idn-hostname", Format::Refused),
    ("int32", Format::Annotation),
    ("int64", Format::Annotation),
    ("ipv4", Format::Kept),
    ("ipv6", Format::Kept),
    ("iri", Format::Refused),
    ("iri-reference", Format::Refused),
    ("json-pointer", Format::Refused),
    ("password", Format::Annotation),
    ("regex", Format::Refused),
    ("relative-json-pointer", Format::Refused),
    ("time", Format::Pattern(concat!("^", time!(), "$"))),
    ("uri", Format::Kept),
    ("uri-reference", Format::Refused),
    ("uri-template", Format::Refused),
    ("uuid", Format::Kept),
];

fn format(name: &str) -> Option<Format> {
    FORMATS
        .binary_search_by_key(&name, |(name, _)| name)
        .ok()
        .map(|at| FORMATS[at].1)
}

/// Refuses a format that is not enforced. A format that JSON Schema does not know is an annotation unless `known_only`.
pub(crate) fn check(value: &Value, known_only: bool) -> Result<(), GrammarError> {
    let refuse = |kind, message| Err(GrammarError::new(kind, "", message));
    let Some(name) = value.as_str() else {
        return refuse(ErrorKind::Syntax, "`format` is not a string".to_owned());
    };
    match format(name) {
        Some(Format::Refused) => refuse(
            ErrorKind::Unsupported,
            format!("`format` {name:?} cannot be enforced"),
        ),
        None if known_only => refuse(
            ErrorKind::Unsupported,
            format!("JSON Schema has no `format` {name:?}"),
        ),
        _ => Ok(()),
    }
}

/// Puts a pattern in place of a format, and removes one that is an annotation. Another pattern of the same schema stays
/// beside it.
pub(crate) fn replace(map: &mut Map<String, Value>) {
    let pattern = match map.get("format").and_then(Value::as_str).map(format) {
        None | Some(Some(Format::Kept | Format::Refused)) => return,
        Some(Some(Format::Pattern(pattern))) => Some(pattern),
        Some(Some(Format::Annotation) | None) => None,
    };
    map.remove("format");
    let Some(pattern) = pattern else { return };
    if !map.contains_key("pattern") {
        map.insert("pattern".to_owned(), pattern.into());
        return;
    }
    if let Value::Array(all) = map.entry("allOf").or_insert_with(|| json!([])) {
        all.push(json!({"pattern": pattern}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_sorted_and_unique() {
        assert!(FORMATS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
