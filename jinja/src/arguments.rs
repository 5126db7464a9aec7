//! The arguments of a call, matched with a function's parameters.

use std::rc::Rc;

use crate::text::Text;
use crate::value::Value;
use crate::{Res, fail};

/// Evaluated arguments.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Rc<str>, Value)>,
}

impl Called {
    /// The arguments in the order of `parameters`; `None` if one is not given.
    pub(crate) fn bind<const N: usize>(
        self,
        function: &str,
        parameters: [&str; N],
    ) -> Res<[Option<Value>; N]> {
        if self.positional.len() > N {
            return fail(format!(
                "{function}() takes at most {N} arguments ({} given)",
                self.positional.len()
            ));
        }
        let mut bound = [const { None }; N];
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            match parameters.iter().position(|parameter| **parameter == *name) {
                None => return fail(format!("{function}() got an unexpected argument '{name}'")),
                Some(at) if bound[at].is_some() => {
                    return fail(format!("{function}() got several values for argument '{name}'"));
                }
                Some(at) => bound[at] = Some(value),
            }
        }
        Ok(bound)
    }
}

/// A required argument.
pub(crate) fn required(value: Option<Value>, function: &str) -> Res<Value> {
    value.map_or_else(|| fail(format!("{function}() misses an argument")), Ok)
}

/// An integer argument.
pub(crate) fn int(value: Option<Value>, default: i128, function: &str) -> Res<i128> {
    match value {
        None => Ok(default),
        Some(value) => value.as_int().map_or_else(
            || {
                fail(format!(
                    "{function}(): '{}' object cannot be interpreted as an integer",
                    value.type_name()
                ))
            },
            Ok,
        ),
    }
}

/// A text argument; `None` is as if it were not given.
pub(crate) fn text(value: Option<Value>, function: &str) -> Res<Option<Rc<Text>>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(other) => fail(format!(
            "{function}(): argument must be str, not {}",
            other.type_name()
        )),
    }
}

/// A Boolean argument: any value's truth.
pub(crate) fn flag(value: Option<Value>, default: bool) -> bool {
    value.map_or(default, |value| value.is_true())
}
