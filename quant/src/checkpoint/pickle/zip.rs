//! The directory of a ZIP archive as torch writes it: entries are stored and not compressed, one after the other; the
//! directory is at the end; zip64 has the sizes above 32 bits.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Bytes, PickleError};

/// Size limit of the directory in bytes, and of its entries: far above those of any model.
const MAX_DIRECTORY: u64 = 16 << 20;
const MAX_ENTRIES: u64 = 1 << 17;

/// Sizes of the records without what follows them.
const END: usize = 22;
const END64: usize = 56;
const LOCATOR: usize = 20;
const IN_DIRECTORY: usize = 46;
const LOCAL: usize = 30;
/// The longest comment of an archive, which is after the end record.
const MAX_COMMENT: u64 = 0xFFFF;

/// A flag of entries: the sizes follow the data.
const SIZES_FOLLOW: u16 = 1 << 3;
/// Flags of entries that are encrypted, or patches of other entries.
const UNREADABLE: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// An entry of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    name: String,
    /// Position of its local header.
    header: u64,
    /// Size in bytes.
    pub(super) len: u64,
}

/// An archive's directory.
#[derive(Debug)]
pub(super) struct Archive {
    entries: BTreeMap<String, Entry>,
    /// Position of the directory: entries end before it.
    directory: u64,
}

