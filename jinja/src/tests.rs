//! jinja2's tests: `value is name`.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::arguments::{Called, required};
use crate::ast::Binary;
use crate::run::Rendering;
use crate::value::{Value, contains, equal, order};
use crate::{Res, fail, filters, number, words};

const TESTS: [&str; 40] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
    "",
];

fn exists(name: &str) -> bool {
    !name.is_empty() && TESTS.contains(&name)
}

/// `value is name(…)`.
pub(crate) fn passes(run: &Rendering<'_>, name: &str, value: &Value, called: Called) -> Res<bool> {
    let meter = &run.meter;
    meter.spend(1)?;
    if let Some(passes) = of_type(value, name) {
        let [] = called.bind(name, [])?;
        return Ok(passes);
    }
    let remainder = |divisor: &Value| {
        if let Value::Undefined(what) = value {
            return fail(&**what);
        }
        match number::arithmetic(Binary::Remainder, value, divisor) {
            Some(rest) => rest,
            None => fail(format!(
                "unsupported operand type(s) for %: '{}' and 'int'",
                value.type_name()
            )),
        }
    };
    let is = |rest: Value, wanted: f64| rest.as_float() == Some(wanted);
    match name {
        "even" => return Ok(is(remainder(&Value::Int(2))?, 0.0)),
        "odd" => return Ok(is(remainder(&Value::Int(2))?, 1.0)),
        "lower" => return Ok(words::is_lower(run.str(value)?.as_str())),
        "upper" => return Ok(words::is_upper(run.str(value)?.as_str())),
        "filter" => return Ok(value.as_str().is_some_and(filters::exists)),
        "test" => return Ok(value.as_str().is_some_and(exists)),
        _ => {}
    }
    if !exists(name) {
        return fail(format!("no test named '{name}'"));
    }
    let [other] = called.bind(name, ["other"])?;
    let other = required(other, name)?;
    let ordered =
        |wanted: &[Ordering]| Ok(order(value, &other, meter)?.is_some_and(|found| wanted.contains(&found)));
    match name {
        "==" | "eq" | "equalto" => equal(value, &other, meter),
        "!=" | "ne" => Ok(!equal(value, &other, meter)?),
        "<" | "lt" | "lessthan" => ordered(&[Ordering::Less]),
        "<=" | "le" => ordered(&[Ordering::Less, Ordering::Equal]),
        ">" | "gt" | "greaterthan" => ordered(&[Ordering::Greater]),
        ">=" | "ge" => ordered(&[Ordering::Greater, Ordering::Equal]),
        "in" => contains(&other, value, meter),
        "divisibleby" => Ok(is(remainder(&other)?, 0.0)),
        _ => same(value, &other, run),
    }
}

/// Tests of the type or of a constant.
fn of_type(value: &Value, name: &str) -> Option<bool> {
    Some(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "string" => matches!(value, Value::Text(_)),
        "escaped" => value.as_text().is_some_and(|text| text.markup),
        "mapping" => matches!(value, Value::Map(_)),
        "callable" => matches!(
            value,
            Value::Macro(_)
                | Value::Function(_)
                | Value::Method(..)
                | Value::Loop(_)
                | Value::Joiner(_)
                | Value::Undefined(_)
        ),
        "sequence" => matches!(
            value,
            Value::Undefined(_)
                | Value::Text(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Map(_)
                | Value::Range(_)
        ),
        "iterable" => matches!(
            value,
            Value::Undefined(_)
                | Value::Text(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Map(_)
                | Value::View(..)
                | Value::Range(_)
                | Value::Iterator(_)
                | Value::Loop(_)
        ),
        _ => return None,
    })
}

/// Python's `is`, as far as values here have an identity.
fn same(a: &Value, b: &Value, run: &Rendering<'_>) -> Res<bool> {
    Ok(match (a, b) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Map(a), Value::Map(b)) => Rc::ptr_eq(a, b),
        (Value::Undefined(_), _) | (_, Value::Undefined(_)) => false,
        _ => a.type_name() == b.type_name() && equal(a, b, &run.meter)?,
    })
}
