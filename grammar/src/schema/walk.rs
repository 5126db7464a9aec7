//! Every schema that can be reached from the root, checked.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::keywords::{Keyword, keyword};
use super::{formats, values};
use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// What the walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// JSON pointers of all schemas, each once.
    pub(crate) schemas: Vec<String>,
    /// Whether leaving out further properties cannot make a schema unsatisfiable.
    pub(crate) may_close: bool,
}

struct Place<'a> {
    pointer: String,
    schema: &'a Value,
    /// Levels since the root or the last reference.
    level: usize,
    /// Levels since the root.
    depth: usize,
}

struct Walk<'a> {
    root: &'a Value,
    known_only: bool,
    open: Vec<Place<'a>>,
    constants: usize,
    multiples: Vec<(u64, u32)>,
    combines: bool,
    found: Found,
}

/// Walks in the order of llguidance's recursion: first down, then on; a reference is followed once.
pub(crate) fn walk(root: &Value, known_only: bool) -> Result<Found, GrammarError> {
    let place = Place {
        pointer: String::new(),
        schema: root,
        level: 1,
        depth: 1,
    };
    let found = Found {
        may_close: true,
        ..Found::default()
    };
    let mut walk = Walk {
        root,
        known_only,
        open: vec![place],
        constants: 0,
        multiples: Vec::new(),
        combines: false,
        found,
    };
    let mut seen = HashSet::new();
    while let Some(place) = walk.open.pop() {
        if !seen.insert(place.pointer.clone()) {
            continue;
        }
        if seen.len() > limits::MAX_SUBSCHEMAS {
            let message = format!("the schema has more than {} schemas", limits::MAX_SUBSCHEMAS);
            return Err(GrammarError::new(ErrorKind::Limit, "", message));
        }
        walk.visit(&place)
            .map_err(|error| locate(error, &place.pointer))?;
        walk.found.schemas.push(place.pointer);
    }
    walk.check_multiples()?;
    Ok(walk.found)
}

fn locate(error: GrammarError, pointer: &str) -> GrammarError {
    GrammarError::new(error.kind(), format!("#{pointer}"), error.message())
}

fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T, GrammarError> {
    Err(GrammarError::new(kind, "", message))
}

impl<'a> Walk<'a> {
    fn visit(&mut self, place: &Place<'a>) -> Result<(), GrammarError> {
        if place.level > limits::MAX_SCHEMA_DEPTH {
            return Err(values::too_deep());
        }
        if place.depth > limits::MAX_REFERENCE_DEPTH {
            let message = format!(
                "the references lead more than {} levels deep",
                limits::MAX_REFERENCE_DEPTH
            );
            return refuse(ErrorKind::Limit, message);
        }
        let map = match place.schema {
            Value::Object(map) => map,
            Value::Bool(_) => return Ok(()),
            _ => return refuse(ErrorKind::Syntax, "a schema is an object or a boolean"),
        };
        self.note_closing(map);
        check_counted_properties(map)?;
        let first = self.open.len();
        for (name, value) in map {
            self.keyword(place, name, value)?;
        }
        // The last one pushed is the first one visited.
        self.open[first..].reverse();
        Ok(())
    }

    /// An object must not be closed if another schema adds properties to the same object.
    fn note_closing(&mut self, map: &Map<String, Value>) {
        let applies = |name: &str| map.contains_key(name);
        let combined = applies("anyOf") || applies("oneOf") || applies("$ref");
        let others = [
            "properties",
            "patternProperties",
            "additionalProperties",
            "required",
        ];
        let adds = others.into_iter().any(applies);
        let two =
            usize::from(applies("anyOf")) + usize::from(applies("oneOf")) + usize::from(applies("$ref")) > 1;
        if applies("allOf") || (combined && adds) || two {
            self.found.may_close = false;
        }
        self.combines |= applies("allOf") || combined;
    }

