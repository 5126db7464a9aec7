//! Which pieces of the current shard have been taken from it, and which are on their way to the disk.

use std::collections::BTreeMap;

use super::journal::Journal;
use super::sha::{Hash, Midstate};
use crate::stream::StreamError;
use siskin_model::atomic_file::AtomicFileError;

/// Why a piece is not written.
#[derive(Debug)]
pub(super) enum Failed {
    /// Its weights are wrong, which may be because its bytes are.
    Convert(StreamError),
    /// The disk is.
    Disk(AtomicFileError),
}

/// The state that reader, workers and keeper share.
#[derive(Debug)]
pub(super) struct Flight {
    journal: Journal,
    /// The shard that is being read.
    file: usize,
    /// Pieces that have been begun and not finished, with the hash's state before them.
    open: BTreeMap<u64, Midstate>,
    /// The first piece that has not been begun, and the hash's state before it.
    next: (u64, Midstate),
    /// Pieces that are finished and not yet in the journal: stretch and hash.
    finished: BTreeMap<u64, (usize, Hash)>,
    failed: Option<Failed>,
}

impl Flight {
    pub(super) fn new(journal: Journal) -> Self {
        let first = journal.shards.first();
        let next = first.map_or((0, Midstate::start()), |entry| (entry.pieces, entry.midstate));
        Flight {
            journal,
            file: 0,
            open: BTreeMap::new(),
            next,
            finished: BTreeMap::new(),
            failed: None,
        }
    }

    /// Begins to read a shard from where the journal is; returns the first piece and the state of the hash before it.
    /// `None` if the shard is complete.
    pub(super) fn begin_shard(&mut self, file: usize) -> Option<(u64, Midstate)> {
        let entry = &self.journal.shards[file];
        (self.file, self.next) = (file, (entry.pieces, entry.midstate));
        entry.found.is_none().then_some(self.next)
    }

    /// Forgets what has arrived of the current shard, and why it failed.
    pub(super) fn restart_shard(&mut self) {
        self.open.clear();
        self.finished.clear();
        self.failed = None;
        self.next = (0, Midstate::start());
        self.journal.shards[self.file].restart();
    }

    /// Piece `number` is taken from the shard next.
    pub(super) fn begin(&mut self, number: u64, before: Midstate) {
        self.open.insert(number, before);
    }

    /// Piece `number` has been taken.
    pub(super) fn taken(&mut self, number: u64, after: Midstate) {
        self.next = (number + 1, after);
    }

    /// The rows of piece `number` of stretch `stretch` have been written.
    pub(super) fn finish(&mut self, number: u64, stretch: usize, written: Hash) {
        self.open.remove(&number);
        self.finished.insert(number, (stretch, written));
    }

    /// A piece has failed. It stays open: what is behind it is not counted.
    pub(super) fn fail(&mut self, why: Failed) {
        self.failed.get_or_insert(why);
    }

    /// True if a piece has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// True if the disk has failed.
    pub(super) fn lacks_disk(&self) -> bool {
        matches!(self.failed, Some(Failed::Disk(_)))
    }

    /// The first failure.
    pub(super) fn take_failure(&mut self) -> Option<Failed> {
        self.failed.take()
    }

    /// The whole shard has arrived, and all its pieces are finished.
    pub(super) fn end_shard(&mut self, hash: Hash) {
        self.count();
        self.journal.shards[self.file].found = Some(hash);
    }

    /// The journal as it is right if everything that was written is on the disk.
    pub(super) fn snapshot(&mut self) -> Journal {
        self.count();
        self.journal.clone()
    }

    /// Moves finished pieces to the journal, up to the first one that is open.
    fn count(&mut self) {
        let (first, before) = match self.open.first_key_value() {
            Some((number, before)) => (*number, *before),
            None => self.next,
        };
        let Some(entry) = self.journal.shards.get_mut(self.file) else {
            return;
        };
        while let Some(piece) = self.finished.first_entry() {
            if *piece.key() >= first {
                break;
            }
            let (stretch, written) = piece.remove();
            entry.add(stretch, written);
        }
        (entry.pieces, entry.midstate) = (first, before);
    }
}
