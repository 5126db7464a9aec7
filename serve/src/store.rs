//! Prefixes that survive restarts: the states of computed texts on disk, each with a checksum.
//!
//! On a small board the prompt is the wait. A state that was used again, and that is faster to read than to compute, is
//! written while the engine is idle, and read when a prompt begins with its tokens.
//!
//! ```text
//! best_prefix ─► check ─► run (any thread) ─► accept ─► load the state ─► note_hit, or discard
//! begin ─► write the state into the draft ─► seal (any thread) ─► commit
//! ```
//!
//! - An entry is two files, named by a digest of what it is of: the state, and a manifest with the state's checksum.
//!   Each is complete before it gets its name, and the manifest comes last. So a process that is killed, or a disk that
//!   loses its power, leaves an entry that is right, or one that is found to be damaged.
//! - What is damaged, of another version, or not a file of this store is removed or left alone, counted, and never given
//!   out. None of it is an error of a request.
//! - The folder has a limit, and so have the bytes written a day; they are counted on disk before they are written.
//! - The checksum finds damage. It does not find who may write in the folder and means harm: the folder is private.
//!
//! Nothing here computes, and nothing reads the clock but to measure the disk: times are inputs, in Unix seconds.

mod budget;
mod check;
mod draft;
mod folder;
mod key;
mod ledger;
mod limits;
mod manifest;
mod policy;
mod scan;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use budget::WriteBudget;
pub use check::{Check, Checked, Verified};
pub use draft::{Draft, Sealed};
pub use folder::StoreError;
pub use key::{Key, KeyId, Scope, fingerprint};
pub use limits::{DailyWrites, Limits, SizeError, parse_size};
pub use manifest::EntryId;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use manifest::take_manifest;
pub use policy::{MIN_HITS, MIN_TOKENS, Rates, SLOW_DISK, Verdict, Worth, worth_loading, worth_saving};

use folder::{Folder, LEDGER};
use manifest::{MAX_TOKENS, Manifest};
use policy::{surplus, victims};

/// The most entries of a store: their tokens are in memory.
const MAX_ENTRIES: usize = 1024;
/// What an entry writes besides its state and its tokens: a ledger, the manifest's other fields, and what blocks round up.
const OVERHEAD: u64 = 48 << 10;
/// What writing the ledger counts as.
const LEDGER_BYTES: u64 = 32 << 10;

/// What happened since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries saved.
    pub saved: u64,
    /// Entries that were loaded.
    pub restored: u64,
    /// Bytes that count in the daily budget.
    pub bytes_written: u64,
    /// Bytes of states read and compared.
    pub bytes_read: u64,
    /// Saves refused because the day's bytes are spent.
    pub refused_by_budget: u64,
    /// Saves refused because the folder is full of what is worth more.
    pub refused_by_folder: u64,
    /// Saves that failed.
    pub failed: u64,
    /// Entries that were not what was written; removed.
    pub damaged: u64,
    /// Names that are not files of this store: links in its names are removed, others left alone.
    pub foreign: u64,
    /// Entries of another version of the software; removed.
    pub outdated: u64,
    /// Files that a process that ended left incomplete; removed.
    pub leftovers: u64,
    /// Entries removed for room.
    pub evicted: u64,
}

/// An entry that is there.
#[derive(Debug, Clone)]
struct Entry {
    id: EntryId,
    scope: Scope,
    tokens: Vec<u32>,
    digest: [u8; 32],
    /// Bytes of the state.
    bytes: u64,
    worth: Worth,
}

/// A stored prefix that a prompt begins with, in whole or in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which entry.
    pub id: EntryId,
    /// Tokens that the prompt begins with, too: truncate the loaded sequence to them.
    pub usable: usize,
    /// Tokens that the state has, for which a sequence must have room.
    pub stored: usize,
    /// Bytes of the state.
    pub bytes: u64,
}

/// A prefix to save.
#[derive(Debug, Clone, Copy)]
pub struct Prefix<'a> {
    /// Whose.
    pub scope: Scope,
    /// Its tokens.
    pub tokens: &'a [u32],
    /// Bytes that its state will have, about; no less.
    pub bytes: u64,
    /// Seconds that computing it takes.
    pub seconds: f64,
    /// How often it was used again.
    pub hits: u32,
}

