//! Filters of lists.

use std::cmp::Ordering;

use super::{defined, text_of};
use crate::arguments::{Called, flag, int, required};
use crate::ast::Binary;
use crate::run::Rendering;
use crate::text::Text;
use crate::value::{Value, equal, order, sort};
use crate::{Res, fail, number};

pub(super) fn length(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("length", [])?;
    match value.length() {
        Some(length) => Ok(Value::Int(length as i128)),
        None => fail(format!("object of type '{}' has no len()", value.type_name())),
    }
}

pub(super) fn list(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("list", [])?;
    Value::list(value.items(&run.meter)?, &run.meter)
}

pub(super) fn first(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("first", [])?;
    let first = match value {
        Value::Iterator(iterator) => iterator.items.borrow_mut().pop_front(),
        Value::Text(text) => text
            .chars()
            .next()
            .map(|char| Value::text(Text::from_iter([char]))),
        value => value.items(&run.meter)?.into_iter().next(),
    };
    Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
}

pub(super) fn last(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("last", [])?;
    if matches!(value, Value::Iterator(_)) {
        return fail("'generator' object is not reversible");
    }
    defined(value)?;
    let last = value.items(&run.meter)?.pop();
    Ok(last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
}

pub(super) fn reverse(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("reverse", [])?;
    if let Value::Text(text) = value {
        run.meter.spend_bytes(text.len())?;
        let mut chars: Vec<(char, bool)> = text.chars().collect();
        chars.reverse();
        return Ok(Value::text(chars.into_iter().collect()));
    }
    let mut items = value.items(&run.meter)?;
    items.reverse();
    Value::iterator(items, &run.meter)
}

pub(super) fn items(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("items", [])?;
    match value {
        Value::Undefined(_) => Value::iterator(Vec::new(), &run.meter),
        Value::Map(map) => {
            let pairs = map.entries.iter();
            let pairs = pairs.map(|(key, item)| Value::tuple(vec![key.clone(), item.clone()], &run.meter));
            Value::iterator(pairs.collect::<Res<_>>()?, &run.meter)
        }
        _ => fail("Can only get item pairs from a mapping."),
    }
}

pub(super) fn join(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [separator, attribute] = called.bind("join", ["d", "attribute"])?;
    let separator = match separator {
        None => Text::default(),
        Some(separator) => run.str(&separator)?,
    };
    let mut text = Text::default();
    for (at, item) in value.items(&run.meter)?.iter().enumerate() {
        if at > 0 {
            run.meter.spend_bytes(separator.len())?;
            text.push(&separator);
        }
        match &attribute {
            None | Some(Value::None) => run.write_str(item, &mut text)?,
            Some(attribute) => run.write_str(&run.path(item, attribute, None)?, &mut text)?,
        }
    }
    Ok(Value::text(text))
}

pub(super) fn batch(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [count, fill] = called.bind("batch", ["linecount", "fill_with"])?;
    let count = int(Some(required(count, "batch")?), 0, "batch")?;
    let items = value.items(&run.meter)?;
    let mut batches: Vec<Vec<Value>> = Vec::new();
    for item in items {
        match batches.last_mut() {
            Some(batch) if batch.len() as i128 != count => batch.push(item),
            _ => batches.push(vec![item]),
        }
    }
    if count == 0 && !batches.is_empty() {
        batches.insert(0, Vec::new());
    }
    if let (Some(last), Some(fill)) = (
        batches.last_mut(),
        fill.filter(|fill| !matches!(fill, Value::None)),
    ) {
        let missing = usize::try_from(count).unwrap_or(0).saturating_sub(last.len());
        run.meter.spend(missing)?;
        last.extend(std::iter::repeat_n(fill, missing));
    }
    let batches = batches.into_iter().map(|batch| Value::list(batch, &run.meter));
    Value::iterator(batches.collect::<Res<_>>()?, &run.meter)
}

pub(super) fn slice(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [slices, fill] = called.bind("slice", ["slices", "fill_with"])?;
    let slices = int(Some(required(slices, "slice")?), 0, "slice")?;
    let items = value.items(&run.meter)?;
    if slices == 0 {
        return fail("integer division or modulo by zero");
    }
    let slices = usize::try_from(slices).unwrap_or(0);
    run.meter.spend(slices)?;
    let (each, more) = (items.len() / slices.max(1), items.len() % slices.max(1));
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let mut from = 0;
    let mut parts = Vec::new();
    for slice in 0..slices {
        let end = from + each + usize::from(slice < more);
        let mut part = items[from..end].to_vec();
        if let Some(fill) = fill.as_ref().filter(|_| slice >= more) {
            part.push(fill.clone());
        }
        parts.push(Value::list(part, &run.meter)?);
        from = end;
    }
    Value::iterator(parts, &run.meter)
}

/// What a sort compares: texts without their case.
fn key(run: &Rendering<'_>, value: Value, case_sensitive: bool) -> Res<Value> {
    match &value {
        Value::Text(text) if !case_sensitive => {
            run.meter.spend_bytes(text.len())?;
            Ok(Value::text(text.map_runs(str::to_lowercase)))
        }
        _ => Ok(value),
    }
}

fn less(run: &Rendering<'_>, a: &Value, b: &Value) -> Res<bool> {
    Ok(order(a, b, &run.meter)? == Some(Ordering::Less))
}

/// Items with what they are compared by: themselves, an attribute, or several attributes with commas between.
fn keyed(
    run: &Rendering<'_>,
    value: &Value,
    attribute: Option<Value>,
    case_sensitive: bool,
    default: Option<&Value>,
) -> Res<Vec<(Value, Value)>> {
    let attribute = attribute.filter(|attribute| !matches!(attribute, Value::None));
    let mut keyed = Vec::new();
    for item in value.items(&run.meter)? {
        let found = match &attribute {
            None => key(run, item.clone(), case_sensitive)?,
            Some(Value::Text(names)) if names.as_str().contains(',') => {
                let mut keys = Vec::new();
                for name in names.as_str().split(',') {
                    keys.push(key(
                        run,
                        run.path(&item, &Value::own(name), default)?,
                        case_sensitive,
                    )?);
                }
                Value::list(keys, &run.meter)?
            }
            Some(attribute) => key(run, run.path(&item, attribute, default)?, case_sensitive)?,
        };
        keyed.push((found, item));
    }
    Ok(keyed)
}

pub(super) fn sorted(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [reverse, case_sensitive, attribute] =
        called.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let mut items = keyed(run, value, attribute, flag(case_sensitive, false), None)?;
    // Reversed, equal items stay in their order.
    let reverse = flag(reverse, false);
    sort(&mut items, &mut |a, b| match reverse {
        true => less(run, &b.0, &a.0),
        false => less(run, &a.0, &b.0),
    })?;
    Value::list(items.into_iter().map(|(_, item)| item).collect(), &run.meter)
}

pub(super) fn dictsort(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [case_sensitive, by, reverse] = called.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let (case_sensitive, reverse) = (flag(case_sensitive, false), flag(reverse, false));
    let by_value = match by.as_ref().map(|by| by.as_str()) {
        None | Some(Some("key")) => false,
        Some(Some("value")) => true,
        _ => return fail("You can only sort by either \"key\" or \"value\""),
    };
    let Value::Map(map) = defined(value)? else {
        return fail(format!("'{} object' has no attribute 'items'", value.type_name()));
    };
    let mut pairs = Vec::new();
    for (name, item) in &map.entries {
        let by = if by_value { item } else { name };
        let pair = Value::tuple(vec![name.clone(), item.clone()], &run.meter)?;
        pairs.push((key(run, by.clone(), case_sensitive)?, pair));
    }
    sort(&mut pairs, &mut |a, b| match reverse {
        true => less(run, &b.0, &a.0),
        false => less(run, &a.0, &b.0),
    })?;
    Value::list(pairs.into_iter().map(|(_, pair)| pair).collect(), &run.meter)
}

pub(super) fn unique(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [case_sensitive, attribute] = called.bind("unique", ["case_sensitive", "attribute"])?;
    let mut seen: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    'items: for (key, item) in keyed(run, value, attribute, flag(case_sensitive, false), None)? {
        if matches!(key, Value::List(_) | Value::Map(_)) {
            return fail(format!("unhashable type: '{}'", key.type_name()));
        }
        for other in &seen {
            if equal(other, &key, &run.meter)? {
                continue 'items;
            }
        }
        seen.push(key);
        kept.push(item);
    }
    Value::iterator(kept, &run.meter)
}

