//! The stack machine of a pickle, protocol 2, with the instructions that torch writes for a `state_dict`. It makes
//! values and calls nothing: of what Python would call, it knows the results.
//!
//! Work and memory are bounded by the pickle's length and the limits here; nothing recurses, however deep values are.

mod calls;

use std::collections::HashMap;

use super::PickleError;

/// The most instructions, and the most values on the stack, in the memo, and on the heap.
const MAX_INSTRUCTIONS: usize = 1 << 21;
const MAX_VALUES: usize = 1 << 20;
/// How deep marks may nest: torch's weights need five.
const MAX_DEPTH: usize = 64;
/// The longest name of a module or of something in it, in bytes.
const MAX_NAME: usize = 128;

/// What a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// The type of a storage's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    Bool,
    I8,
    I16,
    I32,
    I64,
}

/// All that may be named, by module and name.
const GLOBALS: [(&str, &str, Global); 13] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch", "HalfStorage", Global::Storage(Dtype::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Dtype::Bf16)),
    ("torch", "FloatStorage", Global::Storage(Dtype::F32)),
    ("torch", "DoubleStorage", Global::Storage(Dtype::F64)),
    ("torch", "ByteStorage", Global::Storage(Dtype::U8)),
    ("torch", "BoolStorage", Global::Storage(Dtype::Bool)),
    ("torch", "CharStorage", Global::Storage(Dtype::I8)),
    ("torch", "ShortStorage", Global::Storage(Dtype::I16)),
    ("torch", "IntStorage", Global::Storage(Dtype::I32)),
    ("torch", "LongStorage", Global::Storage(Dtype::I64)),
];

/// A value on the stack. What may be large is elsewhere: a text in the pickle, an object on the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Bytes of the pickle that are UTF-8.
    Text(u32, u32),
    Global(Global),
    Object(u32),
}

/// A value on the heap.
#[derive(Debug)]
pub(super) enum Object {
    Tuple(Vec<Value>),
    Map {
        items: Vec<(Value, Value)>,
        ordered: bool,
    },
    /// Number of a storage.
    Storage(u32),
    Tensor(Tensor),
}

/// A storage: an entry of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'p> {
    pub(super) key: &'p str,
    pub(super) dtype: Dtype,
    /// Number of elements.
    pub(super) len: u64,
}

/// A tensor: a part of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tensor {
    /// Number of the storage.
    pub(super) storage: u32,
    /// Element of the storage that is the first one.
    pub(super) offset: i64,
    /// Numbers of the tuples with the sizes and strides.
    pub(super) sizes: u32,
    pub(super) strides: u32,
}

/// A machine that has stopped.
#[derive(Debug)]
pub(super) struct Machine<'p> {
    pickle: &'p [u8],
    pub(super) heap: Vec<Object>,
    pub(super) storages: Vec<Storage<'p>>,
    /// The value that the pickle is of.
    pub(super) result: Value,
}

impl<'p> Machine<'p> {
    /// A value as text.
    pub(super) fn text(&self, value: Value) -> Option<&'p str> {
        text_of(self.pickle, value)
    }

    /// The object that a value is.
    pub(super) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(at) => self.heap.get(at as usize),
            _ => None,
        }
    }

    /// The whole numbers of tuple number `at`.
    pub(super) fn numbers(&self, at: u32) -> Option<Vec<u64>> {
        let Some(Object::Tuple(values)) = self.heap.get(at as usize) else {
            return None;
        };
        let number = |value: &Value| match *value {
            Value::Int(n) => u64::try_from(n).ok(),
            _ => None,
        };
        values.iter().map(number).collect()
    }
}

fn text_of(pickle: &[u8], value: Value) -> Option<&str> {
    let Value::Text(start, end) = value else {
        return None;
    };
    std::str::from_utf8(pickle.get(start as usize..end as usize)?).ok()
}

/// Runs a pickle of at most 4 GiB.
pub(super) fn run(pickle: &[u8]) -> Result<Machine<'_>, PickleError> {
    let mut running = Running {
        pickle,
        at: 0,
        start: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        heap: Vec::new(),
        storages: Vec::new(),
        by_key: HashMap::new(),
    };
    for _ in 0..MAX_INSTRUCTIONS {
        if let Some(result) = running.step()? {
            return Ok(Machine {
                pickle,
                heap: running.heap,
                storages: running.storages,
                result,
            });
        }
    }
    Err(PickleError::Limit("instructions"))
}

struct Running<'p> {
    pickle: &'p [u8],
    /// Position of the next byte.
    at: usize,
    /// Position of the instruction.
    start: usize,
    stack: Vec<Value>,
    /// Lengths that the stack had at the marks.
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    heap: Vec<Object>,
    storages: Vec<Storage<'p>>,
    by_key: HashMap<&'p str, u32>,
}

type Res<T> = Result<T, PickleError>;

impl<'p> Running<'p> {
    fn damaged<T>(&self, what: &'static str) -> Res<T> {
        Err(PickleError::Damaged { what, at: self.start })
    }

    fn take(&mut self, len: usize) -> Res<&'p [u8]> {
        let end = self.at.checked_add(len);
        let Some(bytes) = end.and_then(|end| self.pickle.get(self.at..end)) else {
            return self.damaged("an early end");
        };
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Res<[u8; N]> {
        let bytes = self.take(N)?;
        bytes
            .first_chunk()
            .copied()
            .map_or_else(|| self.damaged("an early end"), Ok)
    }

