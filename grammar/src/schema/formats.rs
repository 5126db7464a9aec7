//! Formats that llguidance reads too widely, as patterns.

use serde_json::{Map, Value, json};

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

const FORMATS: [(&str, &str); 3] = [
    ("date", concat!("^", date!(), "$")),
    ("date-time", concat!("^", date!(), "T", time!(), "$")),
    ("time", concat!("^", time!(), "$")),
];

/// Formats of OpenAPI that say nothing about which texts validate.
const ANNOTATIONS: [&str; 5] = ["double", "float", "int32", "int64", "password"];

/// Puts a pattern in place of a format. Another pattern of the same schema stays beside it.
pub(crate) fn replace(map: &mut Map<String, Value>) {
    let format = map.get("format").and_then(Value::as_str);
    if format.is_some_and(|name| ANNOTATIONS.contains(&name)) {
        map.remove("format");
        return;
    }
    let Some((_, pattern)) = FORMATS.iter().find(|(name, _)| Some(*name) == format) else {
        return;
    };
    map.remove("format");
    if !map.contains_key("pattern") {
        map.insert("pattern".to_owned(), (*pattern).into());
        return;
    }
    let both = json!({"type": "string", "pattern": pattern});
    let types = map.get("type").cloned();
    match map.entry("allOf").or_insert_with(|| json!([])) {
        // A format says nothing about what is not a string.
        Value::Array(all) if types.as_ref().is_some_and(|name| name == "string") => all.push(both),
        Value::Array(all) => all.push(json!({"pattern": pattern})),
        _ => {}
    }
}
