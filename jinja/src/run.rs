//! Renders a template: statements, and what a rendering keeps. Expressions are in `expression`, calls in `call`.

mod call;
mod expression;
mod loops;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::{Body, Kind, Macro, Statement, Target};
use crate::text::Text;
use crate::value::{List, Value};
use crate::{Clock, Fault, Input, Meter, RenderError, Rendered, Res, fail, filters};
use loops::Loop;

/// How deep statements, expressions and calls may be in one another while they run.
const MAX_DEPTH: usize = 200;
/// The longest text that a template may produce, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Names and their values, around which are those of the enclosing statement.
#[derive(Debug)]
pub(crate) struct Frame<'t> {
    names: RefCell<HashMap<&'t str, Value>>,
    outer: Option<Scope<'t>>,
}

type Scope<'t> = Rc<Frame<'t>>;

/// What a namespace holds.
type Attributes = Vec<(Rc<str>, Value)>;

impl<'t> Frame<'t> {
    fn within(outer: &Scope<'t>) -> Scope<'t> {
        Rc::new(Frame {
            names: RefCell::default(),
            outer: Some(Rc::clone(outer)),
        })
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mut frame = Some(self);
        while let Some(inner) = frame {
            if let Some(value) = inner.names.borrow().get(name) {
                return Some(value.clone());
            }
            frame = inner.outer.as_deref();
        }
        None
    }

    fn set(&self, name: &'t str, value: Value) {
        self.names.borrow_mut().insert(name, value);
    }
}

/// A rendering in progress. What values refer to by number is kept here, and freed at the end.
pub(crate) struct Rendering<'t> {
    pub(crate) meter: Meter,
    clock: &'t Clock<'t>,
    variables: HashMap<&'t str, Value>,
    namespaces: RefCell<Vec<Attributes>>,
    macros: RefCell<Vec<(&'t Macro, Scope<'t>)>>,
    loops: RefCell<Vec<Loop<'t>>>,
    cyclers: RefCell<Vec<(Rc<List>, usize)>>,
    joiners: RefCell<Vec<(Value, bool)>>,
    depth: Cell<usize>,
    line: Cell<u32>,
}

/// How a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// Renders a template.
pub(crate) fn render<'t>(
    body: &'t Body,
    variables: &'t [(&str, Input)],
    clock: &'t Clock<'t>,
    meter: Meter,
) -> Result<Rendered, RenderError> {
    let rendering = Rendering {
        meter,
        clock,
        variables: HashMap::new(),
        namespaces: RefCell::default(),
        macros: RefCell::default(),
        loops: RefCell::default(),
        cyclers: RefCell::default(),
        joiners: RefCell::default(),
        depth: Cell::new(0),
        line: Cell::new(1),
    };
    let mut out = Text::default();
    rendering.template(body, variables, &mut out)?;
    let (text, said) = out.into_parts();
    Ok(Rendered { text, said })
}

/// A given value.
fn given(input: &Input, meter: &Meter) -> Res<Value> {
    Ok(match input {
        Input::None => Value::None,
        Input::Bool(value) => Value::Bool(*value),
        Input::Int(value) => Value::Int((*value).into()),
        Input::Float(value) => Value::Float(*value),
        Input::Text(text) => Value::own(text),
        Input::Said(text) => Value::text(Text::said(text)),
        Input::List(items) => {
            let items = items.iter().map(|item| given(item, meter)).collect::<Res<_>>()?;
            Value::list(items, meter)?
        }
        Input::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((Value::own(key), given(value, meter)?)));
            Value::map(entries.collect::<Res<_>>()?, meter)?
        }
    })
}

impl<'t> Rendering<'t> {
    fn template(
        mut self,
        body: &'t Body,
        variables: &'t [(&str, Input)],
        out: &mut Text,
    ) -> Result<(), RenderError> {
        let done = self.fill(variables).and_then(|()| {
            let root = Rc::new(Frame {
                names: RefCell::default(),
                outer: None,
            });
            self.body(body, &root, out)
        });
        match done {
            Ok(_) => Ok(()),
            Err(Fault::Raised(message)) => Err(RenderError::Raised(message)),
            Err(Fault::TooMuch) => Err(RenderError::TooMuch),
            Err(Fault::Failed(message)) => Err(RenderError::Failed {
                line: self.line.get(),
                message,
            }),
        }
    }

    fn fill(&mut self, variables: &'t [(&str, Input)]) -> Res<()> {
        for (name, input) in variables {
            let value = given(input, &self.meter)?;
            self.variables.insert(name, value);
        }
        Ok(())
    }

    /// Runs `work` one level deeper.
    fn deeper<T>(&self, work: impl FnOnce() -> Res<T>) -> Res<T> {
        self.meter.spend(1)?;
        if self.depth.get() == MAX_DEPTH {
            return Err(Fault::TooMuch);
        }
        self.depth.set(self.depth.get() + 1);
        let done = work();
        self.depth.set(self.depth.get() - 1);
        done
    }

