//! The structure of a file with a sequence's state, as llama.cpp writes it.
//!
//! ```text
//! magic, version, number of tokens, tokens                           u32 each
//! number of buffers                                                  u32
//! for each buffer: number of cells                                   u32; the rest only if it is not 0
//!     for each cell: position, number of sequences (1), sequence     u32 each
//!     values transposed, layers, rotation of keys and of values      u32 each
//!     for each layer: type u32, bytes of a row u64, a row of keys for each cell
//!     for each layer: type u32, bytes of a row u64, a row of values for each cell
//!         transposed: type u32, bytes of a value u32, values of a cell u32, as many for each cell
//! ```

use std::fmt;
use std::io::{self, BufReader, Read, Seek};

/// Why a file is refused.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It cannot be read, or it ends early.
    Io(io::Error),
    /// What is not as it must be.
    Wrong(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the file is too short")
            }
            Flaw::Io(error) => error.fmt(f),
            Flaw::Wrong(what) => write!(f, "the file has {what}"),
        }
    }
}

/// Reads the structure of a file of `size` bytes: that of a sequence of `tokens` in a context of so many buffers.
pub(super) fn check<R: Read + Seek>(
    reader: &mut BufReader<R>,
    size: u64,
    tokens: &[i32],
    buffers: u32,
) -> Result<(), Flaw> {
    let mut fields = Fields { reader, left: size };
    let cells = u32::try_from(tokens.len()).map_err(|_| Flaw::Wrong("too many tokens"))?;
    // llama.cpp compares them.
    let _magic_and_version: [u8; 8] = fields.bytes()?;
    fields.expect(cells, "another number of tokens")?;
    for token in tokens {
        fields.expect(token.cast_unsigned(), "other tokens")?;
    }
    fields.expect(buffers, "another number of buffers")?;
    let mut found = false;
    for _ in 0..buffers {
        match fields.u32()? {
            0 => {}
            n if n == cells && !found => {
                found = true;
                fields.cells(cells)?;
                fields.layers(cells)?;
            }
            _ => return Err(Flaw::Wrong("another number of cells")),
        }
    }
    match (found, fields.left) {
        (true, 0) => Ok(()),
        (false, _) => Err(Flaw::Wrong("no cells")),
        (true, _) => Err(Flaw::Wrong("more than the state")),
    }
}

struct Fields<'a, R> {
    reader: &'a mut BufReader<R>,
    /// Bytes that were not read yet.
    left: u64,
}

