//! The output file: a temporary sibling that replaces the target in one step, or leaves it unchanged.
//!
//! The sibling is called `.NAME.PID.partial`; its writer holds a lock on it. If a writer is killed, its
//! sibling remains without a lock; the next run for the same target removes it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::ErrorKind;

/// Suffix of every temporary sibling.
const SUFFIX: &str = ".partial";

/// What to do if the target already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse, before any work is done.
    Refuse,
    /// Replace it at the end, in one step.
    Replace,
}

/// A file being written. If it is dropped without [`AtomicFile::commit`], the temporary file is removed.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    partial: PathBuf,
    file: Option<File>,
    existing: Overwrite,
}

/// The output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtomicFileError {
    /// The target exists, and the caller did not ask to replace it.
    #[error("{}: already exists", .0.display())]
    Exists(PathBuf),
    /// The target is a folder or a device, or its name ends in `/`.
    #[error("{}: not a regular file; name a file to write to", .0.display())]
    NotAFile(PathBuf),
    /// Another process is writing the same target with the same temporary name.
    #[error("{}: another process is writing it", .0.display())]
    Busy(PathBuf),
    /// The system reported an error.
    #[error("{}: cannot write: {source}", path.display())]
    Io {
        /// Path of the target.
        path: PathBuf,
        /// Error reported by the system.
        source: io::Error,
    },
}

impl AtomicFileError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            AtomicFileError::Exists(_) => ErrorKind::Exists,
            AtomicFileError::NotAFile(_) => ErrorKind::Path,
            AtomicFileError::Busy(_) => ErrorKind::Busy,
            AtomicFileError::Io { .. } => ErrorKind::Io,
        }
    }
}

impl AtomicFile {
    /// Creates a temporary sibling of `path` and removes siblings that killed runs left behind.
    ///
    /// # Errors
    /// Fails if [`check`] refuses the target, if its temporary sibling exists, or if the system cannot create
    /// or lock the sibling.
    pub fn create(path: &Path, existing: Overwrite) -> Result<Self, AtomicFileError> {
        let io = |source| AtomicFileError::Io {
            path: path.to_owned(),
            source,
        };
        check(path, existing)?;
        let name = path
            .file_name()
            .ok_or_else(|| AtomicFileError::NotAFile(path.to_owned()))?;
        let folder = folder_of(path);
        let prefix = format!(".{}.", name.to_string_lossy());
        remove_left_overs(folder, &prefix);
        let partial = folder.join(format!("{prefix}{}{SUFFIX}", std::process::id()));
        let file = match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&partial)
        {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(AtomicFileError::Busy(path.to_owned()));
            }
            opened => opened.map_err(io)?,
        };
        let target = AtomicFile {
            path: path.to_owned(),
            partial,
            file: Some(file),
            existing,
        };
        target.file().lock().map_err(io)?;
        Ok(target)
    }

    /// The open temporary file.
    pub fn file(&self) -> &File {
        self.file.as_ref().expect("open until committed")
    }

    /// Reserves `bytes` on the disk now, so that a full disk is reported before the work and not after it.
    /// Does nothing on file systems that cannot reserve space.
    ///
    /// # Errors
    /// Fails if the disk does not have enough space, or if the system reports another error.
    pub fn reserve(&self, bytes: u64) -> Result<(), AtomicFileError> {
        use rustix::io::Errno;
        match rustix::fs::fallocate(self.file(), rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(errno) => Err(self.error(errno.into())),
        }
    }

    /// Writes `bytes` at the current file position.
    ///
    /// # Errors
    /// Fails if the system cannot write all bytes.
    pub fn write_all(&self, bytes: &[u8]) -> Result<(), AtomicFileError> {
        self.file().write_all(bytes).map_err(|e| self.error(e))
    }

    /// Flushes the file to the disk and moves it to the target in one step.
    ///
    /// # Errors
    /// Fails if the system cannot write or move the file, or if the target appeared meanwhile and must not be
    /// replaced.
    pub fn commit(mut self) -> Result<(), AtomicFileError> {
        self.file().sync_all().map_err(|e| self.error(e))?;
        match self.existing {
            Overwrite::Replace => std::fs::rename(&self.partial, &self.path),
            // A hard link fails if another process created the target meanwhile; a rename would replace it.
            Overwrite::Refuse => std::fs::hard_link(&self.partial, &self.path).or_else(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Err(e),
                _ => std::fs::rename(&self.partial, &self.path),
            }),
        }
        .map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => AtomicFileError::Exists(self.path.clone()),
            _ => self.error(e),
        })?;
        self.file = None;
        let _ = std::fs::remove_file(&self.partial); // the second name of a hard link; absent after a rename
        sync_folder(folder_of(&self.path));
        Ok(())
    }

    /// A system's error as one of this file.
    pub fn error(&self, source: io::Error) -> AtomicFileError {
        AtomicFileError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Checks, before any work is done, that the target can and may be written.
///
/// # Errors
/// Fails if the target exists and must not be replaced, is not a regular file, or cannot be examined.
pub fn check(path: &Path, existing: Overwrite) -> Result<(), AtomicFileError> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(AtomicFileError::NotAFile(path.to_owned()));
    }
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(AtomicFileError::NotAFile(path.to_owned())),
        Ok(_) if existing == Overwrite::Refuse => Err(AtomicFileError::Exists(path.to_owned())),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(AtomicFileError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes temporary siblings of the same target that no living process has locked. Best effort: siblings
/// that cannot be opened stay.
fn remove_left_overs(folder: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let middle = name
            .to_str()
            .and_then(|n| n.strip_prefix(prefix))
            .and_then(|n| n.strip_suffix(SUFFIX));
        let ours = middle.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()));
        if !ours || !entry.file_type().is_ok_and(|ty| ty.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {} // its writer is alive
            Ok(()) | Err(TryLockError::Error(_)) => drop(std::fs::remove_file(entry.path())),
        }
    }
}

