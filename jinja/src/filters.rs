//! jinja2's filters: the table of all, and those of single values. `list` has those of lists, `text` those of texts.

mod list;
mod select;
mod text;

use std::rc::Rc;

pub(crate) use text::escaped;

use crate::arguments::{Called, flag, int, required};
use crate::run::Rendering;
use crate::text::Text;
use crate::value::{Value, order};
use crate::{Res, fail, format, json, number};

type Filter = fn(&Rendering<'_>, &Value, Called) -> Res<Value>;

/// Every filter, by name.
const FILTERS: [(&str, Filter); 54] = [
    ("abs", abs),
    ("attr", attr),
    ("batch", list::batch),
    ("capitalize", text::capitalize),
    ("center", text::center),
    ("count", list::length),
    ("d", default),
    ("default", default),
    ("dictsort", list::dictsort),
    ("e", text::escape),
    ("escape", text::escape),
    ("filesizeformat", filesizeformat),
    ("first", list::first),
    ("float", float),
    ("forceescape", text::forceescape),
    ("format", formatted),
    ("groupby", list::groupby),
    ("indent", text::indent),
    ("int", integer),
    ("items", list::items),
    ("join", list::join),
    ("last", list::last),
    ("length", list::length),
    ("list", list::list),
    ("lower", text::lower),
    ("map", select::map),
    ("max", list::max),
    ("min", list::min),
    ("pprint", pprint),
    ("random", unrepeatable),
    ("reject", select::reject),
    ("rejectattr", select::rejectattr),
    ("replace", text::replace),
    ("reverse", list::reverse),
    ("round", round),
    ("safe", text::safe),
    ("select", select::select),
    ("selectattr", select::selectattr),
    ("slice", list::slice),
    ("sort", list::sorted),
    ("string", text::string),
    ("striptags", text::striptags),
    ("sum", list::sum),
    ("title", text::title),
    ("tojson", json::tojson),
    ("trim", text::trim),
    ("truncate", text::truncate),
    ("unique", list::unique),
    ("upper", text::upper),
    ("urlencode", text::urlencode),
    ("urlize", unsupported),
    ("wordcount", text::wordcount),
    ("wordwrap", text::wordwrap),
    ("xmlattr", text::xmlattr),
];

pub(crate) fn exists(name: &str) -> bool {
    FILTERS.binary_search_by_key(&name, |(name, _)| name).is_ok()
}

/// `value | name(…)`.
pub(crate) fn apply(run: &Rendering<'_>, name: &str, value: &Value, called: Called) -> Res<Value> {
    match FILTERS.binary_search_by_key(&name, |(name, _)| name) {
        Ok(at) => FILTERS[at].1(run, value, called),
        Err(_) => fail(format!("no filter named '{name}'")),
    }
}

/// Fails if the value is undefined, for what Python does with it.
fn defined(value: &Value) -> Res<&Value> {
    match value {
        Value::Undefined(what) => fail(&**what),
        value => Ok(value),
    }
}

fn unrepeatable(_: &Rendering<'_>, _: &Value, _: Called) -> Res<Value> {
    fail("the filter random is not supported: a rendering must be repeatable")
}

fn unsupported(_: &Rendering<'_>, _: &Value, _: Called) -> Res<Value> {
    fail("the filter urlize is not supported")
}

fn abs(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("abs", [])?;
    match (defined(value)?.as_int(), value) {
        (Some(int), _) => int
            .checked_abs()
            .map_or_else(|| fail("a number is too large"), |int| Ok(Value::Int(int))),
        (_, Value::Float(float)) => Ok(Value::Float(float.abs())),
        _ => fail(format!("bad operand type for abs(): '{}'", value.type_name())),
    }
}

fn attr(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [name] = called.bind("attr", ["name"])?;
    let name = run.str(&required(name, "attr")?)?;
    let found = run.own_attribute(value, name.as_str())?;
    Ok(found.unwrap_or_else(|| {
        Value::undefined(format!(
            "'{} object' has no attribute '{}'",
            value.type_name(),
            name.as_str()
        ))
    }))
}

fn default(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [default, boolean] = called.bind("default", ["default_value", "boolean"])?;
    let missing = value.is_undefined() || flag(boolean, false) && !value.is_true();
    Ok(match missing {
        true => default.unwrap_or_else(|| Value::own("")),
        false => value.clone(),
    })
}

fn filesizeformat(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [binary] = called.bind("filesizeformat", ["binary"])?;
    let binary = flag(binary, false);
    let Value::Float(bytes) = float(run, value, Called::default())? else {
        return Ok(Value::None);
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::own("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::own(format!("{} Bytes", bytes as i64)));
    }
    let mut text = String::new();
    for (power, prefix) in ["k", "M", "G", "T", "P", "E", "Z", "Y"].into_iter().enumerate() {
        let unit = base.powi(power as i32 + 2);
        let prefix = if binary {
            format!("{}i", prefix.to_uppercase())
        } else {
            prefix.to_owned()
        };
        text = format!("{:.1} {prefix}B", base * bytes / unit);
        if bytes < unit {
            break;
        }
    }
    Ok(Value::own(text))
}

fn formatted(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    if !called.positional.is_empty() && !called.named.is_empty() {
        return fail("can't handle positional and keyword arguments at the same time");
    }
    let arguments = match called.named.is_empty() {
        true => Value::tuple(called.positional, &run.meter)?,
        false => {
            let named = called.named.into_iter();
            Value::map(
                named.map(|(name, value)| (Value::own(&*name), value)).collect(),
                &run.meter,
            )?
        }
    };
    format::percent(run, &Rc::new(run.str(value)?), &arguments)
}

fn float(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [default] = called.bind("float", ["default"])?;
    let parsed = match defined(value)? {
        Value::Text(text) => number::parse_float(text.as_str()),
        value => value.as_float(),
    };
    Ok(parsed.map_or_else(|| default.unwrap_or(Value::Float(0.0)), Value::Float))
}

fn integer(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [default, base] = called.bind("int", ["default", "base"])?;
    let base = u32::try_from(int(base, 10, "int")?).unwrap_or(1);
    let (direct, float) = match defined(value)? {
        Value::Text(text) => (
            number::parse_int(text.as_str(), base),
            number::parse_float(text.as_str()),
        ),
        value => (value.as_int(), value.as_float()),
    };
    // Python makes any whole number of it; these are those that fit.
    let truncated = float
        .filter(|float| float.abs() < 1e38)
        .map(|float| float.trunc() as i128);
    let parsed = direct.or(truncated).map(Value::Int);
    Ok(parsed.unwrap_or_else(|| default.unwrap_or(Value::Int(0))))
}

/// `repr` with the keys of maps in order.
fn pprint(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("pprint", [])?;
    Ok(Value::text(run.repr(&ordered(run, value)?)?))
}

fn ordered(run: &Rendering<'_>, value: &Value) -> Res<Value> {
    run.meter.spend(1)?;
    match value {
        Value::List(list) => {
            let items = list.items.iter().map(|item| ordered(run, item));
            Value::list(items.collect::<Res<_>>()?, &run.meter)
        }
        Value::Map(map) => {
            let entries = map
                .entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), ordered(run, value)?)));
            let mut entries: Vec<(Value, Value)> = entries.collect::<Res<_>>()?;
            crate::value::sort(&mut entries, &mut |a, b| {
                Ok(order(&a.0, &b.0, &run.meter)? == Some(std::cmp::Ordering::Less))
            })?;
            Value::map(entries, &run.meter)
        }
        value => Ok(value.clone()),
    }
}

fn round(_: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [precision, method] = called.bind("round", ["precision", "method"])?;
    let precision = int(precision, 0, "round")?;
    let method = method.unwrap_or_else(|| Value::own("common"));
    let direction: fn(f64) -> f64 = match method.as_str() {
        Some("common") => {
            return number::round(defined(value)?, precision).map_or_else(
                || fail(format!("'{}' object cannot be rounded", value.type_name())),
                Ok,
            );
        }
        Some("ceil") => f64::ceil,
        Some("floor") => f64::floor,
        _ => return fail("method must be common, ceil or floor"),
    };
    let Some(float) = defined(value)?.as_float() else {
        return fail(format!("'{}' object cannot be rounded", value.type_name()));
    };
    let scale = 10f64.powi(precision.clamp(-400, 400) as i32);
    let rounded = direction(float * scale) / scale;
    Ok(Value::Float(rounded))
}

/// `str(value)` of what a filter of texts is given.
fn text_of(run: &Rendering<'_>, value: &Value) -> Res<Rc<Text>> {
    match value {
        Value::Text(text) => {
            run.meter.spend_bytes(text.len())?;
            Ok(Rc::clone(text))
        }
        value => run.str(value).map(Rc::new),
    }
}
