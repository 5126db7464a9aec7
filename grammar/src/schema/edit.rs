//! The changes to a schema before llguidance sees it.

use serde_json::{Map, Value, json};

use super::keywords::{is_enforced, keyword};
use super::walk::{Found, local_pointer};
use super::{formats, numbers, values};
use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// Bytes that are copied at most.
const MAX_EDITED: usize = 4 * limits::MAX_BYTES;
/// References that are copies of references, followed at most this often.
const MAX_INLINED: usize = 8;

/// Leaves only what is enforced, closes objects, and adds llguidance's options for white space.
pub(crate) fn edit(root: &mut Value, found: &Found, closes: bool) -> Result<(), GrammarError> {
    let mut aliases = Vec::new();
    let mut sorted = found.schemas.clone();
    sorted.sort_unstable();
    for pointer in &found.schemas {
        if let Some(map) = root.pointer_mut(pointer).and_then(Value::as_object_mut) {
            keep_enforced(map, pointer, &sorted);
            if closes && found.may_close {
                close(map);
            }
            numbers::bound(map);
            formats::replace(map);
            rename_reference(map, &mut aliases);
        }
    }
    inline_alternatives(root, found)?;
    define(root, &aliases)?;
    if let Value::Object(map) = root {
        map.insert("x-guidance".to_owned(), white_space());
    }
    Ok(())
}

/// Both separators are regular expressions.
fn white_space() -> Value {
    json!({
        "item_separator": ",[ ]?",
        "key_separator": ":[ ]?",
        "whitespace_flexible": false,
        "json_allowed_escapes": "nrbtf\\\"",
    })
}

/// A tool's arguments are an object.
pub(crate) fn require_object(root: &mut Value) -> Result<(), GrammarError> {
    let Value::Object(map) = root else { return Ok(()) };
    match map.get("type") {
        None => {
            map.insert("type".to_owned(), "object".into());
        }
        Some(Value::String(name)) if name == "object" => {}
        Some(Value::Array(names)) if names.iter().any(|name| name == "object") => {
            map.insert("type".to_owned(), "object".into());
        }
        Some(_) => {
            return Err(GrammarError::new(
                ErrorKind::Syntax,
                "#/type",
                "the parameters are not an object",
            ));
        }
    }
    Ok(())
}

/// Removes annotations, unless a reference leads into one.
fn keep_enforced(map: &mut Map<String, Value>, pointer: &str, sorted: &[String]) {
    map.retain(|name, _| {
        if keyword(name).is_some_and(is_enforced) {
            return true;
        }
        let here = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let below = format!("{here}/");
        let next = sorted.partition_point(|schema| *schema < below);
        sorted.get(next).is_some_and(|schema| schema.starts_with(&below))
            || sorted.binary_search(&here).is_ok()
    });
}

/// Lets an object have only the properties that it names, if it names all that it requires.
fn close(map: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = map.get("properties") else {
        return;
    };
    let open_already = map.contains_key("additionalProperties") || map.contains_key("patternProperties");
    let required = map.get("required").and_then(Value::as_array);
    let unnamed = required.is_some_and(|names| {
        names
            .iter()
            .any(|name| name.as_str().is_some_and(|name| !properties.contains_key(name)))
    });
    if !open_already && !unnamed {
        map.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

/// llguidance does not resolve escapes in references: those that have some get a name of their own.
fn rename_reference(map: &mut Map<String, Value>, aliases: &mut Vec<String>) {
    let Some(Value::String(reference)) = map.get_mut("$ref") else {
        return;
    };
    if !reference.contains(['~', '%']) {
        return;
    }
    let Some(pointer) = local_pointer(reference) else {
        return;
    };
    let at = aliases
        .iter()
        .position(|alias| *alias == pointer)
        .unwrap_or_else(|| {
            aliases.push(pointer);
            aliases.len() - 1
        });
    *reference = format!("#/$defs/{}", alias_name(at));
}

fn alias_name(at: usize) -> String {
    format!("siskin {at}")
}

fn define(root: &mut Value, aliases: &[String]) -> Result<(), GrammarError> {
    let mut budget = MAX_EDITED;
    let mut targets = Vec::with_capacity(aliases.len());
    for pointer in aliases {
        let target = root.pointer(pointer).unwrap_or(&Value::Bool(false));
        budget = budget
            .checked_sub(values::compact_len(target))
            .ok_or_else(too_long)?;
        targets.push(target.clone());
    }
    let Value::Object(map) = root else { return Ok(()) };
    if targets.is_empty() {
        return Ok(());
    }
    if let Value::Object(definitions) = map.entry("$defs").or_insert_with(|| json!({})) {
        definitions.extend(
            targets
                .into_iter()
                .enumerate()
                .map(|(at, target)| (alias_name(at), target)),
        );
    }
    Ok(())
}

/// Puts the schema itself in place of a reference in a `oneOf`: llguidance sees that alternatives exclude each other only
/// if it sees the alternatives.
fn inline_alternatives(root: &mut Value, found: &Found) -> Result<(), GrammarError> {
    let mut budget = MAX_EDITED;
    // What is referred to comes later in the list, and is complete before it is copied.
    for pointer in found.schemas.iter().rev() {
        let Some(Value::Array(options)) = root.pointer(&format!("{pointer}/oneOf")) else {
            continue;
        };
        let mut inlined = Vec::with_capacity(options.len());
        for option in options {
            // What is copied may itself be a copy of copies: its size is counted before.
            let target = followed(root, option);
            if !std::ptr::eq(target, option) {
                budget = budget
                    .checked_sub(values::compact_len(target))
                    .ok_or_else(too_long)?;
            }
            inlined.push(target.clone());
        }
        if let Some(Value::Array(options)) = root.pointer_mut(&format!("{pointer}/oneOf")) {
            *options = inlined;
        }
    }
    Ok(())
}

fn too_long() -> GrammarError {
    let message = format!("the schema has more than {MAX_EDITED} bytes with its references");
    GrammarError::new(ErrorKind::Limit, "", message)
}

fn followed<'a>(root: &'a Value, option: &'a Value) -> &'a Value {
    let mut option = option;
    for _ in 0..MAX_INLINED {
        let Some(map) = option.as_object().filter(|map| map.len() == 1) else {
            break;
        };
        let reference = map.get("$ref").and_then(Value::as_str).and_then(local_pointer);
        match reference.and_then(|pointer| root.pointer(&pointer)) {
            Some(target) => option = target,
            None => break,
        }
    }
    option
}
