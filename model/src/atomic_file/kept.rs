//! An output that is kept if its writer ends early, beside a journal that says how far it is.
//!
//! The output is `.NAME.pull` until it is complete, and its journal is `.NAME.pull.json`. Its writer holds a lock on it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::sibling::{is_at, open_or_create, prefix};
use super::target::{folder_of, resolve, sync_folder};
use super::{AtomicFile, AtomicFileError, Overwrite, check, is_unsupported, place, sync};
use crate::files;

/// The most bytes of a journal that are read.
const MAX_JOURNAL: u64 = 8 << 20;

/// A file being written at any positions, in any order. If it is dropped, it stays, and [`KeptFile::new`] continues it.
#[derive(Debug)]
pub struct KeptFile {
    /// As the caller names it.
    path: PathBuf,
    /// The same without links.
    target: PathBuf,
    partial: PathBuf,
    journal: PathBuf,
    file: File,
    existing: Overwrite,
}

impl KeptFile {
    /// Opens what an earlier run left of `path`, or begins it.
    ///
    /// # Errors
    /// Fails if [`check`] refuses the target, if another process is writing it, or if the system cannot create it.
    pub fn new(path: &Path, existing: Overwrite) -> Result<Self, AtomicFileError> {
        check(path, existing)?;
        let target = resolve(path)?;
        let io = |source| AtomicFileError::io(path, source);
        let stem = prefix(target.file_name().unwrap_or_default());
        let partial = folder_of(&target).join(format!("{stem}pull"));
        let journal = folder_of(&target).join(format!("{stem}pull.json"));
        let file = open_or_create(&partial).map_err(io)?;
        match file.try_lock() {
            // Until it was locked, another run could complete it.
            Ok(()) if is_at(&file, &partial) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(AtomicFileError::Busy(path.to_owned())),
            // A file system without locks.
            Err(TryLockError::Error(_)) => {}
        }
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(io::ErrorKind::InvalidInput.into()));
        }
        let kept = KeptFile {
            path: path.to_owned(),
            target,
            partial,
            journal,
            file,
            existing,
        };
        // Another run may have completed it since the first check.
        check(path, existing)?;
        Ok(kept)
    }

    /// The name of the file until it is complete.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// Fails if the system does not say.
    pub fn len(&self) -> Result<u64, AtomicFileError> {
        Ok(self.file.metadata().map_err(|e| self.error(e))?.len())
    }

    /// True if nothing has been written.
    ///
    /// # Errors
    /// As [`Self::len`]'s.
    pub fn is_empty(&self) -> Result<bool, AtomicFileError> {
        Ok(self.len()? == 0)
    }

    /// The journal; `None` if there is none that can be read.
    pub fn journal(&self) -> Option<Vec<u8>> {
        files::read(&self.journal, MAX_JOURNAL).ok()
    }

    /// Replaces the journal in one step, on the disk when this returns.
    ///
    /// # Errors
    /// Fails if the system cannot write it.
    pub fn write_journal(&self, bytes: &[u8]) -> Result<(), AtomicFileError> {
        let journal = AtomicFile::create(&self.journal, Overwrite::Replace)?;
        journal.write_all(bytes)?;
        journal.commit()
    }

    /// Makes the file one of `bytes` zeros, and reserves them on the disk if the file system can.
    ///
    /// # Errors
    /// Fails if the disk does not have enough space; the file is then removed.
    pub fn begin(&self, bytes: u64) -> Result<(), AtomicFileError> {
        // The journal goes first: it must not be found with a file that it does not describe.
        remove(&self.journal).map_err(|e| self.error(e))?;
        sync_folder(folder_of(&self.target));
        let begun = self.file.set_len(0).and_then(|()| self.file.set_len(bytes));
        let reserved =
            begun.and_then(
                |()| match fallocate(&self.file, FallocateFlags::empty(), 0, bytes.max(1)) {
                    Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(errno.into()),
                    // Whatever else is wrong, writing finds out.
                    _ => Ok(()),
                },
            );
        let begun = reserved
            .and_then(|()| self.file.set_len(bytes))
            .and_then(|()| sync(&self.file));
        if begun.is_err() {
            let _ = remove(&self.partial);
        }
        begun.map_err(|e| self.error(e))
    }

    /// Writes all `bytes` at `position`.
    ///
    /// # Errors
    /// Fails if the system cannot.
    pub fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), AtomicFileError> {
        self.file.write_all_at(bytes, position).map_err(|e| self.error(e))
    }

    /// Fills `bytes` from `position`.
    ///
    /// # Errors
    /// Fails if the system cannot.
    pub fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<(), AtomicFileError> {
        self.file
            .read_exact_at(bytes, position)
            .map_err(|e| self.error(e))
    }

    /// Waits until everything that was written is on the disk, and asks the system to keep none of it in memory: what
    /// is read afterwards comes from the disk.
    ///
    /// # Errors
    /// Fails if the system cannot write it.
    pub fn sync(&self) -> Result<(), AtomicFileError> {
        match self.file.sync_data() {
            Err(error) if !is_unsupported(&error) => return Err(self.error(error)),
            _ => {}
        }
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        Ok(())
    }

    /// Moves the complete file to its name, and removes the journal.
    ///
    /// # Errors
    /// Fails if the system cannot write or move the file, or if the target appeared meanwhile and must not be
    /// replaced.
    pub fn commit(self) -> Result<(), AtomicFileError> {
        super::keep_mode(&self.file, &self.target);
        sync(&self.file).map_err(|e| self.error(e))?;
        place(&self.partial, &self.target, &self.path, self.existing)?;
        let _ = remove(&self.journal);
        Ok(())
    }

    /// Removes the file and its journal.
    pub fn remove(self) {
        let _ = remove(&self.journal);
        let _ = remove(&self.partial);
    }

    /// A system's error as one of this file.
    pub fn error(&self, source: io::Error) -> AtomicFileError {
        AtomicFileError::io(&self.path, source)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_kept_and_continued() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("out.gguf");
        let kept = KeptFile::new(&path, Overwrite::Refuse).expect("begun");
        assert!(kept.is_empty().expect("its size") && kept.journal().is_none());
        kept.begin(10).expect("space");
        kept.write_at(b"end", 7).expect("written");
        kept.sync().expect("on the disk");
        kept.write_journal(b"one").expect("written");
        kept.write_journal(b"two").expect("written");
        let busy = KeptFile::new(&path, Overwrite::Refuse).expect_err("it is being written");
        assert!(matches!(busy, AtomicFileError::Busy(_)), "{busy}");
        drop(kept);
        assert!(!path.exists());

        let kept = KeptFile::new(&path, Overwrite::Refuse).expect("continued");
        assert_eq!(
            (kept.len().expect("its size"), kept.journal()),
            (10, Some(b"two".to_vec()))
        );
        kept.write_at(b"0123456", 0).expect("written");
        let mut read = [0; 10];
        kept.read_at(&mut read, 0).expect("read");
        kept.commit().expect("complete");
        assert_eq!(std::fs::read(&path).expect("there"), b"0123456end");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
        assert!(KeptFile::new(&path, Overwrite::Refuse).is_err());
    }

    #[test]
    fn a_new_beginning_forgets_the_journal_and_the_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("out");
        std::fs::write(dir.path().join(".out.pull"), "left").expect("written");
        std::fs::write(dir.path().join(".out.pull.json"), "left").expect("written");
        let kept = KeptFile::new(&path, Overwrite::Refuse).expect("opened");
        kept.begin(6).expect("space");
        assert_eq!(kept.journal(), None);
        let mut read = [1; 6];
        kept.read_at(&mut read, 0).expect("read");
        assert_eq!(read, [0; 6]);
        std::fs::write(&path, "made meanwhile").expect("written");
        assert!(matches!(kept.commit(), Err(AtomicFileError::Exists(_))));
        KeptFile::new(&path, Overwrite::Replace).expect("opened").remove();
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
