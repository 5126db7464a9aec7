//! Python's methods of texts.

use std::rc::Rc;

use crate::arguments::{Called, flag, int, required, text as text_argument};
use crate::run::Rendering;
use crate::text::Text;
use crate::value::Value;
use crate::{Res, fail, format, words};

pub(super) const METHODS: [&str; 44] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// `start:stop` of Python, within a length.
pub(super) fn bounds(start: i128, stop: i128, length: usize) -> std::ops::Range<usize> {
    let length = length as i128;
    let clamp = |bound: i128| match bound < 0 {
        true => bound.saturating_add(length).max(0),
        false => bound.min(length),
    };
    let (start, stop) = (clamp(start), clamp(stop));
    start as usize..stop.max(start) as usize
}

/// Calls a method of a text.
pub(super) fn call(run: &Rendering<'_>, text: &Rc<Text>, name: &'static str, called: Called) -> Res<Value> {
    run.meter.spend_bytes(text.len())?;
    if let Some(holds) = predicate(text.as_str(), name) {
        let [] = called.bind(name, [])?;
        return Ok(Value::Bool(holds));
    }
    if let Some(changed) = case(run, text, name)? {
        let [] = called.bind(name, [])?;
        return Ok(Value::text(changed));
    }
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = called.bind(name, ["chars"])?;
            let chars = text_argument(chars, name)?;
            Ok(Value::text(words::stripped(
                text,
                chars.as_deref().map(Text::as_str),
                name,
            )))
        }
        "split" | "rsplit" => {
            let [separator, most] = called.bind(name, ["sep", "maxsplit"])?;
            let separator = text_argument(separator, name)?;
            let most = usize::try_from(int(most, -1, name)?).unwrap_or(usize::MAX);
            if separator.as_ref().is_some_and(|separator| separator.is_empty()) {
                return fail("empty separator");
            }
            let separator = separator.as_deref().map(Text::as_str);
            let parts = words::split(text.as_str(), separator, most, name == "rsplit", &run.meter)?;
            texts(run, text, parts)
        }
        "splitlines" => {
            let [keep] = called.bind(name, ["keepends"])?;
            let lines = words::lines(text.as_str(), flag(keep, false), &run.meter)?;
            texts(run, text, lines)
        }
        "partition" | "rpartition" => {
            let [separator] = called.bind(name, ["sep"])?;
            let separator = one_text(separator, name)?;
            let (whole, separator) = (text.as_str(), separator.as_str());
            if separator.is_empty() {
                return fail("empty separator");
            }
            let at = if name == "partition" {
                whole.find(separator)
            } else {
                whole.rfind(separator)
            };
            let parts = match at {
                Some(at) => [0..at, at..at + separator.len(), at + separator.len()..whole.len()],
                None if name == "partition" => [0..whole.len(), 0..0, 0..0],
                None => [0..0, 0..0, 0..whole.len()],
            };
            let parts = parts.map(|part| Value::text(text.slice(part)));
            Value::tuple(parts.into(), &run.meter)
        }
        "startswith" | "endswith" => {
            let [affixes, start, stop] = called.bind(name, ["prefix", "start", "end"])?;
            let (from, part) = within(text, start, stop, name)?;
            let _ = from;
            let has = |affix: &Value| match affix.as_str() {
                Some(affix) if name == "startswith" => Ok(part.is_some_and(|part| part.starts_with(affix))),
                Some(affix) => Ok(part.is_some_and(|part| part.ends_with(affix))),
                None => fail(format!(
                    "{name} first arg must be str or a tuple of str, not {}",
                    affix.type_name()
                )),
            };
            let affixes = required(affixes, name)?;
            let Value::Tuple(list) = &affixes else {
                return has(&affixes).map(Value::Bool);
            };
            for affix in &list.items {
                if has(affix)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [wanted, start, stop] = called.bind(name, ["sub", "start", "end"])?;
            let wanted = one_text(wanted, name)?;
            let (from, part) = within(text, start, stop, name)?;
            search(name, part, from, wanted.as_str())
        }
        "replace" => {
            let [old, new, count] = called.bind(name, ["old", "new", "count"])?;
            let (old, new) = (one_text(old, name)?, one_text(new, name)?);
            words::replaced(text, &old, &new, int(count, -1, name)?, &run.meter).map(Value::text)
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = called.bind(name, ["affix"])?;
            let affix = one_text(affix, name)?;
            let left = match name {
                "removeprefix" => text.as_str().strip_prefix(affix.as_str()),
                _ => text.as_str().strip_suffix(affix.as_str()),
            };
            Ok(left.map_or_else(
                || Value::Text(Rc::clone(text)),
                |left| Value::text(text.part(left)),
            ))
        }
        "join" => {
            let [list] = called.bind(name, ["iterable"])?;
            let items = required(list, name)?.items(&run.meter)?;
            let mut joined = Text::default();
            for (at, item) in items.iter().enumerate() {
                let Some(item) = item.as_text() else {
                    return fail(format!(
                        "sequence item {at}: expected str instance, {} found",
                        item.type_name()
                    ));
                };
                run.meter.spend_bytes(text.len() + item.len())?;
                if at > 0 {
                    joined.push(text);
                }
                joined.push(item);
            }
            Ok(Value::text(joined))
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = called.bind(name, ["width", "fillchar"])?;
            let width = int(Some(required(width, name)?), 0, name)?;
            let fill = text_argument(fill, name)?.unwrap_or_else(|| Rc::new(Text::own(" ")));
            words::padded(text, width, &fill, name, &run.meter).map(Value::text)
        }
        "zfill" => {
            let [width] = called.bind(name, ["width"])?;
            words::zero_filled(text, int(Some(required(width, name)?), 0, name)?, &run.meter).map(Value::text)
        }
        "expandtabs" => {
            let [size] = called.bind(name, ["tabsize"])?;
            words::without_tabs(text, int(size, 8, name)?, &run.meter).map(Value::text)
        }
        "format" => format::braces(run, text, &called).map(Value::text),
        "format_map" => {
            let [map] = called.bind(name, ["mapping"])?;
            let Value::Map(map) = required(map, name)? else {
                return fail("format_map(): argument must be a mapping");
            };
            let named = map.entries.iter();
            let named = named.filter_map(|(key, value)| Some((key.as_str()?.into(), value.clone())));
            let called = Called {
                positional: Vec::new(),
                named: named.collect(),
            };
            format::braces(run, text, &called).map(Value::text)
        }
        _ => fail(format!("'str' object has no method {name}")),
    }
}

