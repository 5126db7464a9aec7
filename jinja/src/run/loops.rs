//! Loops, and the variable `loop`.

use std::rc::Rc;

use super::{Flow, Frame, Rendering, Scope};
use crate::arguments::Called;
use crate::ast::For;
use crate::text::Text;
use crate::value::Value;
use crate::{Res, fail};

/// A loop that runs or has run.
pub(super) struct Loop<'t> {
    definition: &'t For,
    outer: Scope<'t>,
    items: Rc<Vec<Value>>,
    index: usize,
    depth: usize,
    /// What `changed` saw last.
    changed: Option<Vec<Value>>,
}

impl<'t> Rendering<'t> {
    /// Runs a loop over `list`; `depth` is how many recursive calls it is in.
    pub(super) fn for_loop(
        &self,
        definition: &'t For,
        list: &Value,
        outer: &Scope<'t>,
        depth: usize,
        out: &mut Text,
    ) -> Res<()> {
        let mut items = list.items(&self.meter)?;
        let mut test = definition.test.as_ref();
        if definition.uses_loop && test.is_some() {
            let mut passed = Vec::new();
            for item in items {
                let scope = Frame::within(outer);
                self.assign(&definition.target, item.clone(), &scope)?;
                if self.passes(test, &scope)? {
                    passed.push(item);
                }
            }
            (items, test) = (passed, None);
        }
        let items = Rc::new(items);
        let number = definition.uses_loop.then(|| {
            let mut loops = self.loops.borrow_mut();
            loops.push(Loop {
                definition,
                outer: Rc::clone(outer),
                items: Rc::clone(&items),
                index: 0,
                depth,
                changed: None,
            });
            loops.len() - 1
        });
        let mut any = false;
        for (index, item) in items.iter().enumerate() {
            self.meter.spend(2)?;
            let scope = Frame::within(outer);
            self.assign(&definition.target, item.clone(), &scope)?;
            if !self.passes(test, &scope)? {
                continue;
            }
            any = true;
            if let Some(number) = number {
                self.loops.borrow_mut()[number].index = index;
                scope.set("loop", Value::Loop(number));
            }
            if self.body(&definition.body, &scope, out)? == Flow::Break {
                break;
            }
        }
        if !any {
            self.body(&definition.otherwise, &Frame::within(outer), out)?;
        }
        Ok(())
    }

    fn passes(&self, test: Option<&'t crate::ast::Expr>, scope: &Scope<'t>) -> Res<bool> {
        match test {
            None => Ok(true),
            Some(test) => Ok(self.expression(test, scope)?.is_true()),
        }
    }

    /// `loop(list)` in a recursive loop.
    pub(super) fn recurse(&self, number: usize, called: Called) -> Res<Value> {
        let [list] = called.bind("loop", ["iterable"])?;
        let list = crate::arguments::required(list, "loop")?;
        let (definition, outer, depth) = {
            let loops = self.loops.borrow();
            let running = &loops[number];
            (running.definition, Rc::clone(&running.outer), running.depth)
        };
        if !definition.recursive {
            return fail("the loop must have the 'recursive' marker to be called recursively");
        }
        let mut text = Text::default();
        self.deeper(|| self.for_loop(definition, &list, &outer, depth + 1, &mut text))?;
        Ok(Value::text(text))
    }

    /// `loop.index` and the others.
    pub(crate) fn loop_attribute(&self, number: usize, name: &str) -> Res<Option<Value>> {
        let loops = self.loops.borrow();
        let Loop {
            items, index, depth, ..
        } = &loops[number];
        let int = |value: usize| Value::Int(value as i128);
        Ok(Some(match name {
            "index" => int(index + 1),
            "index0" => int(*index),
            "revindex" => int(items.len() - index),
            "revindex0" => int(items.len() - index - 1),
            "first" => Value::Bool(*index == 0),
            "last" => Value::Bool(index + 1 == items.len()),
            "length" => int(items.len()),
            "depth" => int(depth + 1),
            "depth0" => int(*depth),
            "previtem" => match index.checked_sub(1) {
                Some(before) => items[before].clone(),
                None => Value::undefined("there is no previous item"),
            },
            "nextitem" => match items.get(index + 1) {
                Some(item) => item.clone(),
                None => Value::undefined("there is no next item"),
            },
            "cycle" => Value::Loop(number).bound("cycle")?,
            "changed" => Value::Loop(number).bound("changed")?,
            _ => return Ok(None),
        }))
    }

    pub(crate) fn loop_text(&self, number: usize) -> String {
        let loops = self.loops.borrow();
        format!(
            "<LoopContext {}/{}>",
            loops[number].index + 1,
            loops[number].items.len()
        )
    }

    /// `loop.cycle(…)`.
    pub(crate) fn loop_cycle(&self, number: usize, values: &[Value]) -> Res<Value> {
        let index = self.loops.borrow()[number].index;
        match values.len() {
            0 => fail("no items for cycling given"),
            count => Ok(values[index % count].clone()),
        }
    }

    /// `loop.changed(…)`.
    pub(crate) fn loop_changed(&self, number: usize, values: Vec<Value>) -> Res<Value> {
        let old = self.loops.borrow_mut()[number].changed.take();
        let same = match old {
            None => false,
            Some(old) => {
                let (old, new) = (
                    Value::list(old, &self.meter)?,
                    Value::list(values.clone(), &self.meter)?,
                );
                crate::value::equal(&old, &new, &self.meter)?
            }
        };
        self.loops.borrow_mut()[number].changed = Some(values);
        Ok(Value::Bool(!same))
    }
}
