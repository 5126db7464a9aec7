//! What can be known of a target before any work is done.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{AtomicFileError, Overwrite};
use crate::files::{FileId, PathKind};

/// The most links that lead from one to the next: Linux's own limit.
const MAX_LINKS: usize = 40;

/// Checks, before any work is done, that the target can and may be written.
///
/// # Errors
/// Fails if the target exists and must not be replaced, is not a regular file, is a link to nothing, or if its folder
/// is missing or cannot be written to.
pub fn check(path: &Path, existing: Overwrite) -> Result<(), AtomicFileError> {
    let not_a_file = |kind| AtomicFileError::NotAFile {
        path: path.to_owned(),
        kind,
    };
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes == b"-" {
        return Err(AtomicFileError::Dash);
    }
    if bytes.ends_with(b"/") {
        return Err(not_a_file(None));
    }
    let target = resolve(path)?;
    match std::fs::symlink_metadata(&target) {
        Ok(meta) if !meta.is_file() => return Err(not_a_file(PathKind::new(&target, meta.file_type()))),
        Ok(_) if existing == Overwrite::Refuse => return Err(AtomicFileError::Exists(path.to_owned())),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(AtomicFileError::io(path, source)),
    }
    if target.file_name().is_none() {
        return Err(not_a_file(None));
    }
    let folder = folder_of(&target);
    match std::fs::metadata(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(AtomicFileError::NoFolder {
            path: path.to_owned(),
            folder: folder.to_owned(),
        }),
        Err(source) => Err(AtomicFileError::io(path, source)),
        Ok(_) => access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| AtomicFileError::io(path, errno.into())),
    }
}

/// Checks that `output` is not one of the files that are read, under any name: hard links and symbolic links are the
/// same file. Inputs that do not exist are ignored.
///
/// # Errors
/// Fails with the first input that is the output.
pub fn check_inputs<P: AsRef<Path>>(
    output: &Path,
    inputs: impl IntoIterator<Item = P>,
) -> Result<(), AtomicFileError> {
    let Some(id) = FileId::of_path(output) else {
        return Ok(());
    };
    let same = |input: &P| FileId::of_path(input.as_ref()) == Some(id);
    match inputs.into_iter().find(same) {
        Some(input) => Err(AtomicFileError::IsInput {
            output: output.to_owned(),
            input: input.as_ref().to_owned(),
        }),
        None => Ok(()),
    }
}

/// The path of the file that `path` leads to, through symbolic links.
///
/// # Errors
/// Fails if a link leads nowhere or in a circle.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, AtomicFileError> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(link) = std::fs::read_link(&target) else {
            let missing = std::fs::symlink_metadata(&target)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            return match missing && target != path {
                true => Err(AtomicFileError::Dangling {
                    path: path.to_owned(),
                    to: target,
                }),
                false => Ok(target),
            };
        };
        target = folder_of(&target).join(link);
    }
    Err(AtomicFileError::io(path, rustix::io::Errno::LOOP.into()))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the rename survive a power failure, if the file system can sync a folder.
pub(super) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