    fn keyword(&mut self, place: &Place<'a>, name: &str, value: &'a Value) -> Result<(), GrammarError> {
        let Some(keyword) = keyword(name) else {
            if self.known_only {
                return refuse(
                    ErrorKind::Unsupported,
                    format!("JSON Schema has no keyword `{name}`"),
                );
            }
            return Ok(());
        };
        match keyword {
            Keyword::Schema => self.push(place, &[name], value),
            Keyword::List => self.push_list(place, name, value)?,
            Keyword::SchemaOrList if value.is_array() => self.push_list(place, name, value)?,
            Keyword::SchemaOrList => self.push(place, &[name], value),
            Keyword::Map => self.push_map(place, name, value)?,
            Keyword::Reference => self.push_reference(place, value)?,
            Keyword::Constant => check_constant(name, value)?,
            Keyword::Constants => self.count_constants(name, value)?,
            Keyword::Bound => check_bound(name, value)?,
            Keyword::Multiple => self.note_multiple(value)?,
            Keyword::Items => check_count(name, value, limits::MAX_ITEMS)?,
            Keyword::Length => check_count(name, value, limits::MAX_LENGTH)?,
            Keyword::Pattern => check_pattern(value)?,
            Keyword::Format => formats::check(value, self.known_only)?,
            Keyword::Names => check_names(name, value)?,
            Keyword::Types => check_types(value)?,
            Keyword::Definitions | Keyword::Annotation => {}
            Keyword::UnlessFalse if *value == Value::Bool(false) => {}
            Keyword::Identity if place.pointer.is_empty() => {}
            Keyword::UnlessFalse | Keyword::Identity | Keyword::Refused => {
                return refuse(ErrorKind::Unsupported, format!("`{name}` cannot be enforced"));
            }
        }
        Ok(())
    }

