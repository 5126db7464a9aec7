//! Finds the fields of a GGUF header.

/// The meaning of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Magic, version, counts of tensors and keys.
    Start,
    /// The name of a key or tensor, or its length.
    Name,
    /// The type of a value or of a list's entries.
    ValueType,
    /// A single number, or the bytes of a single text.
    Value,
    /// Length of a list or a text.
    Length,
    /// The entries of a list.
    Entries,
    /// Number of dimensions of a tensor, or one of them.
    Dimension,
    /// The type of a tensor.
    TensorType,
    /// The offset of a tensor's data.
    Offset,
}

/// Bytes of the file with one meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// Walks through a header that is known to be valid.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: Vec<Field>,
}

impl Walk<'_> {
    fn number(&mut self, kind: Kind, len: usize) -> u64 {
        let mut value = [0; 8];
        value[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.skip(kind, len);
        u64::from_le_bytes(value)
    }

    fn skip(&mut self, kind: Kind, len: usize) {
        if len > 0 {
            self.fields.push(Field {
                kind,
                at: self.at,
                len,
            });
        }
        self.at += len;
    }

    fn text(&mut self, length: Kind, kind: Kind) {
        let len = self.number(length, 8);
        self.skip(kind, len as usize);
    }

    fn value(&mut self, ty: u64) {
        match ty {
            8 => self.text(Kind::Length, Kind::Value),
            9 => {
                let ty = self.number(Kind::ValueType, 4);
                let count = self.number(Kind::Length, 8) as usize;
                match ty {
                    8 => (0..count).for_each(|_| self.text(Kind::Entries, Kind::Entries)),
                    ty => self.skip(Kind::Entries, count * width(ty)),
                }
            }
            ty => self.skip(Kind::Value, width(ty)),
        }
    }
}

/// Bytes that a number of this value type takes.
fn width(ty: u64) -> usize {
    match ty {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        _ => 8,
    }
}

/// All fields of the header, in their order in the file.
pub(super) fn fields(bytes: &[u8]) -> Vec<Field> {
    let mut walk = Walk {
        bytes,
        at: 0,
        fields: Vec::new(),
    };
    walk.skip(Kind::Start, 4);
    walk.skip(Kind::Start, 4);
    let (tensors, keys) = (walk.number(Kind::Start, 8), walk.number(Kind::Start, 8));
    for _ in 0..keys {
        walk.text(Kind::Name, Kind::Name);
        let ty = walk.number(Kind::ValueType, 4);
        walk.value(ty);
    }
    for _ in 0..tensors {
        walk.text(Kind::Name, Kind::Name);
        let dimensions = walk.number(Kind::Dimension, 4);
        (0..dimensions).for_each(|_| walk.skip(Kind::Dimension, 8));
        walk.skip(Kind::TensorType, 4);
        walk.skip(Kind::Offset, 8);
    }
    walk.fields
}
