//! A text of limited length.

use std::io::{self, Write};
use std::string::FromUtf8Error;

/// The longest text a template may produce, in bytes.
const MAX_TEXT: usize = 8 << 20;

/// Accepts bytes up to the limit; a write beyond it fails.
#[derive(Debug, Default)]
pub(super) struct Bounded(Vec<u8>);

impl Bounded {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_text(self) -> Result<String, FromUtf8Error> {
        String::from_utf8(self.0)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
