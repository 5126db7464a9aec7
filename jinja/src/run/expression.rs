//! Expressions.

use std::cmp::Ordering;

use super::{Rendering, Scope};
use crate::arguments::Called;
use crate::ast::{Arguments, Binary, Comparison, Expr, Step, StepKind};
use crate::text::Text;
use crate::value::{Value, contains, equal, order};
use crate::{Res, fail, filters, format, number, tests};

/// The functions that every template has.
const FUNCTIONS: [&str; 8] = [
    "range",
    "dict",
    "namespace",
    "cycler",
    "joiner",
    "raise_exception",
    "strftime_now",
    "lipsum",
];

impl<'t> Rendering<'t> {
    pub(super) fn name(&self, name: &str, scope: &Scope<'t>) -> Value {
        if let Some(value) = scope.get(name) {
            return value;
        }
        if let Some(value) = self.variables.get(name) {
            return value.clone();
        }
        match FUNCTIONS.into_iter().find(|function| *function == name) {
            Some(function) => Value::Function(function),
            None => Value::undefined(format!("'{name}' is undefined")),
        }
    }

    pub(super) fn expression(&self, expression: &'t Expr, scope: &Scope<'t>) -> Res<Value> {
        self.deeper(|| self.value(expression, scope))
    }

    fn all(&self, expressions: &'t [Expr], scope: &Scope<'t>) -> Res<Vec<Value>> {
        expressions
            .iter()
            .map(|expression| self.expression(expression, scope))
            .collect()
    }

