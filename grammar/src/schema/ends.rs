//! Schemas that need themselves without end: a text that came into one could never be finished.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::walk::{Found, local_pointer};
use crate::error::{ErrorKind, GrammarError};

/// Rounds in which the answer must be found. Two are enough unless references go back and forth.
const MAX_ROUNDS: usize = 64;

const SCALARS: [&str; 5] = ["string", "number", "integer", "boolean", "null"];

struct Ends<'a> {
    /// The place of every schema in the list.
    places: HashMap<&'a str, usize>,
    known: Vec<bool>,
}

/// Puts `false` in place of every schema that no finite text validates against, if that follows from its references. The
/// others that cannot be satisfied are left to llguidance.
///
/// # Errors
/// The root is one of them, or the references are too entangled to tell.
pub(crate) fn cut(root: &mut Value, found: &Found) -> Result<(), GrammarError> {
    let known = known(root, found)?;
    let dead = found
        .schemas
        .iter()
        .zip(known)
        .filter(|(_, ends)| !ends)
        .map(|(pointer, _)| pointer);
    for pointer in dead {
        if pointer.is_empty() {
            let message = "no finite text is valid: the schema always needs itself";
            return Err(GrammarError::new(ErrorKind::Unsatisfiable, "#", message));
        }
        if let Some(schema) = root.pointer_mut(pointer) {
            *schema = Value::Bool(false);
        }
    }
    Ok(())
}

/// Which of the schemas a finite text validates against.
fn known(root: &Value, found: &Found) -> Result<Vec<bool>, GrammarError> {
    let places = found
        .schemas
        .iter()
        .enumerate()
        .map(|(place, pointer)| (pointer.as_str(), place))
        .collect();
    let mut ends = Ends {
        places,
        known: vec![false; found.schemas.len()],
    };
    for _ in 0..MAX_ROUNDS {
        let mut grown = false;
        // What is deeper comes later in the list.
        for (place, pointer) in found.schemas.iter().enumerate().rev() {
            if !ends.known[place]
                && root
                    .pointer(pointer)
                    .is_none_or(|schema| ends.schema(schema, pointer))
            {
                ends.known[place] = true;
                grown = true;
            }
        }
        if !grown {
            return Ok(ends.known);
        }
    }
    Err(GrammarError::new(
        ErrorKind::TooComplex,
        "",
        "the references of this schema are too entangled",
    ))
}

impl Ends<'_> {
    fn schema(&self, schema: &Value, pointer: &str) -> bool {
        let Value::Object(map) = schema else { return true };
        let below = |name: &str, at: usize| self.at(&format!("{pointer}/{name}/{at}"));
        let count = |name: &str| map.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        let refers = map.get("$ref").and_then(Value::as_str).and_then(local_pointer);
        refers.is_none_or(|target| self.at(&target))
            && (0..count("allOf")).all(|at| below("allOf", at))
            && ["anyOf", "oneOf"]
                .into_iter()
                .all(|name| count(name) == 0 || (0..count(name)).any(|at| below(name, at)))
            && self.own(map, pointer)
    }

    /// Whether the keywords of the schema itself let a text end.
    fn own(&self, map: &Map<String, Value>, pointer: &str) -> bool {
        let allows = |name: &str| match map.get("type") {
            Some(Value::String(only)) => only == name,
            Some(Value::Array(names)) => names.iter().any(|other| other == name),
            _ => true,
        };
        map.contains_key("const")
            || map.contains_key("enum")
            || SCALARS.into_iter().any(allows)
            || (allows("object") && self.object(map, pointer))
            || (allows("array") && self.array(map, pointer))
    }

    fn object(&self, map: &Map<String, Value>, pointer: &str) -> bool {
        let required = map
            .get("required")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        required.iter().filter_map(Value::as_str).all(|name| {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            self.at(&format!("{pointer}/properties/{escaped}"))
        })
    }

    fn array(&self, map: &Map<String, Value>, pointer: &str) -> bool {
        let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
        let list = |name: &str| map.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        let (name, first) = if list("items") > 0 {
            ("items", list("items"))
        } else {
            ("prefixItems", list("prefixItems"))
        };
        let rest = if name == "items" {
            "additionalItems"
        } else {
            "items"
        };
        (0..first.min(least)).all(|at| self.at(&format!("{pointer}/{name}/{at}")))
            && (least <= first || self.at(&format!("{pointer}/{rest}")))
    }

    /// Whether the schema at `pointer` is known to end; one that is not there allows everything.
    fn at(&self, pointer: &str) -> bool {
        self.places.get(pointer).is_none_or(|place| self.known[*place])
    }
}
