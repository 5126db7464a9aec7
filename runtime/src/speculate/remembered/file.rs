//! The file of a table.
//!
//! Numbers are little-endian.
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | `siskinRM` |
//! | 4 | version: 1 |
//! | 32 | digest of model and tokenizer |
//! | 4 | tokens of the vocabulary |
//! | 2 | generation |
//! | 2 | e: length of the caller's bytes, at most 4096 |
//! | 4 | s: slots that are used, at most 262,144 |
//! | e | the caller's bytes |
//! | 13 s | slots in the order of their buckets: bucket (2), generation (2), check (4), token (4), count (1) |
//! | 8 | FNV-1a of everything before |

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use siskin_model::atomic_file::{AtomicFile, AtomicFileError, Overwrite};
use siskin_model::files::{self, FileError};

use super::table::{BUCKETS, SLOTS, Slot};
use super::{MAX_EXTRA, Remembered, RememberedKey};

const MAGIC: &[u8; 8] = b"siskinRM";

/// Raised if the form changes.
const VERSION: u32 = 1;

const SLOT_BYTES: usize = 13;

/// Bytes of a file at most.
const MAX_FILE: usize = 56 + MAX_EXTRA + BUCKETS * SLOTS * SLOT_BYTES + 8;

/// A file of remembered tokens cannot be used. The file may be written again, or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadRememberedError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its bytes are not those that were written.
    #[error("{}: ignored: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is of another form.
    #[error("{}: ignored: written by another siskin (form {version}; this one reads {VERSION})", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its form.
        version: u32,
    },
    /// It is of another model or tokenizer.
    #[error("{}: ignored: remembered with another model", path.display())]
    OtherModel {
        /// Which file.
        path: PathBuf,
    },
}

/// Remembered tokens could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveRememberedError {
    /// The folder cannot be made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] AtomicFileError),
}

impl Remembered {
    /// Reads what was remembered of `key`'s texts. A file that is not there holds nothing.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is of another model or form.
    pub fn load(path: &Path, key: RememberedKey) -> Result<Self, LoadRememberedError> {
        let bytes = match files::read(path, MAX_FILE as u64) {
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Remembered::new(key));
            }
            read => read?,
        };
        decode(&bytes, key).map_err(|unusable| {
            let path = path.to_owned();
            match unusable {
                Unusable::Damaged(reason) => LoadRememberedError::Damaged { path, reason },
                Unusable::Version(version) => LoadRememberedError::Version { path, version },
                Unusable::OtherModel => LoadRememberedError::OtherModel { path },
            }
        })
    }

    /// Writes what is remembered, in one step, for its owner only; a folder that is missing is made so too. If
    /// several programs write the same file, the last one wins.
    ///
    /// # Errors
    /// The folder cannot be made, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SaveRememberedError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| SaveRememberedError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        }
        // The new file takes the mode of the old one. File systems without modes have none to set.
        let private = || Permissions::from_mode(0o600);
        let _ = std::fs::set_permissions(path, private());
        let file = AtomicFile::create(path, Overwrite::Replace)?;
        let _ = file.file().set_permissions(private());
        file.write_all(&encode(self))?;
        Ok(file.commit()?)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Damaged(&'static str),
    Version(u32),
    OtherModel,
}

fn encode(remembered: &Remembered) -> Vec<u8> {
    let Remembered {
        key, table, extra, ..
    } = remembered;
    let slots = table.used().count();
    let mut bytes = Vec::with_capacity(64 + extra.len() + slots * SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&key.model);
    bytes.extend_from_slice(&key.vocabulary.to_le_bytes());
    bytes.extend_from_slice(&remembered.generation.to_le_bytes());
    bytes.extend_from_slice(&(extra.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(slots as u32).to_le_bytes());
    bytes.extend_from_slice(extra);
    for (bucket, slot) in table.used() {
        bytes.extend_from_slice(&bucket.to_le_bytes());
        bytes.extend_from_slice(&slot.generation.to_le_bytes());
        bytes.extend_from_slice(&slot.check.to_le_bytes());
        bytes.extend_from_slice(&slot.token.to_le_bytes());
        bytes.push(slot.count);
    }
    bytes.extend_from_slice(&fnv(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], key: RememberedKey) -> Result<Remembered, Unusable> {
    let short = || Unusable::Damaged("it ends early");
    let mut rest = Bytes(bytes);
    if rest.take() != Some(*MAGIC) {
        return Err(Unusable::Damaged("not a file of remembered tokens"));
    }
    let version = rest.u32().ok_or_else(short)?;
    if version != VERSION {
        return Err(Unusable::Version(version));
    }
    // The sum first: all that is wrong from here on is then wrong in a whole file.
    let (content, sum) = bytes.split_last_chunk::<8>().ok_or_else(short)?;
    if fnv(content) != u64::from_le_bytes(*sum) {
        return Err(Unusable::Damaged("its checksum is wrong"));
    }
    let model = rest.take::<32>().ok_or_else(short)?;
    let vocabulary = rest.u32().ok_or_else(short)?;
    if (RememberedKey { model, vocabulary }) != key {
        return Err(Unusable::OtherModel);
    }
    let generation = rest.u16().ok_or_else(short)?;
    let extra = usize::from(rest.u16().ok_or_else(short)?);
    let slots = rest.u32().ok_or_else(short)? as usize;
    if extra > MAX_EXTRA || slots > BUCKETS * SLOTS {
        return Err(Unusable::Damaged("it has more than there can be"));
    }
    let extra = rest.slice(extra).ok_or_else(short)?.to_vec();
    if rest.0.len() != slots * SLOT_BYTES + sum.len() {
        return Err(Unusable::Damaged("its size is wrong"));
    }
    let mut remembered = Remembered::new(key);
    // What is learnt from now on is newer.
    remembered.generation = generation.wrapping_add(1);
    remembered.extra = extra;
    let mut last = 0;
    for _ in 0..slots {
        let (bucket, slot) = rest.slot().ok_or_else(short)?;
        if bucket < last
            || slot.count == 0
            || slot.token >= key.vocabulary
            || !remembered.table.put(bucket, slot)
        {
            return Err(Unusable::Damaged("a slot is impossible"));
        }
        last = bucket;
    }
    Ok(remembered)
}

/// Bytes that are not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn slot(&mut self) -> Option<(u16, Slot)> {
        let bucket = self.u16()?;
        let generation = self.u16()?;
        let (check, token) = (self.u32()?, self.u32()?);
        let [count] = self.take()?;
        let slot = Slot {
            check,
            token,
            generation,
            count,
        };
        Some((bucket, slot))
    }
}

/// FNV-1a of 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): finds damage, not intent.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests;