    /// Runs statements.
    fn body(&self, body: &'t [Statement], scope: &Scope<'t>, out: &mut Text) -> Res<Flow> {
        self.deeper(|| {
            for statement in body {
                self.line.set(statement.line);
                self.meter.spend(1)?;
                let flow = self.statement(&statement.kind, scope, out)?;
                if out.len() > MAX_TEXT {
                    return Err(Fault::TooMuch);
                }
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
            Ok(Flow::On)
        })
    }

    fn statement(&self, kind: &'t Kind, scope: &Scope<'t>, out: &mut Text) -> Res<Flow> {
        match kind {
            Kind::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                out.push_str(text, false);
            }
            Kind::Print(value) => {
                let value = self.expression(value, scope)?;
                self.write_str(&value, out)?;
            }
            Kind::If { arms, otherwise } => {
                for (test, body) in arms {
                    if self.expression(test, scope)?.is_true() {
                        return self.body(body, scope, out);
                    }
                }
                return self.body(otherwise, scope, out);
            }
            Kind::For(definition) => {
                let list = self.expression(&definition.list, scope)?;
                self.for_loop(definition, &list, scope, 0, out)?;
            }
            Kind::Set(target, value) => {
                let value = self.expression(value, scope)?;
                self.assign(target, value, scope)?;
            }
            Kind::SetBlock {
                target,
                filters,
                body,
            } => {
                let mut text = Text::default();
                let flow = self.body(body, scope, &mut text)?;
                if flow != Flow::On {
                    return Ok(flow);
                }
                let value = self.steps(Value::text(text), filters, scope)?;
                self.assign(target, value, scope)?;
            }
            Kind::Macro(definition) => {
                let value = self.define(definition, scope)?;
                scope.set(&definition.name, value);
            }
            Kind::Call { caller, call } => {
                let caller = self.define(caller, scope)?;
                let value = self.call_with_caller(call, caller, scope)?;
                self.write_str(&value, out)?;
            }
            Kind::Filter { filters, body } => {
                let mut text = Text::default();
                let flow = self.body(body, &Frame::within(scope), &mut text)?;
                if flow != Flow::On {
                    return Ok(flow);
                }
                let value = self.steps(Value::text(text), filters, scope)?;
                self.write_str(&value, out)?;
            }
            Kind::With { values, body } => {
                let inner = Frame::within(scope);
                for (target, value) in values {
                    let value = self.expression(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.body(body, &inner, out);
            }
            Kind::Scope(body) => return self.body(body, &Frame::within(scope), out),
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn define(&self, definition: &'t Macro, scope: &Scope<'t>) -> Res<Value> {
        self.meter.spend(4)?;
        let mut macros = self.macros.borrow_mut();
        macros.push((definition, Rc::clone(scope)));
        Ok(Value::Macro(macros.len() - 1))
    }

    fn assign(&self, target: &'t Target, value: Value, scope: &Scope<'t>) -> Res<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Attribute(name, attribute) => match self.name(name, scope) {
                Value::Namespace(number) => self.set_in_namespace(number, attribute, value)?,
                _ => return fail("cannot assign attribute on non-namespace object"),
            },
            Target::Tuple(targets) => {
                let values = value.items(&self.meter)?;
                if values.len() != targets.len() {
                    let (wanted, found) = (targets.len(), values.len());
                    return fail(format!("cannot unpack {found} values into {wanted} names"));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
        }
        Ok(())
    }

    fn set_in_namespace(&self, number: usize, attribute: &str, value: Value) -> Res<()> {
        let mut namespaces = self.namespaces.borrow_mut();
        let entries = &mut namespaces[number];
        self.meter.spend(1 + entries.len() / 8)?;
        match entries.iter_mut().find(|(name, _)| **name == *attribute) {
            Some((_, old)) => *old = value,
            None => entries.push((attribute.into(), value)),
        }
        Ok(())
    }

    /// The entries of a namespace.
    pub(crate) fn namespace_entries(&self, number: usize) -> Vec<(Value, Value)> {
        let namespaces = self.namespaces.borrow();
        namespaces[number]
            .iter()
            .map(|(name, value)| (Value::own(&**name), value.clone()))
            .collect()
    }

    /// An attribute of a namespace.
    pub(crate) fn in_namespace(&self, number: usize, attribute: &str) -> Option<Value> {
        let namespaces = self.namespaces.borrow();
        let found = namespaces[number].iter().find(|(name, _)| **name == *attribute);
        found.map(|(_, value)| value.clone())
    }

    pub(crate) fn macro_name(&self, number: usize) -> &'t str {
        &self.macros.borrow()[number].0.name
    }

    fn steps(&self, value: Value, filters: &'t [crate::ast::Step], scope: &Scope<'t>) -> Res<Value> {
        let mut value = value;
        for step in filters {
            value = self.step(value, step, scope)?;
        }
        Ok(value)
    }

    /// `value | name(…)`.
    pub(crate) fn filter(&self, name: &str, value: &Value, called: crate::arguments::Called) -> Res<Value> {
        self.meter.spend(1)?;
        filters::apply(self, name, value, called)
    }
}
