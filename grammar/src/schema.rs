//! JSON schemas: what is enforced, what is an annotation, what is refused.
//!
//! [`prepare`] checks a client's schema and leaves only keywords that llguidance enforces, so that its own reading of
//! unknown, old or contradictory keywords never decides. The drafts are read as 2020-12; `items` as a list,
//! `additionalItems` and `exclusiveMinimum: true` have the meaning of the drafts that had them.

mod edit;
mod ends;
mod formats;
mod keywords;
mod numbers;
mod values;
mod walk;

use serde_json::Value;

use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// How a schema is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As it is: unknown keywords are annotations, and an object may have further properties unless it says otherwise.
    Plain,
    /// Unknown keywords are refused, and an object has only the properties that it names.
    Strict,
    /// A tool's parameters: an object with only the properties that it names.
    Parameters {
        /// Refuse unknown keywords.
        strict: bool,
    },
}

impl Reading {
    fn known_only(self) -> bool {
        matches!(self, Reading::Strict | Reading::Parameters { strict: true })
    }

    fn closes(self) -> bool {
        self != Reading::Plain
    }
}

impl From<bool> for Reading {
    fn from(strict: bool) -> Reading {
        if strict { Reading::Strict } else { Reading::Plain }
    }
}

/// The schema that llguidance gets, with the white space that [`crate::Form::compile`] documents.
///
/// # Errors
/// See [`crate::Form::compile`].
pub(crate) fn prepare(schema: &Value, reading: Reading) -> Result<Value, GrammarError> {
    let at_root = |kind, message: &str| GrammarError::new(kind, "", message);
    values::check_depth(schema)?;
    if values::compact_len(schema) > limits::MAX_BYTES {
        return Err(at_root(
            ErrorKind::Limit,
            &format!("the schema has more than {} bytes", limits::MAX_BYTES),
        ));
    }
    values::check_characters(schema)?;
    let mut root = match schema {
        Value::Bool(true) => Value::Object(serde_json::Map::new()),
        Value::Bool(false) => {
            return Err(at_root(
                ErrorKind::Unsatisfiable,
                "nothing validates against `false`",
            ));
        }
        Value::Object(_) => schema.clone(),
        _ => return Err(at_root(ErrorKind::Syntax, "a schema is an object or a boolean")),
    };
    if matches!(reading, Reading::Parameters { .. }) {
        edit::require_object(&mut root)?;
    }
    let found = walk::walk(&root, reading.known_only())?;
    ends::cut(&mut root, &found)?;
    edit::edit(&mut root, &found, reading.closes())?;
    Ok(root)
}

/// What llguidance's messages begin with or contain, and how they are said to readers who do not know its options.
const EXPLANATIONS: [(&str, ErrorKind, &str); 3] = [
    (
        "oneOf constraints are not supported",
        ErrorKind::Unsupported,
        "the alternatives of a `oneOf` may overlap; use `anyOf`, or give each alternative a required property with a \
         `const` of its own",
    ),
    (
        "Unable to determine if regex is empty",
        ErrorKind::TooComplex,
        "the pattern, format and lengths of a string are too complex together",
    ),
    (
        "Regex is empty",
        ErrorKind::Unsatisfiable,
        "no string has this pattern, format and length",
    ),
];

/// llguidance's refusal in this crate's words.
pub(crate) fn explain(error: GrammarError) -> GrammarError {
    match EXPLANATIONS
        .iter()
        .find(|(text, ..)| error.message().contains(text))
    {
        Some((_, kind, message)) => GrammarError::new(*kind, "", *message),
        None => error,
    }
}