pub(super) fn groupby(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [attribute, default, case_sensitive] =
        called.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let attribute = required(attribute, "groupby")?;
    let case_sensitive = flag(case_sensitive, false);
    let default = default.as_ref();
    let mut items = keyed(run, value, Some(attribute.clone()), case_sensitive, default)?;
    sort(&mut items, &mut |a, b| less(run, &a.0, &b.0))?;
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in items {
        match groups.last_mut() {
            Some((last, group)) if equal(last, &key, &run.meter)? => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut pairs = Vec::new();
    for (mut key, group) in groups {
        if !case_sensitive {
            // The first item's own spelling.
            key = run.path(&group[0], &attribute, default)?;
        }
        pairs.push(Value::tuple(
            vec![key, Value::list(group, &run.meter)?],
            &run.meter,
        )?);
    }
    Value::list(pairs, &run.meter)
}

fn extreme(run: &Rendering<'_>, value: &Value, called: Called, name: &str, largest: bool) -> Res<Value> {
    let [case_sensitive, attribute] = called.bind(name, ["case_sensitive", "attribute"])?;
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in keyed(run, value, attribute, flag(case_sensitive, false), None)? {
        let better = match &best {
            None => true,
            Some((other, _)) if largest => less(run, other, &key)?,
            Some((other, _)) => less(run, &key, other)?,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(
        || Value::undefined("No aggregated item, sequence was empty."),
        |(_, item)| item,
    ))
}

pub(super) fn max(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    extreme(run, value, called, "max", true)
}

pub(super) fn min(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    extreme(run, value, called, "min", false)
}

pub(super) fn sum(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [attribute, start] = called.bind("sum", ["attribute", "start"])?;
    let mut sum = start.unwrap_or(Value::Int(0));
    for item in value.items(&run.meter)? {
        let item = match &attribute {
            None | Some(Value::None) => item,
            Some(attribute) => run.path(&item, attribute, None)?,
        };
        sum = match (&sum, &item) {
            (Value::List(a), Value::List(b)) => Value::list([&a.items[..], &b.items].concat(), &run.meter)?,
            (Value::Tuple(a), Value::Tuple(b)) => {
                Value::tuple([&a.items[..], &b.items].concat(), &run.meter)?
            }
            _ => match number::arithmetic(Binary::Add, &sum, defined(&item)?) {
                Some(sum) => sum?,
                None => {
                    let (a, b) = (sum.type_name(), item.type_name());
                    return fail(format!("unsupported operand type(s) for +: '{a}' and '{b}'"));
                }
            },
        };
    }
    Ok(sum)
}

impl Rendering<'_> {
    /// What a filter's `attribute` finds: `name`, `name.other`, `0.name`, or a number.
    pub(super) fn path(&self, item: &Value, path: &Value, default: Option<&Value>) -> Res<Value> {
        let found = |value: Value| match (value.is_undefined(), default) {
            (true, Some(default)) => default.clone(),
            _ => value,
        };
        let text = match path {
            Value::Text(_) => text_of(self, path)?,
            other => return self.item(item, other).map(found),
        };
        let mut value = item.clone();
        for part in text.as_str().split('.') {
            let index = match part.parse::<i128>() {
                Ok(index) if part.bytes().all(|c| c.is_ascii_digit()) => Value::Int(index),
                _ => Value::own(part),
            };
            value = found(self.item(&value, &index)?);
        }
        Ok(value)
    }
}
