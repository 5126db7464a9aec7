//! What a run asks of the disk, as little as possible: tests have one that forgets.

use siskin_model::atomic_file::{AtomicFileError, KeptFile};

/// The output while it is written, and its journal.
pub(super) trait Disk: Sync {
    /// Writes all `bytes` at `position`.
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), AtomicFileError>;
    /// Fills `bytes` from `position`.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<(), AtomicFileError>;
    /// Returns when everything that was written is on the disk.
    fn sync(&self) -> Result<(), AtomicFileError>;
    /// Replaces the journal in one step, and returns when it is on the disk.
    fn write_journal(&self, journal: &[u8]) -> Result<(), AtomicFileError>;
}

impl Disk for KeptFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), AtomicFileError> {
        KeptFile::write_at(self, bytes, position)
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<(), AtomicFileError> {
        KeptFile::read_at(self, bytes, position)
    }

    fn sync(&self) -> Result<(), AtomicFileError> {
        KeptFile::sync(self)
    }

    fn write_journal(&self, journal: &[u8]) -> Result<(), AtomicFileError> {
        KeptFile::write_journal(self, journal)
    }
}
