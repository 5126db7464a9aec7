//! Calls: macros, functions of the environment, methods.

use std::rc::Rc;

use super::{Frame, Rendering, Scope};
use crate::arguments::{Called, required};
use crate::ast::{Expr, StepKind};
use crate::text::Text;
use crate::value::{Range, Value};
use crate::{Fault, Res, fail, methods};

/// The longest range that jinja2's sandbox allows.
const MAX_RANGE: i128 = 100_000;

impl<'t> Rendering<'t> {
    pub(crate) fn call(&self, callee: &Value, called: Called) -> Res<Value> {
        match callee {
            Value::Macro(number) => self.call_macro(*number, called),
            Value::Function(name) => self.function(name, called),
            Value::Method(value, name) => methods::call(self, value, name, called),
            Value::Loop(number) => self.recurse(*number, called),
            Value::Joiner(number) => {
                let mut joiners = self.joiners.borrow_mut();
                let (separator, used) = &mut joiners[*number];
                Ok(match std::mem::replace(used, true) {
                    true => separator.clone(),
                    false => Value::own(""),
                })
            }
            Value::Undefined(what) => fail(&**what),
            other => fail(format!("'{}' object is not callable", other.type_name())),
        }
    }

    /// The call of a `{% call %}` block.
    pub(super) fn call_with_caller(&self, call: &'t Expr, caller: Value, scope: &Scope<'t>) -> Res<Value> {
        let Expr::Steps(first, steps) = call else {
            return fail("expected a call");
        };
        let Some((last, before)) = steps.split_last() else {
            return fail("expected a call");
        };
        let StepKind::Call(arguments) = &last.kind else {
            return fail("expected a call");
        };
        let callee = self.expression(first, scope)?;
        let callee = self.steps(callee, before, scope)?;
        let mut called = self.arguments(arguments, scope)?;
        called.named.push(("caller".into(), caller));
        self.deeper(|| self.call(&callee, called))
    }

    fn call_macro(&self, number: usize, called: Called) -> Res<Value> {
        let (definition, outer) = {
            let macros = self.macros.borrow();
            let (definition, outer) = &macros[number];
            (*definition, Rc::clone(outer))
        };
        let name = &definition.name;
        let scope = Frame::within(&outer);
        let mut positional = called.positional.into_iter();
        let mut named = called.named;
        let [takes_varargs, takes_kwargs, takes_caller] = definition.takes;
        let mut missing = Vec::new();
        for (parameter, default) in &definition.parameters {
            let given = positional.next().or_else(|| {
                let at = named.iter().position(|(name, _)| **name == **parameter)?;
                Some(named.remove(at).1)
            });
            match given {
                Some(value) => scope.set(parameter, value),
                None => missing.push((parameter, default)),
            }
        }
        if takes_caller {
            let at = named.iter().position(|(name, _)| &**name == "caller");
            let caller = at.map(|at| named.remove(at).1);
            scope.set(
                "caller",
                caller.unwrap_or_else(|| Value::undefined("No caller defined")),
            );
        }
        for (parameter, default) in missing {
            let value = match default {
                Some(default) => self.expression(default, &scope)?,
                None => Value::undefined(format!("parameter '{parameter}' was not provided")),
            };
            scope.set(parameter, value);
        }
        let rest: Vec<Value> = positional.collect();
        if takes_kwargs {
            let entries = named.into_iter().map(|(name, value)| (Value::own(&*name), value));
            scope.set("kwargs", Value::map(entries.collect(), &self.meter)?);
        } else if let Some((argument, _)) = named.first() {
            return fail(format!("macro '{name}' takes no keyword argument '{argument}'"));
        }
        if takes_varargs {
            scope.set("varargs", Value::tuple(rest, &self.meter)?);
        } else if !rest.is_empty() {
            let count = definition.parameters.len();
            return fail(format!("macro '{name}' takes not more than {count} argument(s)"));
        }
        let mut text = Text::default();
        self.body(&definition.body, &scope, &mut text)?;
        Ok(Value::text(text))
    }

