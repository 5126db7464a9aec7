//! The filter `tojson` as transformers defines it: Python's `json.dumps`, not Jinja's escaped form.

use crate::arguments::{Called, flag};
use crate::number;
use crate::run::Rendering;
use crate::text::Text;
use crate::value::{Value, order, sort};
use crate::{Res, fail};

struct Style {
    ascii: bool,
    indent: Option<Text>,
    item: Text,
    key: Text,
    sorted: bool,
}

/// `value | tojson(ensure_ascii, indent, separators, sort_keys)`.
pub(crate) fn tojson(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let parameters = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] = called.bind("tojson", parameters)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Text(text)) => Some((*text).clone()),
        Some(other) => match other.as_int() {
            Some(width) => {
                let width = usize::try_from(width).unwrap_or(0);
                run.meter.spend_bytes(width)?;
                Some(Text::own(" ".repeat(width)))
            }
            None => return fail("tojson: indent must be a number or a text"),
        },
    };
    let (item, key) = match separators {
        None | Some(Value::None) => {
            let item = if indent.is_some() { "," } else { ", " };
            (Text::own(item), Text::own(": "))
        }
        Some(pair) => match pair.items(&run.meter)?.as_slice() {
            [Value::Text(item), Value::Text(key)] => ((**item).clone(), (**key).clone()),
            _ => return fail("tojson: separators must be two texts"),
        },
    };
    let style = Style {
        ascii: flag(ascii, false),
        indent,
        item,
        key,
        sorted: flag(sorted, false),
    };
    let mut out = Text::default();
    write(run, value, &style, 0, &mut out)?;
    Ok(Value::text(out))
}

fn write(run: &Rendering<'_>, value: &Value, style: &Style, level: usize, out: &mut Text) -> Res<()> {
    run.meter.spend(1)?;
    match value {
        Value::None => out.push_str("null", false),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }, false),
        Value::Int(value) => out.push_str(&value.to_string(), false),
        Value::Float(value) => out.push_str(&float(*value), false),
        Value::Text(text) => string(run, text, style.ascii, out)?,
        Value::List(list) | Value::Tuple(list) => {
            out.push_str("[", false);
            for (at, item) in list.items.iter().enumerate() {
                separate(run, style, at > 0, level + 1, out)?;
                write(run, item, style, level + 1, out)?;
            }
            close(run, style, list.items.is_empty(), level, "]", out)?;
        }
        Value::Map(map) => {
            let mut entries: Vec<&(Value, Value)> = map.entries.iter().collect();
            if style.sorted {
                sort(&mut entries, &mut |a, b| {
                    Ok(order(&a.0, &b.0, &run.meter)? == Some(std::cmp::Ordering::Less))
                })?;
            }
            out.push_str("{", false);
            for (at, (key, value)) in entries.iter().enumerate() {
                separate(run, style, at > 0, level + 1, out)?;
                match key {
                    Value::Text(key) => string(run, key, style.ascii, out)?,
                    Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                        out.push_str("\"", false);
                        write(run, key, style, level, out)?;
                        out.push_str("\"", false);
                    }
                    other => {
                        let name = other.type_name();
                        return fail(format!("keys must be str, int, float, bool or None, not {name}"));
                    }
                }
                out.push(&style.key);
                write(run, value, style, level + 1, out)?;
            }
            close(run, style, entries.is_empty(), level, "}", out)?;
        }
        other => {
            return fail(format!(
                "Object of type {} is not JSON serializable",
                other.type_name()
            ));
        }
    }
    Ok(())
}

fn float(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => (if value > 0.0 { "Infinity" } else { "-Infinity" }).into(),
        value => number::float(value),
    }
}

/// What precedes an item.
fn separate(run: &Rendering<'_>, style: &Style, after: bool, level: usize, out: &mut Text) -> Res<()> {
    if after {
        run.meter.spend_bytes(style.item.len())?;
        out.push(&style.item);
    }
    line(run, style, level, out)
}

fn close(
    run: &Rendering<'_>,
    style: &Style,
    empty: bool,
    level: usize,
    end: &str,
    out: &mut Text,
) -> Res<()> {
    if !empty {
        line(run, style, level, out)?;
    }
    out.push_str(end, false);
    Ok(())
}

/// The line break and the indent, if there is one.
fn line(run: &Rendering<'_>, style: &Style, level: usize, out: &mut Text) -> Res<()> {
    let Some(indent) = &style.indent else {
        return Ok(());
    };
    run.meter.spend_bytes(indent.len() * level)?;
    out.push_str("\n", false);
    for _ in 0..level {
        out.push(indent);
    }
    Ok(())
}

fn string(run: &Rendering<'_>, text: &Text, ascii: bool, out: &mut Text) -> Res<()> {
    run.meter.spend_bytes(text.len())?;
    out.push_str("\"", false);
    for (c, said) in text.chars() {
        match c {
            '"' => out.push_str("\\\"", said),
            '\\' => out.push_str("\\\\", said),
            '\n' => out.push_str("\\n", said),
            '\r' => out.push_str("\\r", said),
            '\t' => out.push_str("\\t", said),
            '\u{8}' => out.push_str("\\b", said),
            '\u{c}' => out.push_str("\\f", said),
            ' '..='~' => out.push_char(c, said),
            c if c >= ' ' && !ascii => out.push_char(c, said),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"), said);
                }
            }
        }
    }
    out.push_str("\"", false);
    Ok(())
}
