//! The folder of a store: private, locked, and every name in it is one of ours or is left alone.
//!
//! Files are opened relative to the open folder and never through a link, so nothing that is put into the folder leads
//! elsewhere. What is opened must be a regular file of this user.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{
    Advice, AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, fadvise, flock, fstat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::manifest::EntryId;

/// What is locked as long as a store is open.
const LOCK: &str = "lock";
/// What a file's name ends with until it is complete.
const PARTIAL: &str = ".partial";
/// Bytes read at a time.
const PIECE: usize = 1 << 18;

/// Why there is no store. The service runs without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process uses it.
    #[error("{}: another process keeps its prefixes here; prefixes are not kept", .0.display())]
    InUse(PathBuf),
    /// Others may read or write in it.
    #[error("{}: others may use this folder (mode {mode:o}); make it private: chmod 700", path.display())]
    NotPrivate {
        /// Which folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is another user's.
    #[error("{}: this folder belongs to another user", .0.display())]
    NotOwned(PathBuf),
    /// It cannot be made, opened or locked.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What a name in the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    State(EntryId),
    Manifest(EntryId),
    /// A file that was not completed.
    Partial,
    /// The lock or the ledger.
    Own,
    Foreign,
}

/// The ledger's name.
pub(super) const LEDGER: &str = "ledger";

pub(super) fn classify(name: &str) -> Kind {
    let (whole, partial) = match name.strip_suffix(PARTIAL) {
        Some(whole) => (whole, true),
        None => (name, false),
    };
    let kind = match whole.split_once('.') {
        None if whole == LOCK || whole == LEDGER => Kind::Own,
        Some((id, end)) => match (EntryId::parse(id), end) {
            (Some(id), "state") => Kind::State(id),
            (Some(id), "manifest") => Kind::Manifest(id),
            _ => Kind::Foreign,
        },
        None => Kind::Foreign,
    };
    match kind {
        Kind::Foreign => Kind::Foreign,
        Kind::Own if partial && whole == LOCK => Kind::Foreign,
        _ if partial => Kind::Partial,
        kind => kind,
    }
}

pub(super) fn state(id: EntryId) -> String {
    format!("{id}.state")
}

pub(super) fn manifest(id: EntryId) -> String {
    format!("{id}.manifest")
}

pub(super) fn partial(name: &str) -> String {
    format!("{name}{PARTIAL}")
}

/// An open, locked folder.
#[derive(Debug)]
pub(super) struct Folder {
    folder: File,
    /// The system unlocks it if the process is killed.
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A child that was started just now has the file open until it runs its program: to close it is not enough.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Folder {
    /// Makes or opens the folder and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |source: io::Error| StoreError::Io {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The folder itself may be reached by a link, as systemd's state folders are.
        let folder: File = openat(CWD, path, flags, Mode::empty())
            .map_err(|e| io(e.into()))?
            .into();
        let stat = fstat(&folder).map_err(|e| io(e.into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(StoreError::NotOwned(path.to_owned()));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(StoreError::NotPrivate {
                path: path.to_owned(),
                mode: stat.st_mode & 0o777,
            });
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let lock: File = openat(&folder, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| io(e.into()))?
            .into();
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Folder { folder, lock }),
            Err(Errno::WOULDBLOCK) => Err(StoreError::InUse(path.to_owned())),
            Err(error) => Err(io(error.into())),
        }
    }

    /// Every name in the folder; one that is not text is foreign in any case.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Opens a regular file of this user for reading.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        // A device may do something when it is opened, so the name is looked at first.
        let look = |stat: rustix::fs::Stat| {
            let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let own = stat.st_uid == rustix::process::geteuid().as_raw();
            match regular && own {
                true => Ok(()),
                false => Err(io::Error::other("it is not a regular file of this user")),
            }
        };
        look(statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: File = openat(&self.folder, name, flags, Mode::empty())?.into();
        look(fstat(&file)?)?;
        Ok(file)
    }

    /// Reads a file of at most `limit` bytes.
    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(limit + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= limit {
            true => Ok(bytes),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    /// A new file, in the place of any of this name.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Gives a complete file its name.
    pub(super) fn complete(&self, name: &str) -> io::Result<()> {
        Ok(renameat(&self.folder, partial(name), &self.folder, name)?)
    }

    /// Writes a small file in one step: after a crash it is the old one or the new one.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let written = self.create(&partial(name)).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            self.complete(name)?;
            self.folder.sync_all()
        });
        if written.is_err() {
            let _ = self.remove(&partial(name));
        }
        written
    }

    /// Removes a name; what a link leads to stays.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an entry: first its manifest, without which its state is nothing.
    pub(super) fn remove_entry(&self, id: EntryId) {
        // What cannot be removed is in no list, and is looked at again when the store is opened the next time.
        let _ = self.remove(&manifest(id));
        let _ = self.remove(&state(id));
    }
}

/// A file's digest, as its disk has it if the disk can be asked, and the bytes read in a second.
pub(super) fn digest(file: &File) -> io::Result<([u8; 32], f64)> {
    // Pages that are not written yet stay; a memory file system has no others.
    let _ = fadvise(file, 0, None, Advice::Sequential);
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut position = 0;
    let start = Instant::now();
    loop {
        match file.read_at(&mut piece, position) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&piece[..n]);
                position += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let seconds = start.elapsed().as_secs_f64().max(1e-6);
    Ok((hash.finalize().into(), position as f64 / seconds))
}

/// Has the next read of a file come from the disk.
pub(super) fn forget_pages(file: &File) {
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_store_did_not_make_are_foreign() {
        let id = EntryId::from_bytes([0xab; 16]);
        let hex = id.to_string();
        let table = [
            (format!("{hex}.state"), Kind::State(id)),
            (format!("{hex}.manifest"), Kind::Manifest(id)),
            (format!("{hex}.state.partial"), Kind::Partial),
            (format!("{hex}.manifest.partial"), Kind::Partial),
            ("ledger.partial".into(), Kind::Partial),
            ("ledger".into(), Kind::Own),
            ("lock".into(), Kind::Own),
            ("lock.partial".into(), Kind::Foreign),
            (format!("{hex}.state.partial.partial"), Kind::Foreign),
            (format!("{hex}.States"), Kind::Foreign),
            (format!("{hex}."), Kind::Foreign),
            (hex.clone(), Kind::Foreign),
            (format!("{hex}0.state"), Kind::Foreign),
            (format!("{}.state", hex.to_uppercase()), Kind::Foreign),
            (".state".into(), Kind::Foreign),
            ("notes.partial".into(), Kind::Foreign),
            ("model.gguf".into(), Kind::Foreign),
        ];
        for (name, want) in table {
            assert_eq!(classify(&name), want, "{name}");
        }
    }
}
