//! The output file: a temporary sibling that replaces the target in one step, or leaves it unchanged.
//!
//! The sibling is called `.NAME.NUMBER.partial`; its writer holds a lock on it. If a writer is killed, its
//! sibling remains without a lock; the next run for the same target removes it. File systems without locks, fsync,
//! reservation or hard links work too, with what they have.

mod error;
mod kept;
mod sibling;
mod target;

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

pub use error::AtomicFileError;
pub use kept::KeptFile;
pub use target::{check, check_inputs};

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
    /// As the caller names it.
    path: PathBuf,
    /// The same without links: what is replaced.
    target: PathBuf,
    partial: PathBuf,
    file: Option<File>,
    existing: Overwrite,
}

impl AtomicFile {
    /// Creates a temporary sibling of `path` and removes siblings that killed runs left behind. If `path` is a
    /// symbolic link, the file that it leads to is replaced, and the link stays.
    ///
    /// # Errors
    /// Fails if [`check`] refuses the target, or if the system cannot create the sibling.
    pub fn create(path: &Path, existing: Overwrite) -> Result<Self, AtomicFileError> {
        check(path, existing)?;
        let target = target::resolve(path)?;
        let (partial, file) = sibling::create(&target).map_err(|source| AtomicFileError::io(path, source))?;
        Ok(AtomicFile {
            path: path.to_owned(),
            target,
            partial,
            file: Some(file),
            existing,
        })
    }

    /// The open temporary file.
    pub fn file(&self) -> &File {
        self.file.as_ref().expect("open until committed")
    }

    /// Reserves `bytes` on the disk now, so that a full disk is reported before the work and not after it.
    /// Does nothing on file systems that cannot reserve space.
    ///
    /// # Errors
    /// Fails if the disk does not have enough space, or if the file would be larger than allowed.
    pub fn reserve(&self, bytes: u64) -> Result<(), AtomicFileError> {
        if bytes == 0 {
            return Ok(());
        }
        match fallocate(self.file(), FallocateFlags::empty(), 0, bytes) {
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(self.error(errno.into())),
            // Whatever else is wrong, writing finds out.
            _ => Ok(()),
        }
    }

    /// Writes `bytes` at the current file position.
    ///
    /// # Errors
    /// Fails if the system cannot write all bytes.
    pub fn write_all(&self, bytes: &[u8]) -> Result<(), AtomicFileError> {
        self.file().write_all(bytes).map_err(|e| self.error(e))
    }

    /// Flushes the file to the disk and moves it to the target in one step. It gets the mode, and if possible the
    /// owner, of the file that it replaces.
    ///
    /// # Errors
    /// Fails if the system cannot write or move the file, or if the target appeared meanwhile and must not be
    /// replaced.
    pub fn commit(mut self) -> Result<(), AtomicFileError> {
        self.flush()?;
        self.move_to_target()
    }

    /// Completes several files that belong together: flushes all, then moves them in their order, so that nothing is
    /// half-written under its name. If one that must not replace another cannot be moved, those that were moved before
    /// it are removed again.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`]'s.
    pub fn commit_all(mut files: Vec<AtomicFile>) -> Result<(), AtomicFileError> {
        files.iter().try_for_each(AtomicFile::flush)?;
        for number in 0..files.len() {
            if let Err(error) = files[number].move_to_target() {
                let moved = files[..number].iter();
                for file in moved.filter(|file| file.existing == Overwrite::Refuse) {
                    let _ = std::fs::remove_file(&file.target);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives the file the mode that it is to have, and flushes it to the disk.
    fn flush(&self) -> Result<(), AtomicFileError> {
        keep_mode(self.file(), &self.target);
        sync(self.file()).map_err(|e| self.error(e))
    }

    fn move_to_target(&mut self) -> Result<(), AtomicFileError> {
        place(&self.partial, &self.target, &self.path, self.existing)?;
        self.file = None;
        Ok(())
    }

    /// A system's error as one of this file.
    pub fn error(&self, source: io::Error) -> AtomicFileError {
        AtomicFileError::io(&self.path, source)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Errors by which systems say that they cannot do something at all, rather than that it failed: some network and
/// user-space file systems have no locks, no fsync or no hard links.
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::INVAL,
        Errno::PERM,
        Errno::NOLCK,
        Errno::NOTTY,
    ];
    Errno::from_io_error(error).is_some_and(|errno| unsupported.contains(&errno))
}

/// Takes over mode and owner of a file that will be replaced. If the owner cannot be set, as is usual, the file
/// belongs to the user, as any that an editor saves.
fn keep_mode(file: &File, target: &Path) {
    let Ok(old) = std::fs::symlink_metadata(target) else {
        return;
    };
    let mine = |meta: std::fs::Metadata| (meta.uid(), meta.gid()) == (old.uid(), old.gid());
    if !file.metadata().is_ok_and(mine) {
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    }
    let _ = file.set_permissions(Permissions::from_mode(old.mode() & 0o777));
}

fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_unsupported(&error) => Ok(()),
        synced => synced,
    }
}

/// Moves a complete file to its name, which the caller knows as `path`, and sees to it that the move lasts.
fn place(partial: &Path, target: &Path, path: &Path, existing: Overwrite) -> Result<(), AtomicFileError> {
    match existing {
        Overwrite::Replace => std::fs::rename(partial, target),
        Overwrite::Refuse => move_to_new(partial, target),
    }
    .map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => AtomicFileError::Exists(path.to_owned()),
        _ => AtomicFileError::io(path, e),
    })?;
    target::sync_folder(target::folder_of(target));
    Ok(())
}

/// Moves a file to a name that must not exist yet. A hard link fails if another process took the name meanwhile; a
/// rename would replace its file.
fn move_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {
            let _ = std::fs::remove_file(from);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links: between this look and the rename is a moment that nothing can close.
        Err(_) if std::fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

#[cfg(test)]
mod tests;
