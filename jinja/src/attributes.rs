//! `value.name`, `value[index]`, `value[a:b:c]`.

use crate::methods;
use crate::run::Rendering;
use crate::text::Text;
use crate::value::{Range, Value, find};
use crate::{Res, fail};

/// How jinja2 calls a value in its errors.
fn called(value: &Value) -> String {
    match value {
        Value::None => "None".into(),
        value => format!("{} object", value.type_name()),
    }
}

impl Rendering<'_> {
    /// An attribute, else the item of that name.
    pub(crate) fn attribute(&self, value: &Value, name: &str) -> Res<Value> {
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if let Value::Map(map) = value
            && let Some(at) = find(&map.entries, &Value::own(name), &self.meter)?
        {
            return Ok(map.entries[at].1.clone());
        }
        Ok(Value::undefined(format!(
            "'{}' has no attribute '{name}'",
            called(value)
        )))
    }

    /// What Python's `getattr` finds.
    pub(crate) fn own_attribute(&self, value: &Value, name: &str) -> Res<Option<Value>> {
        if let Some(method) = methods::named(value, name) {
            return value.clone().bound(method).map(Some);
        }
        Ok(match (value, name) {
            (Value::Undefined(what), _) => return fail(&**what),
            (Value::Namespace(number), _) => self.in_namespace(*number, name),
            (Value::Loop(number), _) => self.loop_attribute(*number, name)?,
            (Value::Macro(number), "name") => Some(Value::own(self.macro_name(*number))),
            (Value::Cycler(number), "current") => Some(self.cycler(*number, name)),
            (Value::Range(range), "start") => Some(Value::Int(range.start)),
            (Value::Range(range), "stop") => Some(Value::Int(range.stop)),
            (Value::Range(range), "step") => Some(Value::Int(range.step)),
            // What `groupby` makes.
            (Value::Tuple(pair), "grouper") if pair.items.len() == 2 => Some(pair.items[0].clone()),
            (Value::Tuple(pair), "list") if pair.items.len() == 2 => Some(pair.items[1].clone()),
            _ => None,
        })
    }

    /// An item, else the attribute of that name.
    pub(crate) fn item(&self, value: &Value, index: &Value) -> Res<Value> {
        let found = match (value, index.as_int()) {
            (Value::Undefined(what), _) => return fail(&**what),
            (Value::Map(map), _) => {
                find(&map.entries, index, &self.meter)?.map(|at| map.entries[at].1.clone())
            }
            (Value::Text(text), Some(index)) => {
                self.meter.spend(text.len() / 64)?;
                let count = text.as_str().chars().count();
                let at = place(index, count);
                at.and_then(|at| text.chars().nth(at))
                    .map(|char| Value::text(Text::from_iter([char])))
            }
            (Value::List(list) | Value::Tuple(list), Some(index)) => {
                place(index, list.items.len()).map(|at| list.items[at].clone())
            }
            (Value::Range(range), Some(index)) => {
                let at = place(index, usize::try_from(range.len()).unwrap_or(0));
                at.map(|at| Value::Int(range.start + at as i128 * range.step))
            }
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        match index {
            Value::Text(name) => {
                let found = self.own_attribute(value, name.as_str())?;
                Ok(found.unwrap_or_else(|| {
                    Value::undefined(format!(
                        "'{}' has no attribute '{}'",
                        called(value),
                        name.as_str()
                    ))
                }))
            }
            _ => {
                let index = self.repr(index)?.into_parts().0;
                Ok(Value::undefined(format!(
                    "{} has no element {index}",
                    called(value)
                )))
            }
        }
    }

    /// A slice; undefined if the value has none.
    pub(crate) fn slice(&self, value: &Value, parts: [Value; 3]) -> Res<Value> {
        let mut bounds = [None; 3];
        for (bound, part) in bounds.iter_mut().zip(&parts) {
            *bound = match part {
                Value::None => None,
                part => match part.as_int() {
                    Some(part) => Some(part),
                    None => return fail("slice indices must be integers or None"),
                },
            };
        }
        let length = match value {
            Value::Undefined(what) => return fail(&**what),
            Value::Text(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                value.length().unwrap_or(0)
            }
            other => return Ok(Value::undefined(format!("{} cannot be sliced", called(other)))),
        };
        let step = bounds[2].unwrap_or(1);
        if step == 0 {
            return fail("slice step cannot be zero");
        }
        let length = length as i128;
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let clamp = |bound: i128| match bound < 0 {
            true => bound.saturating_add(length).max(low),
            false => bound.min(high),
        };
        let (first, last) = if step > 0 { (0, length) } else { (length - 1, -1) };
        let start = bounds[0].map_or(first, clamp);
        let stop = bounds[1].map_or(last, clamp);
        let step = step.clamp(-length - 1, length + 1);
        let chosen = Range { start, stop, step };
        let places = || (0..chosen.len()).map(move |at| (start + at * step) as usize);
        match value {
            Value::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                if step == 1 {
                    let text_str = text.as_str();
                    let byte = |char: i128| {
                        text_str
                            .char_indices()
                            .nth(char as usize)
                            .map_or(text_str.len(), |(at, _)| at)
                    };
                    let (from, to) = (byte(start), byte(stop.max(start)));
                    return Ok(Value::text(text.slice(from..to)));
                }
                self.meter.spend(text.len() / 8)?;
                let chars: Vec<(char, bool)> = text.chars().collect();
                Ok(Value::text(places().map(|at| chars[at]).collect()))
            }
            Value::List(list) => {
                Value::list(places().map(|at| list.items[at].clone()).collect(), &self.meter)
            }
            Value::Tuple(list) => {
                Value::tuple(places().map(|at| list.items[at].clone()).collect(), &self.meter)
            }
            Value::Range(range) => Ok(Value::Range(Range {
                start: range.start + start * range.step,
                stop: range.start + stop * range.step,
                step: range.step * step,
            })),
            _ => Ok(Value::None),
        }
    }
}

/// A Python index as a place in a sequence of `length`.
fn place(index: i128, length: usize) -> Option<usize> {
    let length = length as i128;
    let at = if index < 0 {
        index.checked_add(length)?
    } else {
        index
    };
    (0..length).contains(&at).then_some(at as usize)
}
