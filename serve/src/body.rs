//! Bodies of requests: JSON from strangers.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::error::{ApiError, Kind};

/// Values inside values.
const DEPTH: usize = 64;

/// A body with fields that its type does not know.
pub(crate) trait Fields {
    /// The fields that nobody read.
    fn unknown(&self) -> &Map<String, Json>;

    /// The same of a field that is an object: its name, and its fields.
    fn unknown_within(&self) -> Option<(&'static str, &Map<String, Json>)> {
        None
    }
}

/// Reads a body.
///
/// # Errors
/// It is not JSON, nests too deeply, or a field has the wrong type or is missing.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    check_depth(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        // serde names missing and unknown fields in backquotes.
        let field = text
            .split('`')
            .nth(1)
            .filter(|_| text.starts_with("missing field"));
        ApiError {
            param: field.map(str::to_owned).or_else(|| wrong_field::<T>(bytes)),
            ..ApiError::new(
                Kind::Invalid,
                format!("the body is not what this path takes: {text}"),
            )
        }
    })
}

/// The field without which the body would be read, or would lack just that field: serde does not name it.
fn wrong_field<T: DeserializeOwned>(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 64 << 10;
    const MOST: usize = 64;
    let body = (bytes.len() <= LONGEST)
        .then(|| serde_json::from_slice(bytes).ok())
        .flatten();
    let Some(Json::Object(fields)) =
        body.filter(|body: &Json| body.as_object().is_some_and(|map| map.len() <= MOST))
    else {
        return None;
    };
    let without = |name: &String| {
        let others = fields.iter().filter(|(other, _)| *other != name);
        let others = others
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        serde_json::from_value::<T>(Json::Object(others))
            .err()
            .map(|error| error.to_string())
    };
    let mut needed = None;
    for name in fields.keys() {
        match without(name) {
            None => return Some(name.clone()),
            Some(error) if error.starts_with(&format!("missing field `{name}`")) => {
                needed = Some(name.clone())
            }
            Some(_) => {}
        }
    }
    needed
}

/// The names of fields that nobody read, for a header; `None` if there are none.
pub(crate) fn ignored(fields: &impl Fields) -> Option<String> {
    let own = names(fields.unknown()).map(str::to_owned);
    let within = fields
        .unknown_within()
        .map(|(outer, map)| names(map).map(move |name| format!("{outer}.{name}")));
    let names: Vec<String> = own.chain(within.into_iter().flatten()).take(32).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn names(unknown: &Map<String, Json>) -> impl Iterator<Item = &str> {
    let clean =
        |name: &&str| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    unknown
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| name.as_str())
        .filter(clean)
}

/// Counts brackets outside of strings, before anything recurses.
fn check_depth(bytes: &[u8]) -> Result<(), ApiError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > DEPTH {
                    return Err(ApiError::new(
                        Kind::Invalid,
                        format!("the body nests more than {DEPTH} values"),
                    ));
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_checked_before_anything_recurses() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse::<Json>(nested(64).as_bytes()).is_ok());
        assert!(parse::<Json>(nested(65).as_bytes()).is_err());
        assert!(parse::<Json>("[".repeat(1_000_000).as_bytes()).is_err());
        let in_text = format!("{:?}", "[".repeat(100));
        assert!(parse::<Json>(in_text.as_bytes()).is_ok());
        assert!(parse::<Json>(br#""\"[[""#).is_ok());
    }

    struct Nested(Map<String, Json>, Map<String, Json>);

    impl Fields for Nested {
        fn unknown(&self) -> &Map<String, Json> {
            &self.0
        }

        fn unknown_within(&self) -> Option<(&'static str, &Map<String, Json>)> {
            Some(("options", &self.1))
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let map = |value: Json| value.as_object().expect("an object").clone();
        let own = map(serde_json::json!({"a": 1, "b": null, "c\n": 2, "d,e": 1, "f": false}));
        let fields = Nested(own, map(serde_json::json!({"x": 1})));
        assert_eq!(ignored(&fields).as_deref(), Some("a, f, options.x"));
    }

    #[test]
    fn a_field_of_a_wrong_type_is_named() {
        #[derive(serde::Deserialize)]
        #[allow(dead_code)]
        struct Both {
            a: u8,
            #[serde(flatten)]
            rest: Rest,
        }
        #[derive(serde::Deserialize)]
        #[allow(dead_code)]
        struct Rest {
            b: Option<u8>,
        }
        for (body, field) in [
            (r#"{"a": "x"}"#, Some("a")),
            (r#"{"a": 1, "b": "x"}"#, Some("b")),
            (r#"{"b": 1}"#, Some("a")),
            ("{", None),
            ("[]", None),
        ] {
            let error = parse::<Both>(body.as_bytes()).err().expect("an error");
            assert_eq!(error.param.as_deref(), field, "{body}");
        }
    }
}
