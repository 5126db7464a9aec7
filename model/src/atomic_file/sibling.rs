//! The temporary sibling: made, locked, and removed if its writer was killed.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::target::folder_of;
use crate::files::FileId;

/// Suffix of every temporary sibling.
const SUFFIX: &str = ".partial";

/// The most bytes of the target's name in that of its sibling: file systems allow 255, and a number and a suffix
/// follow.
const MAX_NAME: usize = 200;

/// How often another name is tried.
const ATTEMPTS: usize = 100;

/// Creates a sibling of `target`, locked if the file system has locks, and removes what killed runs left.
pub(super) fn create(target: &Path) -> io::Result<(PathBuf, File)> {
    let folder = folder_of(target);
    let prefix = prefix(target.file_name().unwrap_or_default());
    remove_left_overs(folder, &prefix);
    // Who cannot read the file that will be replaced cannot read this one either.
    let mode = std::fs::symlink_metadata(target).map_or(0o666, |old| old.mode() & 0o777 | 0o600);
    for _ in 0..ATTEMPTS {
        let path = folder.join(format!("{prefix}{}{SUFFIX}", random()));
        let file = match File::options()
            .mode(mode)
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        match file.try_lock() {
            // Until it was locked, another run could take it for a left-over and remove it.
            Ok(()) if is_at(&file, &path) => return Ok((path, file)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // Without locks, no run removes what another left: see `remove_left_overs`.
            Err(TryLockError::Error(_)) => return Ok((path, file)),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "its temporary file disappears again and again",
    ))
}

/// Opens a file for reading and writing, whatever an earlier run left in it. It never waits.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags.try_into().unwrap_or(0))
        .open(path)
}

/// A number that no other run has.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Whether `path` still names this file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let file = FileId::of(file);
    file.is_some() && file == FileId::of_entry(path)
}

/// What the name of a target's siblings begins with.
pub(super) fn prefix(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    format!(".{}.", &name[..name.floor_char_boundary(MAX_NAME)])
}

/// Removes temporary siblings of the same target that no living process has locked. Best effort: siblings
/// that cannot be opened or locked stay.
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
        let ours =
            middle.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        if ours && entry.file_type().is_ok_and(|ty| ty.is_file()) {
            remove_if_left(&entry.path());
        }
    }
}

/// Removes a sibling if its lock is free. If the lock cannot be asked for, its writer may be alive.
fn remove_if_left(path: &Path) {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW)
        .bits()
        .try_into()
        .unwrap_or(0);
    // NFS takes exclusive locks only of files that are open for writing.
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path);
    if let Ok(file) = opened
        && file.try_lock().is_ok()
        && is_at(&file, path)
    {
        // While this lock is held, the writer cannot lock the file; it then sees that its name is gone.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_any_folder() {
        let cases = ["a.gguf", &"x".repeat(255), &"\u{20ac}".repeat(85)];
        for name in cases {
            let sibling = format!("{}{}{SUFFIX}", prefix(name.as_ref()), u64::MAX);
            assert!(
                sibling.len() <= 255 && sibling.starts_with(&format!(".{}", &name[..3])),
                "{sibling}"
            );
        }
    }

    #[test]
    fn runs_at_the_same_time_never_remove_each_others_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("out");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let (path, file) = create(&target).expect("created");
                        assert!(is_at(&file, &path));
                        remove_left_overs(dir.path(), ".out.");
                        assert!(is_at(&file, &path), "removed while it is written");
                        std::fs::remove_file(path).expect("removed");
                    }
                });
            }
        });
    }
}
