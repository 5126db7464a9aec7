//! Reads a header's fields one after another; checks every length against the file before using it.

use std::io::{self, Read};

use super::Strings;
use super::error::Problem;

/// Most memory that the keys, values and tensor list of a header may take, in bytes.
///
/// The largest vocabularies take about 40 MiB.
pub(super) const MEMORY_LIMIT: u64 = 256 << 20;

/// Extra cost of an allocation in bytes: the allocator's own data and rounding.
const ALLOCATION_OVERHEAD: u64 = 32;

/// A position in the header, with the bytes left in the file and in the memory limit.
pub(super) struct Cursor<R> {
    input: R,
    position: u64,
    end: u64,
    memory: u64,
}

/// A number as the file stores it: little-endian, [`Number::BYTES`] bytes.
pub(super) trait Number: Sized {
    const BYTES: u64;
    fn read(cursor: &mut Cursor<impl Read>) -> Result<Self, Problem>;
}

macro_rules! numbers {
    ($($ty:ty),+) => {$(
        impl Number for $ty {
            const BYTES: u64 = size_of::<$ty>() as u64;

            fn read(cursor: &mut Cursor<impl Read>) -> Result<Self, Problem> {
                cursor.bytes().map(<$ty>::from_le_bytes)
            }
        }
    )+};
}

numbers!(u8, i8, u16, i16, u32, i32, f32, u64, i64, f64);

impl Number for bool {
    const BYTES: u64 = 1;

    fn read(cursor: &mut Cursor<impl Read>) -> Result<Self, Problem> {
        match u8::read(cursor)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Problem::Bool(other)),
        }
    }
}

impl<R: Read> Cursor<R> {
    /// Starts at the first byte of a file of `len` bytes.
    pub(super) fn new(input: R, len: u64) -> Self {
        Self {
            input,
            position: 0,
            end: len,
            memory: MEMORY_LIMIT,
        }
    }

    /// The file position of the next field.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes left in the file.
    pub(super) fn left(&self) -> u64 {
        self.end - self.position
    }

    /// Charges memory that the caller is about to allocate.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), Problem> {
        self.memory = bytes
            .checked_add(ALLOCATION_OVERHEAD)
            .and_then(|bytes| self.memory.checked_sub(bytes))
            .ok_or(Problem::TooLarge { limit: MEMORY_LIMIT })?;
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Problem> {
        let (need, left) = (buffer.len() as u64, self.left());
        if need > left {
            return Err(Problem::Truncated { need, left });
        }
        self.input
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                // The file has become shorter since its length was read.
                io::ErrorKind::UnexpectedEof => Problem::Truncated { need, left: 0 },
                _ => Problem::Io(error),
            })?;
        self.position += need;
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn number<T: Number>(&mut self) -> Result<T, Problem> {
        T::read(self)
    }

    /// Reads a count of items that each take at least `min_bytes` in the file.
    pub(super) fn count(&mut self, what: &'static str, min_bytes: u64) -> Result<usize, Problem> {
        let count: u64 = self.number()?;
        let left = self.left();
        match count.checked_mul(min_bytes) {
            Some(bytes) if bytes <= left => {
                usize::try_from(count).map_err(|_| Problem::Count { what, count, left })
            }
            _ => Err(Problem::Count { what, count, left }),
        }
    }

    /// Reads a length and that many bytes of UTF-8.
    pub(super) fn string(&mut self) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        self.string_into(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Problem::Utf8)
    }

    /// Reads a length and that many bytes into `bytes`, replacing its content.
    fn string_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), Problem> {
        let need: u64 = self.number()?;
        let left = self.left();
        if need > left {
            return Err(Problem::Truncated { need, left });
        }
        self.charge(need)?;
        bytes.resize(
            usize::try_from(need).map_err(|_| Problem::Truncated { need, left })?,
            0,
        );
        self.fill(bytes)
    }

    /// Reads a count and that many numbers.
    pub(super) fn numbers<T: Number>(&mut self) -> Result<Vec<T>, Problem> {
        let count = self.count("values", T::BYTES)?;
        self.charge(count as u64 * T::BYTES)?;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(self.number()?);
        }
        Ok(numbers)
    }

    /// Reads a count and that many strings.
    pub(super) fn strings(&mut self) -> Result<Strings, Problem> {
        let count = self.count("strings", size_of::<u64>() as u64)?;
        self.charge((count as u64).saturating_mul(size_of::<u32>() as u64))?;
        let mut strings = Strings::with_capacity(count);
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.string_into(&mut bytes)?;
            strings.push(std::str::from_utf8(&bytes).map_err(|_| Problem::Utf8)?);
        }
        Ok(strings)
    }
}