    fn byte(&mut self) -> Res<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Res<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A name up to the end of its line.
    fn line(&mut self) -> Res<&'p str> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let rest = &rest[..rest.len().min(MAX_NAME)];
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            return self.damaged("a name without an end");
        };
        self.at += len + 1;
        std::str::from_utf8(&rest[..len]).or_else(|_| self.damaged("a name that is not UTF-8"))
    }

    fn push(&mut self, value: Value) -> Res<()> {
        if self.stack.len() >= MAX_VALUES {
            return Err(PickleError::Limit("values"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_object(&mut self, object: Object) -> Res<()> {
        if self.heap.len() >= MAX_VALUES {
            return Err(PickleError::Limit("values"));
        }
        self.heap.push(object);
        // Below MAX_VALUES.
        self.push(Value::Object((self.heap.len() - 1) as u32))
    }

    /// The last value above the last mark.
    fn pop(&mut self) -> Res<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().unwrap_or(Value::None)),
            false => self.damaged("a value that is missing"),
        }
    }

    /// The last value above the last mark, which stays.
    fn top(&mut self) -> Res<Value> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }

    /// The values above the last mark.
    fn pop_mark(&mut self) -> Res<Vec<Value>> {
        match self.marks.pop() {
            Some(floor) => Ok(self.stack.split_off(floor)),
            None => self.damaged("a mark that is missing"),
        }
    }

    fn pop_tuple(&mut self, len: usize) -> Res<()> {
        let mut values = Vec::with_capacity(len);
        for _ in 0..len {
            values.push(self.pop()?);
        }
        values.reverse();
        self.push_object(Object::Tuple(values))
    }

    fn remember(&mut self, number: usize) -> Res<()> {
        if number >= MAX_VALUES {
            return Err(PickleError::Limit("remembered values"));
        }
        let top = self.top()?;
        if self.memo.len() <= number {
            self.memo.resize(number + 1, None);
        }
        self.memo[number] = Some(top);
        Ok(())
    }

    fn recall(&mut self, number: usize) -> Res<()> {
        match self.memo.get(number).copied().flatten() {
            Some(value) => self.push(value),
            None => self.damaged("a remembered value that is missing"),
        }
    }

    /// Carries out an instruction; the value of the pickle if it was the last one.
    fn step(&mut self) -> Res<Option<Value>> {
        self.start = self.at;
        let opcode = self.byte()?;
        match opcode {
            0x80 => match self.byte()? {
                2 => {}
                _ => return self.damaged("another protocol than 2"),
            },
            b'}' => self.push_object(Object::Map {
                items: Vec::new(),
                ordered: false,
            })?,
            b')' => self.push_object(Object::Tuple(Vec::new()))?,
            b'(' => {
                if self.marks.len() >= MAX_DEPTH {
                    return Err(PickleError::Limit("depth"));
                }
                self.marks.push(self.stack.len());
            }
            b'q' => {
                let number = self.byte()?;
                self.remember(number.into())?;
            }
            b'r' => {
                let number = self.u32()?;
                self.remember(number as usize)?;
            }
            b'h' => {
                let number = self.byte()?;
                self.recall(number.into())?;
            }
            b'j' => {
                let number = self.u32()?;
                self.recall(number as usize)?;
            }
            b'X' => {
                let len = self.u32()? as usize;
                let start = self.at;
                if std::str::from_utf8(self.take(len)?).is_err() {
                    return self.damaged("a text that is not UTF-8");
                }
                self.push(Value::Text(start as u32, self.at as u32))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let number = self.byte()?;
                self.push(Value::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            0x8a => {
                let number = self.long()?;
                self.push(Value::Int(number))?;
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b't' => {
                let values = self.pop_mark()?;
                self.push_object(Object::Tuple(values))?;
            }
            0x85..=0x87 => self.pop_tuple(usize::from(opcode - 0x84))?,
            b'c' => self.global()?,
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(items)?;
            }
            b'.' => {
                let result = self.pop()?;
                return match self.stack.is_empty() && self.marks.is_empty() && self.at == self.pickle.len() {
                    true => Ok(Some(result)),
                    false => self.damaged("an end that is not the end"),
                };
            }
            _ => {
                return Err(PickleError::Instruction {
                    opcode,
                    at: self.start,
                });
            }
        }
        Ok(None)
    }

    /// A whole number of up to eight bytes, the lowest first.
    fn long(&mut self) -> Res<i64> {
        let len = usize::from(self.byte()?);
        let bytes = self.take(len)?;
        if len > 8 {
            return Err(PickleError::Limit("digits"));
        }
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut number = [if is_negative { 0xFF } else { 0 }; 8];
        number[..len].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(number))
    }

    fn global(&mut self) -> Res<()> {
        let (module, name) = (self.line()?, self.line()?);
        let known = GLOBALS.iter().find(|row| (row.0, row.1) == (module, name));
        match known {
            Some(row) => self.push(Value::Global(row.2)),
            None => Err(PickleError::Global(format!("{module}.{name}"))),
        }
    }

    /// The values of the tuple that is popped.
    fn pop_values<const N: usize>(&mut self) -> Res<Option<[Value; N]>> {
        let value = self.pop()?;
        match self.object(value) {
            Some(Object::Tuple(values)) => Ok(values.as_slice().try_into().ok()),
            _ => Ok(None),
        }
    }

    fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(at) => self.heap.get(at as usize),
            _ => None,
        }
    }

    fn is_map(&self, value: Value, ordered: bool) -> bool {
        matches!(self.object(value), Some(Object::Map { ordered: found, .. }) if *found == ordered)
    }
}