/// Why a prefix is not saved.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is there already.
    #[error("it is stored already")]
    There,
    /// It has no tokens, or too many.
    #[error("a prefix of this length is not stored")]
    Length,
    /// Another draft is being written.
    #[error("another prefix is being stored")]
    Busy,
    /// The day's bytes are spent.
    #[error("the day's bytes are spent")]
    Budget,
    /// The folder is full of what is worth more.
    #[error("there is no room")]
    Folder,
    /// The system does not write it.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    folder: Arc<Folder>,
    limits: Limits,
    /// The software that writes.
    version: String,
    entries: Vec<Entry>,
    budget: WriteBudget,
    counters: Counters,
    /// Whether uses were noted that are not on disk.
    dirty: bool,
    disk_rate: Option<f64>,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there, and removes what a killed process left behind and
    /// what `version` (of siskin and llama.cpp) did not write. The entries are those of all models.
    ///
    /// # Errors
    /// Another process has it open, the folder is not private, or the system refuses it. Run without it then.
    pub fn open(path: &Path, limits: Limits, version: &str, now: u64) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let mut counters = Counters::default();
        let found = scan::scan(&folder, version, limits.daily, now, &mut counters).map_err(|source| {
            StoreError::Io {
                path: path.to_owned(),
                source,
            }
        })?;
        let mut store = Store {
            folder: Arc::new(folder),
            limits,
            version: version.to_owned(),
            entries: found.entries,
            budget: found.budget,
            counters,
            dirty: false,
            disk_rate: None,
        };
        let worth: Vec<Worth> = store.entries.iter().map(|entry| entry.worth).collect();
        store.evict(surplus(&worth, limits.folder, now));
        Ok(store)
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all entries on disk.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.worth.bytes).sum()
    }

    /// Bytes that may be written now.
    pub fn budget_left(&self, now: u64) -> u64 {
        self.budget.left(now)
    }

    /// Bytes of a state that are read and compared in a second, as last measured.
    pub fn disk_rate(&self) -> Option<f64> {
        self.disk_rate
    }

    /// What happened since the store was opened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The entry that has the most of what `tokens` begins with; of those that have as much, the shortest.
    pub fn best_prefix(&self, scope: Scope, tokens: &[u32]) -> Option<Candidate> {
        let candidate = |entry: &Entry| Candidate {
            id: entry.id,
            usable: entry
                .tokens
                .iter()
                .zip(tokens)
                .take_while(|(a, b)| a == b)
                .count(),
            stored: entry.tokens.len(),
            bytes: entry.bytes,
        };
        let entries = self.entries.iter().filter(|entry| entry.scope == scope);
        entries
            .map(candidate)
            .filter(|candidate| candidate.usable > 0)
            .max_by_key(|candidate| (candidate.usable, std::cmp::Reverse(candidate.stored)))
    }

    /// Begins to compare an entry with its checksum. [`Check::run`] reads the whole state and may run on any thread.
    pub fn check(&mut self, candidate: &Candidate) -> Option<Check> {
        let entry = self.entries.iter().find(|entry| entry.id == candidate.id)?;
        match self.folder.open_file(&folder::state(entry.id)) {
            Ok(file) => Some(Check {
                file,
                id: entry.id,
                bytes: entry.bytes,
                digest: entry.digest,
                tokens: entry.tokens.clone(),
            }),
            Err(_) => {
                self.discard(candidate.id);
                None
            }
        }
    }

    /// Takes the result of a comparison: the state to load, or nothing, and the entry is gone.
    pub fn accept(&mut self, checked: Checked) -> Option<Verified> {
        self.counters.bytes_read += checked.read;
        match checked.result {
            Ok((verified, rate)) => {
                self.disk_rate = Some(rate);
                Some(verified)
            }
            Err(id) => {
                self.discard(id);
                None
            }
        }
    }

    /// Compares an entry with its checksum, here and now.
    pub fn verify(&mut self, candidate: &Candidate) -> Option<Verified> {
        let checked = self.check(candidate)?.run();
        self.accept(checked)
    }

    /// Notes that an entry was loaded.
    pub fn note_hit(&mut self, id: EntryId, now: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.worth.hits = entry.worth.hits.saturating_add(1);
            entry.worth.used = now;
            self.counters.restored += 1;
            self.dirty = true;
        }
    }

    /// Removes an entry that is not what it should be, as the engine found.
    pub fn discard(&mut self, id: EntryId) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        if self.entries.len() < before {
            self.folder.remove_entry(id);
            self.counters.damaged += 1;
        }
    }

    /// Begins to save a prefix: makes room, counts the bytes on disk, and gives the file to write. There is one draft at
    /// a time.
    ///
    /// # Errors
    /// It is there, another is being written, there is no room or nothing left of the day's bytes, or the system refuses.
    pub fn begin(&mut self, prefix: &Prefix<'_>, now: u64) -> Result<Draft, Refused> {
        let started = self.try_begin(prefix, now);
        match &started {
            Err(Refused::Budget) => self.counters.refused_by_budget += 1,
            Err(Refused::Folder) => self.counters.refused_by_folder += 1,
            Err(Refused::Failed(_)) => self.counters.failed += 1,
            Err(Refused::There | Refused::Length | Refused::Busy) | Ok(_) => {}
        }
        started
    }

    fn try_begin(&mut self, prefix: &Prefix<'_>, now: u64) -> Result<Draft, Refused> {
        if prefix.tokens.is_empty() || prefix.tokens.len() > MAX_TOKENS {
            return Err(Refused::Length);
        }
        // A draft has the folder, too.
        if Arc::strong_count(&self.folder) > 1 {
            return Err(Refused::Busy);
        }
        let id = EntryId::new(&prefix.scope, prefix.tokens);
        if self.entries.iter().any(|entry| entry.id == id) {
            return Err(Refused::There);
        }
        let new = Worth {
            bytes: size_on_disk(prefix.bytes, prefix.tokens.len()),
            seconds: prefix.seconds,
            hits: prefix.hits,
            used: now,
        };
        let worth: Vec<Worth> = self.entries.iter().map(|entry| entry.worth).collect();
        let victims = victims(&worth, &new, self.limits.folder, now).ok_or(Refused::Folder)?;
        if self.entries.len() - victims.len() >= MAX_ENTRIES {
            return Err(Refused::Folder);
        }
        if !self.budget.take(new.bytes, now) {
            return Err(Refused::Budget);
        }
        self.counters.bytes_written += new.bytes;
        self.evict(victims);
        // On disk before the state is: a process that is killed again and again writes no more than it may.
        self.write_ledger()?;
        let manifest = Manifest {
            scope: prefix.scope,
            saved: now,
            cost_ms: milliseconds(prefix.seconds),
            hits: prefix.hits,
            bytes: 0,
            digest: [0; 32],
            version: self.version.clone(),
            tokens: prefix.tokens.to_vec(),
        };
        Ok(Draft::new(Arc::clone(&self.folder), manifest, new)?)
    }

    /// Adds what was sealed to the entries.
    pub fn commit(&mut self, sealed: Sealed, now: u64) {
        let Sealed {
            manifest,
            mut worth,
            rate,
        } = sealed;
        let written = size_on_disk(manifest.bytes, manifest.tokens.len());
        // Larger than announced: it was written, so it counts.
        let more = written.saturating_sub(worth.bytes);
        self.budget.charge(more, now);
        self.counters.bytes_written += more;
        worth.bytes = written;
        self.disk_rate = Some(rate);
        self.counters.saved += 1;
        self.entries.retain(|entry| entry.id != manifest.id());
        self.entries.push(Entry {
            id: manifest.id(),
            scope: manifest.scope,
            digest: manifest.digest,
            bytes: manifest.bytes,
            tokens: manifest.tokens,
            worth,
        });
        if more > 0 {
            let worth: Vec<Worth> = self.entries.iter().map(|entry| entry.worth).collect();
            self.evict(surplus(&worth, self.limits.folder, now));
            let _ = self.write_ledger();
        }
    }

    /// Counts a draft that could not be written or sealed.
    pub fn note_failure(&mut self) {
        self.counters.failed += 1;
    }

    /// Saves a prefix here and now; `write` writes its state and returns the bytes. Returns the bytes of the state.
    ///
    /// # Errors
    /// As [`Store::begin`]'s, or `write` or the system fails.
    pub fn save(
        &mut self,
        prefix: &Prefix<'_>,
        now: u64,
        write: impl FnOnce(&File) -> io::Result<u64>,
    ) -> Result<u64, Refused> {
        let draft = self.begin(prefix, now)?;
        let sealed = write(draft.file()).and_then(|bytes| Ok((draft.seal(bytes)?, bytes)));
        match sealed {
            Ok((sealed, bytes)) => {
                self.commit(sealed, now);
                Ok(bytes)
            }
            Err(error) => {
                self.note_failure();
                Err(error.into())
            }
        }
    }

    /// Writes the uses that were noted since the last save, if the day's bytes are not spent. Call it before the process
    /// ends; without it they are lost, and nothing else is.
    ///
    /// # Errors
    /// The system refuses.
    pub fn flush(&mut self, now: u64) -> io::Result<()> {
        if !self.dirty || !self.budget.take(LEDGER_BYTES, now) {
            return Ok(());
        }
        self.counters.bytes_written += LEDGER_BYTES;
        self.write_ledger()
    }

    fn write_ledger(&mut self) -> io::Result<()> {
        let uses: Vec<ledger::Use> = self
            .entries
            .iter()
            .map(|entry| ledger::Use {
                id: entry.id,
                hits: entry.worth.hits,
                used: entry.worth.used,
            })
            .collect();
        self.folder.write(LEDGER, &ledger::encode(&self.budget, &uses))?;
        self.dirty = false;
        Ok(())
    }

    /// Removes entries by their place in the list.
    fn evict(&mut self, mut places: Vec<usize>) {
        places.sort_unstable();
        for place in places.into_iter().rev() {
            let entry = self.entries.swap_remove(place);
            self.folder.remove_entry(entry.id);
            self.counters.evicted += 1;
        }
    }
}

/// Bytes that an entry takes on disk, and writes.
fn size_on_disk(state: u64, tokens: usize) -> u64 {
    state.saturating_add(4 * tokens as u64).saturating_add(OVERHEAD)
}

fn milliseconds(seconds: f64) -> u32 {
    // A cast of a float keeps to the range, and of what is not a number makes 0.
    (seconds * 1000.0) as u32
}

#[cfg(test)]
mod tests;