    fn value(&self, expression: &'t Expr, scope: &Scope<'t>) -> Res<Value> {
        Ok(match expression {
            Expr::None => Value::None,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Int(value) => Value::Int(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                Value::own(text)
            }
            Expr::Name(name) => self.name(name, scope),
            Expr::List(items) => Value::list(self.all(items, scope)?, &self.meter)?,
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?, &self.meter)?,
            Expr::Map(entries) => {
                let entry = |(key, value): &'t (Expr, Expr)| {
                    Ok((self.expression(key, scope)?, self.expression(value, scope)?))
                };
                Value::map(entries.iter().map(entry).collect::<Res<_>>()?, &self.meter)?
            }
            Expr::Not(value) => Value::Bool(!self.expression(value, scope)?.is_true()),
            Expr::Negative(value) => {
                let value = self.expression(value, scope)?;
                self.binary(Binary::Subtract, &Value::Int(0), &value)
                    .map(|difference| match (value, difference) {
                        (Value::Float(value), _) => Value::Float(-value),
                        (_, difference) => difference,
                    })?
            }
            Expr::Positive(value) => {
                let value = self.expression(value, scope)?;
                self.binary(Binary::Add, &Value::Int(0), &value)?
            }
            Expr::Chain(first, rest) => {
                let mut value = self.expression(first, scope)?;
                for (operation, operand) in rest {
                    let operand = self.expression(operand, scope)?;
                    value = self.binary(*operation, &value, &operand)?;
                }
                value
            }
            Expr::Concat(parts) => {
                let mut text = Text::default();
                for part in parts {
                    let part = self.expression(part, scope)?;
                    self.write_str(&part, &mut text)?;
                }
                Value::text(text)
            }
            Expr::Compare(first, rest) => {
                let mut left = self.expression(first, scope)?;
                let mut holds = true;
                for (comparison, right) in rest {
                    let right = self.expression(right, scope)?;
                    holds = self.compare(*comparison, &left, &right)?;
                    if !holds {
                        break;
                    }
                    left = right;
                }
                Value::Bool(holds)
            }
            Expr::And(parts) => self.first_of(parts, scope, false)?,
            Expr::Or(parts) => self.first_of(parts, scope, true)?,
            Expr::If {
                test,
                then,
                otherwise,
            } => {
                if self.expression(test, scope)?.is_true() {
                    return self.expression(then, scope);
                }
                match otherwise {
                    Some(otherwise) => self.expression(otherwise, scope)?,
                    None => Value::undefined("the inline if has no else, and its condition is false"),
                }
            }
            Expr::Steps(first, steps) => {
                let value = self.expression(first, scope)?;
                self.steps(value, steps, scope)?
            }
        })
    }

    /// The first value whose truth is `truth`, else the last.
    fn first_of(&self, parts: &'t [Expr], scope: &Scope<'t>, truth: bool) -> Res<Value> {
        let mut value = Value::None;
        for part in parts {
            value = self.expression(part, scope)?;
            if value.is_true() == truth {
                break;
            }
        }
        Ok(value)
    }

    fn compare(&self, comparison: Comparison, a: &Value, b: &Value) -> Res<bool> {
        let meter = &self.meter;
        Ok(match comparison {
            Comparison::Equal => equal(a, b, meter)?,
            Comparison::NotEqual => !equal(a, b, meter)?,
            Comparison::Less => order(a, b, meter)? == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order(a, b, meter)?, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order(a, b, meter)? == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => {
                matches!(order(a, b, meter)?, Some(Ordering::Greater | Ordering::Equal))
            }
            Comparison::In => contains(b, a, meter)?,
            Comparison::NotIn => !contains(b, a, meter)?,
        })
    }

    pub(super) fn binary(&self, operation: Binary, a: &Value, b: &Value) -> Res<Value> {
        self.meter.spend(1)?;
        if let (Binary::Remainder, Value::Text(pattern)) = (operation, a) {
            return format::percent(self, pattern, b);
        }
        for value in [a, b] {
            if let Value::Undefined(what) = value {
                return fail(&**what);
            }
        }
        match (operation, a, b) {
            (Binary::Add, Value::Text(a), Value::Text(b)) => {
                self.meter.spend_bytes(a.len() + b.len())?;
                let escaped = |text: &Text, wanted: bool| match wanted && !text.markup {
                    true => filters::escaped(text),
                    false => text.clone(),
                };
                let markup = a.markup || b.markup;
                let mut text = escaped(a, markup);
                text.push(&escaped(b, markup));
                text.markup = markup;
                return Ok(Value::text(text));
            }
            (Binary::Add, Value::List(a), Value::List(b)) => {
                return Value::list([&a.items[..], &b.items].concat(), &self.meter);
            }
            (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => {
                return Value::tuple([&a.items[..], &b.items].concat(), &self.meter);
            }
            (Binary::Multiply, sequence, count) | (Binary::Multiply, count, sequence)
                if count.as_int().is_some()
                    && matches!(sequence, Value::Text(_) | Value::List(_) | Value::Tuple(_)) =>
            {
                return self.repeated(sequence, count.as_int().unwrap_or(0));
            }
            _ => {}
        }
        number::arithmetic(operation, a, b).unwrap_or_else(|| {
            let sign = match operation {
                Binary::Add => "+",
                Binary::Subtract => "-",
                Binary::Multiply => "*",
                Binary::Divide => "/",
                Binary::FloorDivide => "//",
                Binary::Remainder => "%",
                Binary::Power => "**",
            };
            let (a, b) = (a.type_name(), b.type_name());
            fail(format!("unsupported operand type(s) for {sign}: '{a}' and '{b}'"))
        })
    }

    fn repeated(&self, sequence: &Value, count: i128) -> Res<Value> {
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        match sequence {
            Value::Text(text) => {
                if text.is_empty() {
                    return Ok(sequence.clone());
                }
                self.meter.spend_bytes(text.len().saturating_mul(count))?;
                if count > 0 && text.len() < 64 {
                    self.meter
                        .spend(if text.has_said() { count } else { count / 16 })?;
                }
                let mut all = Text::default();
                (0..count).for_each(|_| all.push(text));
                Ok(Value::text(all))
            }
            Value::List(list) | Value::Tuple(list) => {
                self.meter.spend(list.items.len().saturating_mul(count))?;
                let items = if list.items.is_empty() {
                    Vec::new()
                } else {
                    std::iter::repeat_n(&list.items, count)
                        .flatten()
                        .cloned()
                        .collect()
                };
                match sequence {
                    Value::List(_) => Value::list(items, &self.meter),
                    _ => Value::tuple(items, &self.meter),
                }
            }
            _ => Ok(Value::None),
        }
    }

    /// One step of a chain.
    pub(super) fn step(&self, value: Value, step: &'t Step, scope: &Scope<'t>) -> Res<Value> {
        self.meter.spend(1)?;
        let at = |line: u32| self.line.set(line);
        match &step.kind {
            StepKind::Attribute(name) => {
                at(step.line);
                self.attribute(&value, name)
            }
            StepKind::Item(index) => {
                let index = self.expression(index, scope)?;
                at(step.line);
                self.item(&value, &index)
            }
            StepKind::Slice(parts) => {
                let part = |at: usize| match &parts[at] {
                    None => Ok(Value::None),
                    Some(part) => self.expression(part, scope),
                };
                let parts = [part(0)?, part(1)?, part(2)?];
                at(step.line);
                self.slice(&value, parts)
            }
            StepKind::Call(arguments) => {
                let called = self.arguments(arguments, scope)?;
                at(step.line);
                self.deeper(|| self.call(&value, called))
            }
            StepKind::Filter(name, arguments) => {
                let called = self.arguments(arguments, scope)?;
                at(step.line);
                self.deeper(|| self.filter(name, &value, called))
            }
            StepKind::Test {
                name,
                arguments,
                negated,
            } => {
                let called = self.arguments(arguments, scope)?;
                at(step.line);
                let passes = tests::passes(self, name, &value, called)?;
                Ok(Value::Bool(passes != *negated))
            }
        }
    }

    pub(super) fn arguments(&self, arguments: &'t Arguments, scope: &Scope<'t>) -> Res<Called> {
        let mut called = Called {
            positional: self.all(&arguments.positional, scope)?,
            named: Vec::with_capacity(arguments.named.len()),
        };
        for (name, value) in &arguments.named {
            called
                .named
                .push((name.as_str().into(), self.expression(value, scope)?));
        }
        if let Some(list) = &arguments.spread {
            let list = self.expression(list, scope)?;
            called.positional.extend(list.items(&self.meter)?);
        }
        if let Some(map) = &arguments.spread_named {
            match self.expression(map, scope)? {
                Value::Map(map) => {
                    for (key, value) in &map.entries {
                        self.meter.spend(1)?;
                        let Some(key) = key.as_str() else {
                            return fail("keywords must be strings");
                        };
                        called.named.push((key.into(), value.clone()));
                    }
                }
                other => {
                    return fail(format!(
                        "argument after ** must be a mapping, not {}",
                        other.type_name()
                    ));
                }
            }
        }
        Ok(called)
    }
}
