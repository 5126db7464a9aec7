//! Bodies of requests: JSON from strangers.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::error::ApiError;

/// Values inside values.
const DEPTH: usize = 64;

/// A body with fields that its type does not know.
pub(crate) trait Fields {
    /// The fields that nobody read.
    fn unknown(&self) -> &Map<String, Json>;
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
            param: field.map(str::to_owned),
            ..ApiError::field("", format!("the body is not what this path takes: {text}"))
        }
    })
}

/// The names of fields that nobody read, for a header; `None` if there are none.
pub(crate) fn ignored(unknown: &Map<String, Json>) -> Option<String> {
    let names = unknown
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| name.as_str());
    let clean =
        |name: &&str| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let names: Vec<&str> = names.filter(clean).take(32).collect();
    (!names.is_empty()).then(|| names.join(", "))
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
                    return Err(ApiError::field(
                        "",
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

    #[test]
    fn unknown_fields_are_named() {
        let fields = serde_json::json!({"a": 1, "b": null, "c\n": 2, "d,e": 1, "f": false});
        assert_eq!(
            ignored(fields.as_object().expect("an object")).as_deref(),
            Some("a, f")
        );
    }
}