impl<R: Read + Seek> Fields<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(Flaw::Io)?;
        self.take(N as u64)?;
        Ok(bytes)
    }

    fn take(&mut self, bytes: u64) -> Result<(), Flaw> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(Flaw::Io(io::ErrorKind::UnexpectedEof.into()))?;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        self.bytes().map(u32::from_ne_bytes)
    }

    fn expect(&mut self, want: u32, otherwise: &'static str) -> Result<(), Flaw> {
        match self.u32()? == want {
            true => Ok(()),
            false => Err(Flaw::Wrong(otherwise)),
        }
    }

    /// Passes over `rows` times `bytes`.
    fn skip(&mut self, rows: u32, bytes: u64) -> Result<(), Flaw> {
        let total = bytes
            .checked_mul(u64::from(rows))
            .ok_or(Flaw::Wrong("a row that is too long"))?;
        self.take(total)?;
        let total = i64::try_from(total).map_err(|_| Flaw::Wrong("a row that is too long"))?;
        self.reader.seek_relative(total).map_err(Flaw::Io)
    }

    /// Each position from 0 on once, all of one sequence. In a shared buffer they are in any order.
    fn cells(&mut self, cells: u32) -> Result<(), Flaw> {
        let mut seen = vec![false; cells as usize];
        let mut sequence = None;
        for _ in 0..cells {
            let position = self.u32()? as usize;
            match seen.get_mut(position) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(Flaw::Wrong("a position that is not of the sequence")),
            }
            self.expect(1, "a cell of several sequences")?;
            let id = self.u32()?;
            if *sequence.get_or_insert(id) != id {
                return Err(Flaw::Wrong("cells of several sequences"));
            }
        }
        Ok(())
    }

    fn layers(&mut self, cells: u32) -> Result<(), Flaw> {
        let transposed = self.u32()?;
        let layers = self.u32()?;
        let _rotations: [u8; 8] = self.bytes()?;
        for _ in 0..layers {
            self.rows(cells)?;
        }
        for _ in 0..layers {
            match transposed {
                0 => self.rows(cells)?,
                1 => {
                    let _type = self.u32()?;
                    let bytes = u64::from(self.u32()?);
                    let values = u64::from(self.u32()?);
                    // Both have 32 bits.
                    self.skip(cells, bytes * values)?;
                }
                _ => return Err(Flaw::Wrong("values in an unknown order")),
            }
        }
        Ok(())
    }

    fn rows(&mut self, cells: u32) -> Result<(), Flaw> {
        let _type = self.u32()?;
        let bytes = self.bytes().map(u64::from_ne_bytes)?;
        self.skip(cells, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Numbers of 32 bits; rows of keys and values are numbers too.
    fn verdict(words: &[u32]) -> Result<(), String> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let size = bytes.len() as u64;
        check(&mut BufReader::new(Cursor::new(bytes)), size, &[7, 8], 2).map_err(|flaw| flaw.to_string())
    }

    /// Two tokens in the second of two buffers: head, cells, one layer.
    const HEAD: [u32; 7] = [1, 2, 2, 7, 8, 2, 0];
    const CELLS: [u32; 7] = [2, 1, 1, 5, 0, 1, 5];
    /// Rows of eight bytes.
    const ROWS: [u32; 7] = [9, 8, 0, 0, 0, 0, 0];

    #[test]
    fn what_llama_cpp_writes_is_let_through_and_what_it_cannot_have_written_is_not() {
        type Case<'a> = (&'a [u32], &'a [u32], &'a [u32], Option<&'a str>);
        let table: [Case<'_>; 17] = [
            (&CELLS, &[0, 1, 0, 0], &[&ROWS[..], &ROWS].concat(), None),
            // Values in another order: three of four bytes a cell.
            (
                &CELLS,
                &[1, 1, 0, 0],
                &[&ROWS[..], &[9, 4, 3, 0, 0, 0, 0, 0, 0]].concat(),
                None,
            ),
            (&CELLS, &[0, 0, 0, 0], &[], None),
            (&[0], &[], &[], Some("no cells")),
            (&CELLS, &[0, 1, 0, 0], &ROWS, Some("too short")),
            (
                &CELLS,
                &[0, 1, 0, 0],
                &[&ROWS[..], &ROWS, &[0]].concat(),
                Some("more than the state"),
            ),
            (
                &CELLS,
                &[0, u32::MAX, 0, 0],
                &[&ROWS[..], &ROWS].concat(),
                Some("too short"),
            ),
            (
                &CELLS,
                &[2, 1, 0, 0],
                &[&ROWS[..], &ROWS].concat(),
                Some("unknown order"),
            ),
            (
                &CELLS,
                &[0, 1, 0, 0],
                &[9, u32::MAX, u32::MAX, 0, 0],
                Some("too long"),
            ),
            (&CELLS, &[0, 1, 0, 0], &[9, 0, 1 << 30, 0, 0], Some("too short")),
            (
                &CELLS,
                &[1, 1, 0, 0],
                &[&ROWS[..], &[9, u32::MAX, u32::MAX, 0]].concat(),
                Some("too long"),
            ),
            (&[1, 0, 1, 5], &[0, 0, 0, 0], &[], Some("another number of cells")),
            (&[u32::MAX], &[], &[], Some("another number of cells")),
            (&[2, 1, 1, 5, 1, 1, 5], &[0, 0, 0, 0], &[], Some("a position")),
            (
                &[2, 1, 1, 5, u32::MAX, 1, 5],
                &[0, 0, 0, 0],
                &[],
                Some("a position"),
            ),
            (&[2, 1, 2, 5, 5, 0, 1, 5], &[0, 0, 0, 0], &[], Some("several")),
            (&[2, 1, 1, 5, 0, 1, 6], &[0, 0, 0, 0], &[], Some("several")),
        ];
        for (cells, layers, rows, want) in table {
            let words = [&HEAD[..], cells, layers, rows].concat();
            let got = verdict(&words);
            match want {
                None => assert_eq!(got, Ok(()), "{words:?}"),
                Some(want) => assert!(
                    got.as_ref().is_err_and(|got| got.contains(want)),
                    "{want}: {got:?}"
                ),
            }
        }
        for at in 2..6 {
            let mut head = HEAD;
            head[at] ^= 1;
            assert!(
                verdict(&[&head[..], &CELLS, &[0, 0, 0, 0]].concat()).is_err(),
                "{at}"
            );
        }
    }
}
