//! What is in a folder when it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::budget::WriteBudget;
use super::folder::{self, Folder, Kind, LEDGER};
use super::manifest::{self, EntryId, Flaw, Manifest};
use super::policy::Worth;
use super::{Counters, Entry, MAX_ENTRIES, ledger, size_on_disk};

/// What was found.
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) budget: WriteBudget,
}

/// Reads every manifest, removes what is of no use, and leaves alone what is not the store's.
pub(super) fn scan(
    folder: &Folder,
    version: &str,
    daily: u64,
    now: u64,
    counters: &mut Counters,
) -> io::Result<Found> {
    let mut states = BTreeSet::new();
    let mut manifests = BTreeSet::new();
    for name in folder.names()? {
        match folder::classify(&name) {
            Kind::State(id) => _ = states.insert(id),
            Kind::Manifest(id) => _ = manifests.insert(id),
            Kind::Partial => {
                counters.leftovers += 1;
                let _ = folder.remove(&name);
            }
            Kind::Own => {}
            Kind::Foreign => counters.foreign += 1,
        }
    }
    // The manifest is written last and removed first, so a state without one is what a killed process left.
    for id in states.difference(&manifests) {
        counters.leftovers += 1;
        folder.remove_entry(*id);
    }
    let (mut budget, uses) = read_ledger(
        folder,
        daily,
        now,
        !manifests.is_empty() || !states.is_empty(),
        counters,
    );
    let mut entries = Vec::new();
    for id in manifests {
        match read(folder, id, version) {
            Ok(mut entry) if entries.len() < MAX_ENTRIES => {
                if let Some(known) = uses.get(&id) {
                    entry.worth.hits = known.hits;
                    entry.worth.used = known.used;
                }
                entries.push(entry);
            }
            Ok(_) => {
                counters.evicted += 1;
                folder.remove_entry(id);
            }
            Err(why) => {
                *why.counter(counters) += 1;
                folder.remove_entry(id);
            }
        }
    }
    budget.charge(0, now);
    Ok(Found { entries, budget })
}

/// Why an entry is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Useless {
    Damaged,
    Outdated,
    Foreign,
}

impl Useless {
    fn counter(self, counters: &mut Counters) -> &mut u64 {
        match self {
            Useless::Damaged => &mut counters.damaged,
            Useless::Outdated => &mut counters.outdated,
            Useless::Foreign => &mut counters.foreign,
        }
    }
}

/// Reads an entry, but not its state.
fn read(folder: &Folder, id: EntryId, version: &str) -> Result<Entry, Useless> {
    let bytes = folder
        .read(&folder::manifest(id), manifest::MAX_BYTES)
        .map_err(unreadable)?;
    let manifest = Manifest::decode(&bytes).map_err(|flaw| match flaw {
        Flaw::Damaged => Useless::Damaged,
        Flaw::Format => Useless::Outdated,
    })?;
    // A manifest of another entry, under this name.
    if manifest.id() != id {
        return Err(Useless::Damaged);
    }
    if manifest.version != version {
        return Err(Useless::Outdated);
    }
    let state = folder.open_file(&folder::state(id)).map_err(unreadable)?;
    let len = state.metadata().map_err(|_| Useless::Damaged)?.len();
    if len != manifest.bytes {
        return Err(Useless::Damaged);
    }
    Ok(Entry {
        id,
        scope: manifest.scope,
        digest: manifest.digest,
        bytes: manifest.bytes,
        worth: Worth {
            bytes: size_on_disk(manifest.bytes, manifest.tokens.len()),
            seconds: f64::from(manifest.cost_ms) / 1000.0,
            hits: manifest.hits,
            used: manifest.saved,
        },
        tokens: manifest.tokens,
    })
}

/// A link, a folder or another's file is foreign; what is not there or cannot be read is damage.
fn unreadable(error: io::Error) -> Useless {
    match error.kind() {
        io::ErrorKind::Other => Useless::Foreign,
        _ => Useless::Damaged,
    }
}

/// The budget and the uses. If the ledger of a store that has entries is lost, the day counts as spent.
fn read_ledger(
    folder: &Folder,
    daily: u64,
    now: u64,
    has_entries: bool,
    counters: &mut Counters,
) -> (WriteBudget, BTreeMap<EntryId, ledger::Use>) {
    let bytes = match folder.read(LEDGER, ledger::MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !has_entries => {
            return (WriteBudget::new(daily), BTreeMap::new());
        }
        Err(_) => vec![],
    };
    match ledger::decode(&bytes, daily) {
        Ok((budget, uses)) => (budget, uses.into_iter().map(|entry| (entry.id, entry)).collect()),
        Err(_) => {
            counters.damaged += 1;
            (WriteBudget::spent(daily, now), BTreeMap::new())
        }
    }
}
