//! Python's methods: those of lists, maps and loops here, those of texts in `text`.

mod text;

use crate::arguments::{Called, int, required};
use crate::run::Rendering;
use crate::value::{Value, equal, find};
use crate::{Res, fail};

/// The methods of a type that jinja2's sandbox allows; those that change a value are not among them.
fn of(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Text(_) => &text::METHODS,
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) | Value::Range(_) => &["count", "index"],
        Value::Map(_) => &["copy", "get", "items", "keys", "values"],
        Value::Int(_) | Value::Bool(_) => &["bit_length", "is_integer"],
        Value::Float(_) => &["is_integer"],
        Value::Cycler(_) => &["next", "reset"],
        _ => &[],
    }
}

/// The method of this name, if the value has it.
pub(crate) fn named(value: &Value, name: &str) -> Option<&'static str> {
    of(value).iter().copied().find(|method| *method == name)
}

/// Calls a method.
pub(crate) fn call(run: &Rendering<'_>, value: &Value, name: &'static str, called: Called) -> Res<Value> {
    let meter = &run.meter;
    match (value, name) {
        (Value::Text(text), _) => text::call(run, text, name, called),
        (Value::Map(map), "get") => {
            let [key, default] = called.bind("get", ["key", "default"])?;
            let found = find(&map.entries, &required(key, "get")?, meter)?;
            Ok(match found {
                Some(at) => map.entries[at].1.clone(),
                None => default.unwrap_or(Value::None),
            })
        }
        (Value::Map(map), "items") => {
            let pairs = map.entries.iter();
            let pairs = pairs.map(|(key, item)| Value::tuple(vec![key.clone(), item.clone()], meter));
            Value::view("dict_items", pairs.collect::<Res<_>>()?, meter)
        }
        (Value::Map(map), "keys") => {
            let keys = map.entries.iter().map(|(key, _)| key.clone());
            Value::view("dict_keys", keys.collect(), meter)
        }
        (Value::Map(map), "values") => {
            let values = map.entries.iter().map(|(_, item)| item.clone());
            Value::view("dict_values", values.collect(), meter)
        }
        (Value::Map(_) | Value::List(_), "copy") => Ok(value.clone()),
        (Value::List(_) | Value::Tuple(_) | Value::Range(_), "count") => {
            let [wanted] = called.bind("count", ["value"])?;
            let wanted = required(wanted, "count")?;
            let mut count = 0;
            for item in value.items(meter)? {
                count += i128::from(equal(&item, &wanted, meter)?);
            }
            Ok(Value::Int(count))
        }
        (Value::List(_) | Value::Tuple(_) | Value::Range(_), "index") => {
            let [wanted, start, stop] = called.bind("index", ["value", "start", "stop"])?;
            let wanted = required(wanted, "index")?;
            let items = value.items(meter)?;
            let bounds = text::bounds(int(start, 0, name)?, int(stop, i128::MAX, name)?, items.len());
            for at in bounds {
                if equal(&items[at], &wanted, meter)? {
                    return Ok(Value::Int(at as i128));
                }
            }
            fail("the value is not in the list")
        }
        (Value::Int(_) | Value::Bool(_), "bit_length") => {
            let bits = value.as_int().unwrap_or(0).unsigned_abs();
            Ok(Value::Int(i128::from(128 - bits.leading_zeros())))
        }
        (_, "is_integer") => Ok(Value::Bool(
            value.as_float().is_some_and(|float| float.fract() == 0.0),
        )),
        (Value::Cycler(number), _) => Ok(run.cycler(*number, name)),
        (Value::Loop(number), "cycle") => run.loop_cycle(*number, &called.positional),
        (Value::Loop(number), "changed") => run.loop_changed(*number, called.positional),
        _ => fail(format!("'{}' object has no method {name}", value.type_name())),
    }
}