    fn function(&self, name: &str, called: Called) -> Res<Value> {
        match name {
            "range" => {
                let given = called.positional.len();
                let [a, b, c] = called.bind("range", ["start", "stop", "step"])?;
                let int = |value| crate::arguments::int(value, 0, "range");
                let (start, stop) = match given {
                    1 => (0, int(a)?),
                    _ => (int(a)?, int(Some(required(b, "range")?))?),
                };
                let step = crate::arguments::int(c, 1, "range")?;
                let small = |value: i128| value.unsigned_abs() < 1 << 100;
                if step == 0 {
                    return fail("range() arg 3 must not be zero");
                }
                let range = Range { start, stop, step };
                if !(small(start) && small(stop) && small(step)) || range.len() > MAX_RANGE {
                    return fail(format!("range too big; the longest has {MAX_RANGE} items"));
                }
                Ok(Value::Range(range))
            }
            "dict" => self.dict(called),
            "namespace" => {
                let entries = match self.dict(called)? {
                    Value::Map(map) => map.entries.clone(),
                    _ => Vec::new(),
                };
                let mut namespace = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let Some(key) = key.as_str() else {
                        return fail("attributes of a namespace must be strings");
                    };
                    namespace.push((Rc::from(key), value));
                }
                self.meter.spend(4)?;
                let mut namespaces = self.namespaces.borrow_mut();
                namespaces.push(namespace);
                Ok(Value::Namespace(namespaces.len() - 1))
            }
            "cycler" => {
                if called.positional.is_empty() {
                    return fail("at least one item has to be provided");
                }
                let Value::List(items) = Value::list(called.positional, &self.meter)? else {
                    return Ok(Value::None);
                };
                let mut cyclers = self.cyclers.borrow_mut();
                cyclers.push((items, 0));
                Ok(Value::Cycler(cyclers.len() - 1))
            }
            "joiner" => {
                let [separator] = called.bind("joiner", ["sep"])?;
                let mut joiners = self.joiners.borrow_mut();
                joiners.push((separator.unwrap_or_else(|| Value::own(", ")), false));
                Ok(Value::Joiner(joiners.len() - 1))
            }
            "raise_exception" => {
                let [message] = called.bind("raise_exception", ["message"])?;
                let message = self.str(&required(message, "raise_exception")?)?;
                Err(Fault::Raised(message.into_parts().0))
            }
            "strftime_now" => {
                let [format] = called.bind("strftime_now", ["format"])?;
                let format = required(format, "strftime_now")?;
                let Some(text) = format.as_text() else {
                    return fail("strftime_now: the format must be a text");
                };
                if text.len() > 1000 {
                    return Err(Fault::TooMuch);
                }
                let formatted = (self.clock)(text.as_str());
                let formatted = formatted.or_else(|error| fail(format!("strftime_now: {error}")))?;
                let mut now = Text::default();
                now.push_str(&formatted, text.has_said());
                Ok(Value::text(now))
            }
            _ => fail(format!(
                "{name}() is not supported: a rendering must be repeatable"
            )),
        }
    }

    /// `dict(…)`: pairs or a map, then names.
    fn dict(&self, called: Called) -> Res<Value> {
        let mut entries = Vec::new();
        if called.positional.len() > 1 {
            return fail(format!(
                "dict expected at most 1 argument, got {}",
                called.positional.len()
            ));
        }
        match called.positional.into_iter().next() {
            None => {}
            Some(Value::Map(map)) => entries.clone_from(&map.entries),
            Some(pairs) => {
                for pair in pairs.items(&self.meter)? {
                    let Ok([key, value]) = <[Value; 2]>::try_from(pair.items(&self.meter)?) else {
                        return fail("dict(): an element is not a pair");
                    };
                    entries.push((key, value));
                }
            }
        }
        let named = called.named.into_iter();
        entries.extend(named.map(|(name, value)| (Value::own(&*name), value)));
        Value::map(entries, &self.meter)
    }

    /// An attribute of a cycler.
    pub(crate) fn cycler(&self, number: usize, action: &str) -> Value {
        let mut cyclers = self.cyclers.borrow_mut();
        let (items, at) = &mut cyclers[number];
        let current = items.items[*at].clone();
        match action {
            "next" => {
                *at = (*at + 1) % items.items.len();
                current
            }
            "reset" => {
                *at = 0;
                Value::None
            }
            _ => current,
        }
    }
}