    fn push(&mut self, place: &Place<'a>, path: &[&str], schema: &'a Value) {
        let mut pointer = place.pointer.clone();
        for name in path {
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        self.open.push(Place {
            pointer,
            schema,
            level: place.level + 1,
            depth: place.depth + 1,
        });
    }

    fn push_list(&mut self, place: &Place<'a>, name: &str, value: &'a Value) -> Result<(), GrammarError> {
        let Value::Array(list) = value else {
            return refuse(ErrorKind::Syntax, format!("`{name}` is not a list of schemas"));
        };
        if list.len() > limits::MAX_PROPERTIES {
            let message = format!("`{name}` has more than {} schemas", limits::MAX_PROPERTIES);
            return refuse(ErrorKind::Limit, message);
        }
        for (index, schema) in list.iter().enumerate() {
            self.push(place, &[name, &index.to_string()], schema);
        }
        Ok(())
    }

    fn push_map(&mut self, place: &Place<'a>, name: &str, value: &'a Value) -> Result<(), GrammarError> {
        let Value::Object(map) = value else {
            return refuse(ErrorKind::Syntax, format!("`{name}` is not an object of schemas"));
        };
        if map.len() > limits::MAX_PROPERTIES {
            let message = format!("`{name}` has more than {} schemas", limits::MAX_PROPERTIES);
            return refuse(ErrorKind::Limit, message);
        }
        for (key, schema) in map {
            if name == "patternProperties" {
                check_pattern(&Value::String(key.clone()))?;
            }
            self.push(place, &[name, key], schema);
        }
        Ok(())
    }

    fn push_reference(&mut self, place: &Place<'a>, value: &Value) -> Result<(), GrammarError> {
        let Some(text) = value.as_str() else {
            return refuse(ErrorKind::Syntax, "`$ref` is not a string");
        };
        let Some(pointer) = local_pointer(text) else {
            let message =
                format!("`$ref` to {text:?}: only references into the schema itself (\"#/…\") are followed");
            return refuse(ErrorKind::Unsupported, message);
        };
        let Some(schema) = self.root.pointer(&pointer) else {
            return refuse(
                ErrorKind::Syntax,
                format!("`$ref` to {text:?}, which the schema does not have"),
            );
        };
        self.open.push(Place {
            pointer,
            schema,
            level: 1,
            depth: place.depth + 1,
        });
        Ok(())
    }

    fn count_constants(&mut self, name: &str, value: &Value) -> Result<(), GrammarError> {
        let Value::Array(list) = value else {
            return refuse(ErrorKind::Syntax, format!("`{name}` is not a list"));
        };
        self.constants += list.len();
        if self.constants > limits::MAX_ENUM_VALUES {
            let message = format!("`enum` lists more than {} values", limits::MAX_ENUM_VALUES);
            return refuse(ErrorKind::Limit, message);
        }
        check_constant(name, value)
    }

    fn note_multiple(&mut self, value: &Value) -> Result<(), GrammarError> {
        let Some(multiple) = value.as_number().and_then(values::multiple) else {
            let message = format!(
                "`multipleOf` {value} is not a positive number of at most 6 decimals whose digits are at most {}",
                limits::MAX_MULTIPLE
            );
            return refuse(ErrorKind::Unsupported, message);
        };
        if !self.multiples.contains(&multiple) {
            self.multiples.push(multiple);
        }
        Ok(())
    }

    /// llguidance computes the least common multiple of two that apply to one number in 32 bits, unchecked.
    fn check_multiples(&self) -> Result<(), GrammarError> {
        let decimals = self
            .multiples
            .iter()
            .map(|(_, decimals)| *decimals)
            .max()
            .unwrap_or(0);
        let product = self
            .multiples
            .iter()
            .try_fold(limits::MAX_MULTIPLE, |product, (digits, own)| {
                product
                    .checked_mul(*digits)?
                    .checked_mul(10u64.checked_pow(decimals - own)?)
            });
        if self.combines
            && self.multiples.len() > 1
            && product.is_none_or(|product| product > u32::MAX.into())
        {
            return refuse(
                ErrorKind::Unsupported,
                "the `multipleOf` values together are too large",
            );
        }
        Ok(())
    }
}

/// llguidance writes an object out once for every property that may be the one that counts.
fn check_counted_properties(map: &Map<String, Value>) -> Result<(), GrammarError> {
    let counted = map.contains_key("minProperties") || map.contains_key("maxProperties");
    let properties = map
        .get("properties")
        .and_then(Value::as_object)
        .map_or(0, Map::len);
    if counted && properties > limits::MAX_COUNTED_PROPERTIES {
        let most = limits::MAX_COUNTED_PROPERTIES;
        let message =
            format!("an object with `minProperties` or `maxProperties` names more than {most} properties");
        return refuse(ErrorKind::Limit, message);
    }
    Ok(())
}

/// The JSON pointer of a reference into the same schema: after `#`, `%` escapes resolved.
pub(crate) fn local_pointer(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    if !(fragment.is_empty() || fragment.starts_with('/')) {
        return None;
    }
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    // "#/" is read as the root by llguidance and as the property "" by the specification.
    String::from_utf8(bytes).ok().filter(|pointer| pointer != "/")
}

fn check_constant(name: &str, value: &Value) -> Result<(), GrammarError> {
    match values::inexact(value) {
        Some(number) => refuse(
            ErrorKind::Unsupported,
            format!("`{name}` has {number}, which is not kept exactly"),
        ),
        None => Ok(()),
    }
}

fn check_bound(name: &str, value: &Value) -> Result<(), GrammarError> {
    match value {
        Value::Bool(_) if name.starts_with("exclusive") => Ok(()),
        Value::Number(number) if values::is_exact(number) => Ok(()),
        Value::Number(number) => refuse(
            ErrorKind::Unsupported,
            format!("`{name}` {number} is not kept exactly"),
        ),
        _ => refuse(ErrorKind::Syntax, format!("`{name}` is not a number")),
    }
}

fn check_count(name: &str, value: &Value, most: u64) -> Result<(), GrammarError> {
    match value.as_u64() {
        Some(count) if count <= most => Ok(()),
        Some(count) => refuse(ErrorKind::Limit, format!("`{name}` {count} is more than {most}")),
        None => refuse(
            ErrorKind::Syntax,
            format!("`{name}` is not a whole number from 0"),
        ),
    }
}

fn check_pattern(value: &Value) -> Result<(), GrammarError> {
    match value.as_str() {
        Some(text) if text.len() <= limits::MAX_PATTERN => Ok(()),
        Some(_) => refuse(
            ErrorKind::Limit,
            format!("a pattern has more than {} bytes", limits::MAX_PATTERN),
        ),
        None => refuse(ErrorKind::Syntax, "`pattern` is not a string"),
    }
}

fn check_names(name: &str, value: &Value) -> Result<(), GrammarError> {
    match value.as_array() {
        Some(names) if names.len() > limits::MAX_PROPERTIES => refuse(
            ErrorKind::Limit,
            format!("`{name}` has more than {} names", limits::MAX_PROPERTIES),
        ),
        Some(names) if names.iter().all(Value::is_string) => Ok(()),
        _ => refuse(ErrorKind::Syntax, format!("`{name}` is not a list of names")),
    }
}

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

fn check_types(value: &Value) -> Result<(), GrammarError> {
    let names = match value {
        Value::Array(names) if !names.is_empty() => names.as_slice(),
        name => std::slice::from_ref(name),
    };
    match names
        .iter()
        .find(|name| !name.as_str().is_some_and(|name| TYPES.contains(&name)))
    {
        Some(name) => refuse(ErrorKind::Syntax, format!("{name} is not a type")),
        None => Ok(()),
    }
}