fn one_text(value: Option<Value>, name: &str) -> Res<Rc<Text>> {
    match required(value, name)? {
        Value::Text(text) => Ok(text),
        other => fail(format!(
            "{name}() argument must be str, not {}",
            other.type_name()
        )),
    }
}

fn texts(run: &Rendering<'_>, text: &Text, parts: Vec<&str>) -> Res<Value> {
    run.meter.spend(parts.len())?;
    Value::list(
        parts
            .into_iter()
            .map(|part| Value::text(text.part(part)))
            .collect(),
        &run.meter,
    )
}

/// The part between two character indices, and the index that it begins at; `None` if it begins after the end.
fn within<'a>(
    text: &'a Text,
    start: Option<Value>,
    stop: Option<Value>,
    name: &str,
) -> Res<(usize, Option<&'a str>)> {
    let none = |value: &Option<Value>| matches!(value, None | Some(Value::None));
    if none(&start) && none(&stop) {
        return Ok((0, Some(text.as_str())));
    }
    let start = if none(&start) { 0 } else { int(start, 0, name)? };
    let stop = if none(&stop) {
        i128::MAX
    } else {
        int(stop, 0, name)?
    };
    let whole = text.as_str();
    let count = whole.chars().count();
    if start > count as i128 {
        return Ok((count, None));
    }
    let range = bounds(start, stop, count);
    let byte = |char: usize| whole.char_indices().nth(char).map_or(whole.len(), |(at, _)| at);
    Ok((range.start, Some(&whole[byte(range.start)..byte(range.end)])))
}

fn search(name: &str, part: Option<&str>, from: usize, wanted: &str) -> Res<Value> {
    let found = match (name, part) {
        ("count", None) => return Ok(Value::Int(0)),
        ("count", Some(part)) => {
            let count = match wanted {
                "" => part.chars().count() + 1,
                wanted => part.matches(wanted).count(),
            };
            return Ok(Value::Int(count as i128));
        }
        (_, None) => None,
        ("find" | "index", Some(part)) => part.find(wanted).map(|at| part[..at].chars().count()),
        (_, Some(part)) => part.rfind(wanted).map(|at| part[..at].chars().count()),
    };
    match found {
        Some(at) => Ok(Value::Int((from + at) as i128)),
        None if name.ends_with("index") => fail("substring not found"),
        None => Ok(Value::Int(-1)),
    }
}

/// Methods that change the case.
fn case(run: &Rendering<'_>, text: &Text, name: &str) -> Res<Option<Text>> {
    Ok(Some(match name {
        "lower" => text.map_runs(str::to_lowercase),
        "casefold" => text.map_runs(|run| run.to_uppercase().to_lowercase()),
        "upper" => text.map_runs(str::to_uppercase),
        "title" => words::title(text),
        "capitalize" => words::capitalized(text),
        "swapcase" => text.map_chars(|c, out| match c.is_uppercase() {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }),
        _ => {
            run.meter.spend(0)?;
            return Ok(None);
        }
    }))
}

/// Methods that ask about the characters.
fn predicate(text: &str, name: &str) -> Option<bool> {
    let all = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    Some(match name {
        "isascii" => text.is_ascii(),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || is_written_high(c)),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(words::is_space),
        "islower" => words::is_lower(text),
        "isupper" => words::is_upper(text),
        "istitle" => {
            let (mut cased, mut any) = (false, false);
            for c in text.chars() {
                let upper = c.is_uppercase();
                if upper && cased || c.is_lowercase() && !cased {
                    return Some(false);
                }
                cased = upper || c.is_lowercase();
                any |= cased;
            }
            any
        }
        "isprintable" => text.chars().all(crate::repr::is_printable),
        "isidentifier" => {
            let first = text.chars().next();
            first.is_some_and(|c| c == '_' || c.is_alphabetic())
                && text.chars().all(|c| c == '_' || c.is_alphanumeric())
        }
        _ => return None,
    })
}

/// Whether the character is a decimal digit of some script: numeric, but no fraction, no Roman or circled number.
fn is_decimal(c: char) -> bool {
    let other = matches!(c,
        '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{2070}'..='\u{218b}' | '\u{2460}'..='\u{24ff}'
        | '\u{2776}'..='\u{2793}' | '\u{3007}' | '\u{3021}'..='\u{33ff}' | '\u{1f100}'..='\u{1f10c}');
    c.is_numeric() && !other
}

/// Superscript, subscript and circled digits.
fn is_written_high(c: char) -> bool {
    matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}')
}