/// Makes the rename survive a power failure, if the file system can sync a folder.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_target_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("out.gguf");
        let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
        target.write_all(b"half").expect("written");
        assert!(!path.exists());
        drop(target);
        assert_eq!(names(dir.path()), [""; 0]);

        let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
        target.reserve(5).expect("reserved");
        target.write_all(b"whole").expect("written");
        target.commit().expect("committed");
        assert_eq!(std::fs::read(&path).expect("there"), b"whole");
        assert_eq!(names(dir.path()), ["out.gguf"]);
    }

    #[test]
    fn an_existing_target_is_kept_or_replaced_as_asked() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("out.gguf");
        std::fs::write(&path, "old").expect("written");
        assert!(matches!(
            AtomicFile::create(&path, Overwrite::Refuse),
            Err(AtomicFileError::Exists(_))
        ));
        let target = AtomicFile::create(&path, Overwrite::Replace).expect("created");
        target.write_all(b"new").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"old");
        target.commit().expect("committed");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
    }

    #[test]
    fn a_target_made_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("out.gguf");
        let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
        std::fs::write(&path, "somebody else's").expect("written");
        assert!(matches!(target.commit(), Err(AtomicFileError::Exists(_))));
        assert_eq!(std::fs::read(&path).expect("there"), b"somebody else's");
        assert_eq!(names(dir.path()), ["out.gguf"]);
    }

    #[test]
    fn left_overs_of_killed_runs_go_and_everything_else_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("out.gguf");
        let stays = [
            ".out.gguf.12x.partial",
            ".out.gguf..partial",
            ".other.gguf.1.partial",
            "out.gguf.1.partial",
        ];
        for name in stays.into_iter().chain([".out.gguf.1.partial"]) {
            std::fs::write(dir.path().join(name), "left").expect("written");
        }
        let living = dir.path().join(".out.gguf.2.partial");
        let locked = File::create(&living).expect("created");
        locked.lock().expect("locked");
        drop(AtomicFile::create(&path, Overwrite::Refuse).expect("created"));
        let mut want = stays.map(str::to_owned).to_vec();
        want.push(".out.gguf.2.partial".to_owned());
        want.sort();
        assert_eq!(names(dir.path()), want);
    }

    #[test]
    fn what_is_no_file_name_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for path in [dir.path().to_owned(), "/dev/null".into(), "new/".into()] {
            assert!(
                matches!(
                    AtomicFile::create(&path, Overwrite::Replace),
                    Err(AtomicFileError::NotAFile(_))
                ),
                "{path:?}"
            );
        }
        let nowhere = dir.path().join("no/such/out.gguf");
        assert!(matches!(
            AtomicFile::create(&nowhere, Overwrite::Refuse),
            Err(AtomicFileError::Io { .. })
        ));
    }
}
