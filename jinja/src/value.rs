//! The values of a template: Python's, as far as templates can make them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use crate::text::Text;
use crate::{Fault, Meter, Res, fail};

/// How deep lists may hold lists. Everything that visits a value is recursive.
const MAX_DEPTH: u32 = 100;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A missing value, and what an error says about it.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<Text>),
    List(Rc<List>),
    Tuple(Rc<List>),
    Map(Rc<Map>),
    /// What a generator has left.
    Iterator(Rc<Remaining>),
    /// `items()`, `keys()` or `values()` of a map, by name.
    View(&'static str, Rc<List>),
    Range(Range),
    /// A method bound to its value.
    Method(Rc<Value>, &'static str),
    /// A function of the environment.
    Function(&'static str),
    /// Numbers of what the rendering keeps: so no value can hold itself.
    Namespace(usize),
    Macro(usize),
    Loop(usize),
    Cycler(usize),
    Joiner(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    depth: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) entries: Vec<(Value, Value)>,
    depth: u32,
}

#[derive(Debug)]
pub(crate) struct Remaining {
    pub(crate) items: RefCell<std::collections::VecDeque<Value>>,
    depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i128,
    pub(crate) stop: i128,
    pub(crate) step: i128,
}

impl Range {
    pub(crate) fn len(&self) -> i128 {
        let (span, step) = match self.step > 0 {
            true => (self.stop - self.start, self.step),
            false => (self.start - self.stop, -self.step),
        };
        if span <= 0 { 0 } else { (span - 1) / step + 1 }
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Value> + use<> {
        let Range { start, step, .. } = *self;
        (0..self.len()).map(move |at| Value::Int(start + at * step))
    }
}

/// The depth of something that holds `values`.
fn around<'v>(values: impl Iterator<Item = &'v Value>) -> Res<u32> {
    let depth = 1 + values.map(Value::depth).max().unwrap_or(0);
    match depth > MAX_DEPTH {
        true => Err(Fault::TooMuch),
        false => Ok(depth),
    }
}

fn sequence(items: Vec<Value>, meter: &Meter) -> Res<Rc<List>> {
    meter.spend(items.len())?;
    let depth = around(items.iter())?;
    Ok(Rc::new(List { items, depth }))
}

impl Value {
    pub(crate) fn own(text: impl Into<String>) -> Value {
        Value::Text(Rc::new(Text::own(text)))
    }

    pub(crate) fn text(text: Text) -> Value {
        Value::Text(Rc::new(text))
    }

    pub(crate) fn undefined(what: impl Into<Rc<str>>) -> Value {
        Value::Undefined(what.into())
    }

    pub(crate) fn list(items: Vec<Value>, meter: &Meter) -> Res<Value> {
        Ok(Value::List(sequence(items, meter)?))
    }

    pub(crate) fn tuple(items: Vec<Value>, meter: &Meter) -> Res<Value> {
        Ok(Value::Tuple(sequence(items, meter)?))
    }

    pub(crate) fn view(kind: &'static str, items: Vec<Value>, meter: &Meter) -> Res<Value> {
        Ok(Value::View(kind, sequence(items, meter)?))
    }

    pub(crate) fn iterator(items: Vec<Value>, meter: &Meter) -> Res<Value> {
        meter.spend(items.len())?;
        let depth = around(items.iter())?;
        let items = RefCell::new(items.into());
        Ok(Value::Iterator(Rc::new(Remaining { items, depth })))
    }

    /// A map; of equal keys, the last one's value stays.
    pub(crate) fn map(pairs: Vec<(Value, Value)>, meter: &Meter) -> Res<Value> {
        let mut entries: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            hashable(&key, meter)?;
            match find(&entries, &key, meter)? {
                Some(at) => entries[at].1 = value,
                None => entries.push((key, value)),
            }
        }
        let depth = around(entries.iter().flat_map(|(key, value)| [key, value]))?;
        Ok(Value::Map(Rc::new(Map { entries, depth })))
    }

    pub(crate) fn bound(self, method: &'static str) -> Res<Value> {
        around(std::iter::once(&self))?;
        Ok(Value::Method(Rc::new(self), method))
    }

    fn depth(&self) -> u32 {
        match self {
            Value::List(list) | Value::Tuple(list) | Value::View(_, list) => list.depth,
            Value::Map(map) => map.depth,
            Value::Iterator(iterator) => iterator.depth,
            Value::Method(value, _) => 1 + value.depth(),
            _ => 0,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&Rc<Text>> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        self.as_text().map(|text| text.as_str())
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    /// An integer, or a Boolean as one.
    pub(crate) fn as_int(&self) -> Option<i128> {
        match self {
            Value::Bool(value) => Some(i128::from(*value)),
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            value => value.as_int().map(|value| value as f64),
        }
    }

    /// Python's name of the type, as in its errors.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Map(_) => "dict",
            Value::Iterator(_) => "generator",
            Value::View(kind, _) => kind,
            Value::Range(_) => "range",
            Value::Method(..) => "builtin_function_or_method",
            Value::Function(_) => "function",
            Value::Namespace(_) => "Namespace",
            Value::Macro(_) => "Macro",
            Value::Loop(_) => "LoopContext",
            Value::Cycler(_) => "Cycler",
            Value::Joiner(_) => "Joiner",
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(list) | Value::Tuple(list) | Value::View(_, list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Range(range) => range.len() > 0,
            _ => true,
        }
    }

    /// The number of items; `None` if the type has none.
    pub(crate) fn length(&self) -> Option<usize> {
        Some(match self {
            Value::Undefined(_) => 0,
            Value::Text(text) => text.as_str().chars().count(),
            Value::List(list) | Value::Tuple(list) | Value::View(_, list) => list.items.len(),
            Value::Map(map) => map.entries.len(),
            Value::Range(range) => usize::try_from(range.len()).ok()?,
            _ => return None,
        })
    }

    /// The items in order, as `iter()` gives them.
    pub(crate) fn items(&self, meter: &Meter) -> Res<Vec<Value>> {
        let items: Vec<Value> = match self {
            Value::Undefined(_) => Vec::new(),
            Value::Text(text) => {
                meter.spend(text.len())?;
                text.chars()
                    .map(|char| Value::text(Text::from_iter([char])))
                    .collect()
            }
            Value::List(list) | Value::Tuple(list) | Value::View(_, list) => {
                meter.spend(list.items.len() / 8)?;
                list.items.clone()
            }
            Value::Map(map) => map.entries.iter().map(|(key, _)| key.clone()).collect(),
            Value::Range(range) => {
                meter.spend(usize::try_from(range.len()).unwrap_or(usize::MAX))?;
                range.items().collect()
            }
            Value::Iterator(iterator) => iterator.items.take().into(),
            _ => return fail(format!("'{}' object is not iterable", self.type_name())),
        };
        meter.spend(items.len() / 8)?;
        Ok(items)
    }
}

/// Fails if Python could not use the value as a key.
fn hashable(value: &Value, meter: &Meter) -> Res<()> {
    meter.spend(1)?;
    match value {
        Value::List(_) | Value::Map(_) | Value::View(..) => {
            fail(format!("unhashable type: '{}'", value.type_name()))
        }
        Value::Tuple(list) => list.items.iter().try_for_each(|item| hashable(item, meter)),
        _ => Ok(()),
    }
}

/// The entry with this key.
pub(crate) fn find(entries: &[(Value, Value)], key: &Value, meter: &Meter) -> Res<Option<usize>> {
    for (at, (other, _)) in entries.iter().enumerate() {
        if equal(other, key, meter)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Python's `==`.
pub(crate) fn equal(a: &Value, b: &Value, meter: &Meter) -> Res<bool> {
    meter.spend(1)?;
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Text(a), Value::Text(b)) => {
            meter.spend(a.len().min(b.len()) / 64)?;
            a.as_str() == b.as_str()
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            if a.items.len() != b.items.len() {
                return Ok(false);
            }
            for (a, b) in a.items.iter().zip(&b.items) {
                if !equal(a, b, meter)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.entries.len() != b.entries.len() {
                return Ok(false);
            }
            for (key, value) in &a.entries {
                match find(&b.entries, key, meter)? {
                    Some(at) if equal(value, &b.entries[at].1, meter)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Range(a), Value::Range(b)) => a == b,
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::Iterator(a), Value::Iterator(b)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b))
        | (Value::Macro(a), Value::Macro(b))
        | (Value::Loop(a), Value::Loop(b))
        | (Value::Cycler(a), Value::Cycler(b))
        | (Value::Joiner(a), Value::Joiner(b)) => a == b,
        _ => match (a.as_int(), b.as_int()) {
            (Some(a), Some(b)) => a == b,
            _ => matches!((a.as_float(), b.as_float()), (Some(a), Some(b)) if a == b),
        },
    })
}

/// Python's order; types that have none are an error. NaN is neither less nor greater than anything.
pub(crate) fn order(a: &Value, b: &Value, meter: &Meter) -> Res<Option<Ordering>> {
    meter.spend(1)?;
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            meter.spend(a.len().min(b.len()) / 64)?;
            Ok(Some(a.as_str().cmp(b.as_str())))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (a, b) in a.items.iter().zip(&b.items) {
                if !equal(a, b, meter)? {
                    return order(a, b, meter);
                }
            }
            Ok(Some(a.items.len().cmp(&b.items.len())))
        }
        (Value::Undefined(what), _) | (_, Value::Undefined(what)) => fail(&**what),
        _ => match (a.as_int(), b.as_int(), a.as_float(), b.as_float()) {
            (Some(a), Some(b), ..) => Ok(Some(a.cmp(&b))),
            (.., Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => fail(format!(
                "'<' not supported between instances of '{}' and '{}'",
                a.type_name(),
                b.type_name()
            )),
        },
    }
}

/// Python's `in`.
pub(crate) fn contains(container: &Value, item: &Value, meter: &Meter) -> Res<bool> {
    match container {
        Value::Text(text) => match item {
            Value::Text(item) => {
                meter.spend(text.len() / 64)?;
                Ok(text.as_str().contains(item.as_str()))
            }
            item => fail(format!(
                "'in <string>' requires string as left operand, not {}",
                item.type_name()
            )),
        },
        Value::Map(map) => {
            hashable(item, meter)?;
            Ok(find(&map.entries, item, meter)?.is_some())
        }
        Value::List(list) | Value::Tuple(list) | Value::View(_, list) => {
            for other in &list.items {
                if equal(other, item, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Undefined(_) | Value::Iterator(_) | Value::Range(_) => {
            for other in container.items(meter)? {
                if equal(&other, item, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => fail(format!(
            "argument of type '{}' is not iterable",
            container.type_name()
        )),
    }
}

/// A stable merge sort by a comparison that may fail, and whose answers need not be consistent.
pub(crate) fn sort<T: Clone>(items: &mut [T], less: &mut dyn FnMut(&T, &T) -> Res<bool>) -> Res<()> {
    let middle = items.len() / 2;
    if middle == 0 {
        return Ok(());
    }
    sort(&mut items[..middle], less)?;
    sort(&mut items[middle..], less)?;
    let mut merged = Vec::with_capacity(items.len());
    let (mut left, mut right) = (0, middle);
    while left < middle && right < items.len() {
        let from = if less(&items[right], &items[left])? {
            &mut right
        } else {
            &mut left
        };
        merged.push(items[*from].clone());
        *from += 1;
    }
    merged.extend_from_slice(&items[left..middle]);
    merged.extend_from_slice(&items[right..]);
    items.clone_from_slice(&merged);
    Ok(())
}