/// Numbers in a record. Records are read whole, so that only their own variable parts can be missing.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], PickleError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().ok_or(PickleError::Archive("a record ends early"))
    }

    fn u16(&self, at: usize) -> Result<u16, PickleError> {
        Ok(u16::from_le_bytes(self.bytes(at)?))
    }

    fn u32(&self, at: usize) -> Result<u32, PickleError> {
        Ok(u32::from_le_bytes(self.bytes(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64, PickleError> {
        Ok(u64::from_le_bytes(self.bytes(at)?))
    }
}

/// What the end of an archive says about its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    entries: u64,
    len: u64,
    start: u64,
    /// Position of the record that says it: the directory ends there.
    at: u64,
}

impl Archive {
    /// Reads the directory.
    pub(super) fn open(bytes: &dyn Bytes) -> Result<Self, PickleError> {
        let end = end(bytes)?;
        if end.len > MAX_DIRECTORY || end.entries > MAX_ENTRIES {
            return Err(PickleError::Archive(
                "its directory is larger than that of any model",
            ));
        }
        if end.start.checked_add(end.len) != Some(end.at) {
            return Err(PickleError::Archive("its directory is not where its end says"));
        }
        let directory = bytes.read(end.start..end.at)?;
        let mut entries = BTreeMap::new();
        let mut rest = &directory[..];
        for _ in 0..end.entries {
            let (entry, after) = entry(rest, end.start)?;
            rest = after;
            if let Some(twice) = entries.insert(entry.name.clone(), entry) {
                return Err(twice.error("is in its directory twice; get it again"));
            }
        }
        match rest.is_empty() {
            true => Ok(Archive {
                entries,
                directory: end.start,
            }),
            false => Err(PickleError::Archive(
                "its directory has more entries than its end says",
            )),
        }
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The names of all entries, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The place of an entry's data in the file, by its local header, which must agree with the directory.
    pub(super) fn data(&self, bytes: &dyn Bytes, entry: &Entry) -> Result<Range<u64>, PickleError> {
        let fixed = (LOCAL + entry.name.len()) as u64;
        let outside = || entry.error("is not in the archive; get it again");
        // Both are below the file's length, as the directory was checked.
        let fixed_end = entry.header + fixed;
        if fixed_end > self.directory {
            return Err(outside());
        }
        let header = bytes.read(entry.header..fixed_end)?;
        let record = Record(&header);
        let (flags, method) = (record.u16(6)?, record.u16(8)?);
        let (name_len, extra) = (record.u16(26)?, record.u16(28)?);
        let len_fits = |stored: u32| {
            u64::from(stored) == entry.len || stored == u32::MAX || (stored == 0 && flags & SIZES_FOLLOW != 0)
        };
        let agrees = header.starts_with(b"PK\x03\x04")
            && usize::from(name_len) == entry.name.len()
            && header.get(LOCAL..) == Some(entry.name.as_bytes())
            && (method, flags & UNREADABLE) == (0, 0)
            && len_fits(record.u32(18)?)
            && len_fits(record.u32(22)?);
        if !agrees {
            return Err(entry.error("is not what the directory says; get it again"));
        }
        let start = fixed_end + u64::from(extra);
        match start.checked_add(entry.len) {
            Some(end) if end <= self.directory => Ok(start..end),
            _ => Err(outside()),
        }
    }
}

impl Entry {
    pub(super) fn error(&self, what: &'static str) -> PickleError {
        PickleError::Entry {
            name: self.name.clone(),
            what,
        }
    }
}

/// Finds the record at the end of the archive, and zip64's if there is one.
fn end(bytes: &dyn Bytes) -> Result<End, PickleError> {
    let none = PickleError::Archive("it has no directory at its end, so its end is missing");
    let len = bytes.len();
    let from = len.saturating_sub(MAX_COMMENT + (END + LOCATOR) as u64);
    let tail = bytes.read(from..len)?;
    // A comment may contain anything, also a signature: the record must end with the file.
    let ends_here = |&at: &usize| {
        let record = Record(&tail[at..]);
        tail[at..].starts_with(b"PK\x05\x06")
            && record
                .u16(20)
                .is_ok_and(|comment| at + END + usize::from(comment) == tail.len())
    };
    let Some(at) = (0..(tail.len() + 1).saturating_sub(END)).rev().find(ends_here) else {
        return Err(none);
    };
    let record = Record(&tail[at..]);
    let one_disk = (record.u16(4)?, record.u16(6)?, record.u16(8)?) == (0, 0, record.u16(10)?);
    if !one_disk {
        return Err(PickleError::Archive("it is one of several"));
    }
    let short = End {
        entries: record.u16(10)?.into(),
        len: record.u32(12)?.into(),
        start: record.u32(16)?.into(),
        at: from + at as u64,
    };
    let locator = at.checked_sub(LOCATOR).map(|at| &tail[at..]);
    match locator.filter(|locator| locator.starts_with(b"PK\x06\x07")) {
        Some(locator) => end64(bytes, Record(locator).u64(8)?, short.at - LOCATOR as u64),
        None => Ok(short),
    }
}

/// Zip64's end record at `at`; its locator is at `locator`.
fn end64(bytes: &dyn Bytes, at: u64, locator: u64) -> Result<End, PickleError> {
    if at.checked_add(END64 as u64) != Some(locator) {
        return Err(PickleError::Archive(
            "its zip64 end is not where its locator says",
        ));
    }
    let record = bytes.read(at..locator)?;
    let record = Record(&record);
    let entries = record.u64(32)?;
    let is_good = record.0.starts_with(b"PK\x06\x06")
        && record.u64(4)? == END64 as u64 - 12
        && (record.u32(16)?, record.u32(20)?, record.u64(24)?) == (0, 0, entries);
    if !is_good {
        return Err(PickleError::Archive("its zip64 end is damaged"));
    }
    Ok(End {
        entries,
        len: record.u64(40)?,
        start: record.u64(48)?,
        at,
    })
}

/// The first entry of `directory`, and the rest. Entries are before the position `end` of the file.
fn entry(directory: &[u8], end: u64) -> Result<(Entry, &[u8]), PickleError> {
    let early = || PickleError::Archive("its directory ends early");
    let record = Record(directory);
    if !directory.starts_with(b"PK\x01\x02") {
        return Err(PickleError::Archive(
            "its directory has fewer entries than its end says",
        ));
    }
    let len_at = |at| record.u16(at).map(usize::from);
    let (name_len, extra_len, comment_len) = (len_at(28)?, len_at(30)?, len_at(32)?);
    let name_end = IN_DIRECTORY + name_len;
    let extra_end = name_end + extra_len;
    let name = directory.get(IN_DIRECTORY..name_end).ok_or_else(early)?;
    let extra = directory.get(name_end..extra_end).ok_or_else(early)?;
    let rest = directory.get(extra_end + comment_len..).ok_or_else(early)?;
    let name = std::str::from_utf8(name).map_err(|_| PickleError::Archive("a name is not UTF-8"))?;
    let (flags, method, disk) = (record.u16(8)?, record.u16(10)?, record.u16(34)?);
    // Sizes in the order in which zip64 has them.
    let short = [record.u32(24)?, record.u32(20)?, record.u32(42)?];
    let [len, stored, header] = long(short, extra)?;
    let entry = Entry {
        name: name.to_owned(),
        header,
        len,
    };
    if method != 0 || flags & UNREADABLE != 0 || disk != 0 {
        return Err(entry.error("is compressed or encrypted; torch stores its entries as they are"));
    }
    if len != stored || header >= end || len > end {
        return Err(entry.error("is not in the archive; get it again"));
    }
    Ok((entry, rest))
}

/// Those sizes that do not fit in 32 bits come from the field of zip64, in order.
fn long(short: [u32; 3], extra: &[u8]) -> Result<[u64; 3], PickleError> {
    let mut sizes = short.map(u64::from);
    if !short.contains(&u32::MAX) {
        return Ok(sizes);
    }
    let mut rest = extra;
    let field = loop {
        let record = Record(rest);
        let (id, len) = (record.u16(0)?, usize::from(record.u16(2)?));
        let field = rest
            .get(4..4 + len)
            .ok_or(PickleError::Archive("a record ends early"))?;
        if id == 1 {
            break Record(field);
        }
        rest = &rest[4 + len..];
    };
    let mut at = 0;
    for (size, short) in sizes.iter_mut().zip(short) {
        if short == u32::MAX {
            *size = field.u64(at)?;
            at += 8;
        }
    }
    Ok(sizes)
}
