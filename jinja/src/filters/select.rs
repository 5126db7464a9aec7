//! `map`, and the filters that choose items by a test.

use std::rc::Rc;

use crate::arguments::Called;
use crate::run::Rendering;
use crate::value::Value;
use crate::{Res, fail, tests};

fn name(value: Value) -> Res<String> {
    match value.as_str() {
        Some(name) => Ok(name.to_owned()),
        None => fail(format!(
            "expected the name of a filter or test, not {}",
            value.type_name()
        )),
    }
}

/// The same arguments once more.
fn again(called: &Called) -> Called {
    Called {
        positional: called.positional.clone(),
        named: called
            .named
            .iter()
            .map(|(name, value)| (Rc::clone(name), value.clone()))
            .collect(),
    }
}

/// The items; of a value that is not true, none.
fn items_of(run: &Rendering<'_>, value: &Value) -> Res<Vec<Value>> {
    match value.is_true() {
        true => value.items(&run.meter),
        false => Ok(Vec::new()),
    }
}

pub(super) fn map(run: &Rendering<'_>, value: &Value, mut called: Called) -> Res<Value> {
    let items = items_of(run, value)?;
    let mut mapped = Vec::with_capacity(items.len());
    let attribute = called.named.iter().position(|(name, _)| &**name == "attribute");
    if let Some(at) = attribute.filter(|_| called.positional.is_empty()) {
        let (_, attribute) = called.named.remove(at);
        let [default] = called.bind("map", ["default"])?;
        for item in &items {
            mapped.push(run.path(item, &attribute, default.as_ref())?);
        }
    } else {
        if called.positional.is_empty() {
            return fail("map requires a filter argument");
        }
        let filter = name(called.positional.remove(0))?;
        for item in &items {
            mapped.push(run.filter(&filter, item, again(&called))?);
        }
    }
    Value::iterator(mapped, &run.meter)
}

/// Items whose truth, or whose test, is `wanted`; of an attribute if `by_attribute`.
fn choose(
    run: &Rendering<'_>,
    value: &Value,
    mut called: Called,
    wanted: bool,
    by_attribute: bool,
) -> Res<Value> {
    let attribute = match by_attribute {
        true if called.positional.is_empty() => return fail("Missing parameter for attribute name"),
        true => Some(called.positional.remove(0)),
        false => None,
    };
    let test = match called.positional.is_empty() {
        true => None,
        false => Some(name(called.positional.remove(0))?),
    };
    let mut chosen = Vec::new();
    for item in items_of(run, value)? {
        run.meter.spend(1)?;
        let tested = match &attribute {
            None => item.clone(),
            Some(attribute) => run.path(&item, attribute, None)?,
        };
        let passes = match &test {
            None => tested.is_true(),
            Some(test) => tests::passes(run, test, &tested, again(&called))?,
        };
        if passes == wanted {
            chosen.push(item);
        }
    }
    Value::iterator(chosen, &run.meter)
}

pub(super) fn select(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    choose(run, value, called, true, false)
}

pub(super) fn reject(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    choose(run, value, called, false, false)
}

pub(super) fn selectattr(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    choose(run, value, called, true, true)
}

pub(super) fn rejectattr(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    choose(run, value, called, false, true)
}
