//! The instructions by which Python would call something: what they would give.

use std::collections::hash_map::Entry;

use super::{Global, Object, Res, Running, Storage, Tensor, Value, text_of};

impl Running<'_> {
    /// A storage by its persistent id: `('storage', type, key, place, number of elements)`. Its place was a device.
    pub(super) fn storage(&mut self) -> Res<()> {
        let Some(
            [
                kind,
                Value::Global(Global::Storage(dtype)),
                key,
                place,
                Value::Int(len),
            ],
        ) = self.pop_values()?
        else {
            return self.damaged("a storage that is described in another way");
        };
        let (Some("storage"), Some(key), Some(_)) = (
            text_of(self.pickle, kind),
            text_of(self.pickle, key),
            text_of(self.pickle, place),
        ) else {
            return self.damaged("a storage that is described in another way");
        };
        let Ok(len) = u64::try_from(len) else {
            return self.damaged("a storage of a negative size");
        };
        let storage = Storage { key, dtype, len };
        // There are fewer storages than values on the heap, which are below 2^20.
        let number = match self.by_key.entry(key) {
            Entry::Vacant(slot) => {
                self.storages.push(storage);
                *slot.insert((self.storages.len() - 1) as u32)
            }
            Entry::Occupied(slot) => *slot.get(),
        };
        if self.storages.get(number as usize) != Some(&storage) {
            return self.damaged("a storage that has two types or sizes");
        }
        self.push_object(Object::Storage(number))
    }

    /// What a call of one of the three functions would give.
    pub(super) fn reduce(&mut self) -> Res<()> {
        let arguments = self.pop()?;
        let Value::Global(function) = self.pop()? else {
            return self.damaged("a call of what is no function");
        };
        let Some(Object::Tuple(values)) = self.object(arguments) else {
            return self.damaged("a call without its arguments");
        };
        match (function, values.as_slice()) {
            (Global::OrderedDict, []) => self.push_object(Object::Map {
                items: Vec::new(),
                ordered: true,
            }),
            (
                Global::RebuildTensor,
                &[
                    storage,
                    Value::Int(offset),
                    Value::Object(sizes),
                    Value::Object(strides),
                    Value::Bool(_),
                    hooks,
                ],
            ) if self.is_map(hooks, true) => match self.object(storage) {
                Some(&Object::Storage(storage)) => self.push_object(Object::Tensor(Tensor {
                    storage,
                    offset,
                    sizes,
                    strides,
                })),
                _ => self.damaged("a tensor without a storage"),
            },
            (Global::RebuildParameter, &[tensor, Value::Bool(_), hooks])
                if self.is_map(hooks, true) && matches!(self.object(tensor), Some(Object::Tensor(_))) =>
            {
                self.push(tensor)
            }
            _ => self.damaged("a call that torch does not write"),
        }
    }

    /// Attributes of an object: torch writes the versions of modules, `_metadata`, and nothing else.
    pub(super) fn build(&mut self) -> Res<()> {
        let state = self.pop()?;
        let target = self.top()?;
        let is_metadata = match self.object(state) {
            Some(Object::Map { items, .. }) => match items.as_slice() {
                [(key, value)] => {
                    text_of(self.pickle, *key) == Some("_metadata") && self.is_map(*value, true)
                }
                _ => false,
            },
            _ => false,
        };
        match is_metadata && self.is_map(target, true) {
            true => Ok(()),
            false => self.damaged("attributes that torch does not write"),
        }
    }

    /// Adds keys and values to the map on the stack.
    pub(super) fn set(&mut self, items: Vec<Value>) -> Res<()> {
        let top = self.top()?;
        let map = match top {
            Value::Object(at) => self.heap.get_mut(at as usize),
            _ => None,
        };
        let (pairs, rest) = items.as_chunks::<2>();
        match map {
            Some(Object::Map { items, .. }) if rest.is_empty() => {
                items.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => self.damaged("entries without a map"),
        }
    }
}
