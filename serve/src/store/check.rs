//! A state is compared with its checksum before anything sees it.

use std::fs::File;

use super::folder;
use super::manifest::EntryId;

/// A comparison to make.
#[derive(Debug)]
pub struct Check {
    pub(super) file: File,
    pub(super) id: EntryId,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
    pub(super) tokens: Vec<u32>,
}

/// A comparison that was made; [`super::Store::accept`] takes it.
#[derive(Debug)]
pub struct Checked {
    /// The state and the bytes read in a second, or the entry that is damaged.
    pub(super) result: Result<(Verified, f64), EntryId>,
    pub(super) read: u64,
}

/// A state that is what was written.
#[derive(Debug)]
pub struct Verified {
    /// The file that was compared: load from it, not from its name.
    pub file: File,
    /// Which entry.
    pub id: EntryId,
    /// Its tokens.
    pub tokens: Vec<u32>,
}

impl Check {
    /// Reads the whole state. It takes as long as the disk does.
    pub fn run(self) -> Checked {
        let len = self.file.metadata().map(|meta| meta.len());
        if !len.is_ok_and(|len| len == self.bytes) {
            return Checked {
                result: Err(self.id),
                read: 0,
            };
        }
        let result = match folder::digest(&self.file) {
            Ok((digest, rate)) if digest == self.digest => {
                let verified = Verified {
                    file: self.file,
                    id: self.id,
                    tokens: self.tokens,
                };
                Ok((verified, rate))
            }
            _ => Err(self.id),
        };
        Checked {
            result,
            read: self.bytes,
        }
    }
}
