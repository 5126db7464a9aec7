//! The beginning of a call, up to its arguments.

/// What the beginning of a call's text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    /// It may become one.
    Partial,
    /// It is one: the tool's name, and how many bytes are before the arguments' brace.
    Whole { name: &'a str, length: usize },
    /// It is not the beginning of a call.
    Other,
}

/// A name has at most 64 bytes.
const LONGEST_NAME: usize = 64;
/// White space at one place, at most.
const LONGEST_SPACE: usize = 8;

/// Reads `{"name": "…", "arguments": ` with white space between; `key` is the key of the arguments. The brace of the
/// arguments must be there for it to be whole.
pub(super) fn head<'a>(text: &'a str, key: &str) -> Head<'a> {
    let mut rest = text;
    for part in ["{", "\"name\"", ":", "\""] {
        match literal(rest, part) {
            Ok(after) => rest = after,
            Err(head) => return head,
        }
    }
    let Some(end) = rest.find('"') else {
        let fits = rest.len() <= LONGEST_NAME && !rest.contains(['\\', '\n']);
        return if fits { Head::Partial } else { Head::Other };
    };
    let name = &rest[..end];
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(['\\', '\n']) {
        return Head::Other;
    }
    rest = &rest[end + 1..];
    for part in [",", "\"", key, "\"", ":"] {
        let after = if part == key {
            exactly(rest, part)
        } else {
            literal(rest, part)
        };
        match after {
            Ok(after) => rest = after,
            Err(head) => return head,
        }
    }
    match literal(rest, "{") {
        Ok(after) => Head::Whole {
            name,
            length: text.len() - after.len() - 1,
        },
        Err(head) => head,
    }
}

/// What follows white space and `part`.
fn literal<'a>(text: &'a str, part: &str) -> Result<&'a str, Head<'a>> {
    let rest = text.trim_start_matches([' ', '\n', '\r', '\t']);
    if text.len() - rest.len() > LONGEST_SPACE {
        return Err(Head::Other);
    }
    exactly(rest, part)
}

fn exactly<'a>(text: &'a str, part: &str) -> Result<&'a str, Head<'a>> {
    match text.strip_prefix(part) {
        Some(after) => Ok(after),
        None if part.starts_with(text) => Err(Head::Partial),
        None => Err(Head::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_up_to_the_brace_of_the_arguments() {
        let whole = "\n{\"name\": \"a-b\", \"arguments\": {";
        assert_eq!(
            head(whole, "arguments"),
            Head::Whole {
                name: "a-b",
                length: whole.len() - 1
            }
        );
        for end in 0..whole.len() {
            assert_eq!(
                head(&whole[..end], "arguments"),
                Head::Partial,
                "{:?}",
                &whole[..end]
            );
        }
        let others = [
            "{\"name\": \"a\", \"parameters\": {",
            "{\"nome\"",
            "{\"name\": \"\", ",
            "{\"name\": \"a\\n",
            "{\"name\": 1",
            "{\"name\": \"a\", \"arguments\": [",
            "             ",
            "x",
        ];
        for other in others {
            assert_eq!(head(other, "arguments"), Head::Other, "{other}");
        }
    }
}
