//! The file that was checked is the file that llama.cpp opens: it gets the open descriptor's name, not the path.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use siskin_model::files::Files;

use crate::Error;

/// A name by which llama.cpp opens the same file again, whatever the path leads to meanwhile. Without `/proc`, there is
/// only the path.
pub(super) fn name(file: &File, path: &Path) -> PathBuf {
    let descriptor = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match descriptor.exists() {
        true => descriptor,
        false => path.to_owned(),
    }
}

/// The names of all files of a model, in the order of its parts.
///
/// # Errors
/// A path cannot be passed to llama.cpp.
pub(super) fn names(files: &Files) -> Result<Vec<CString>, Error> {
    let name = |index| {
        let path = files.path(index);
        let file = files.file(index);
        let name = file.map_or_else(|| path.to_owned(), |file| name(file, path));
        CString::new(name.as_os_str().as_bytes()).map_err(|_| Error::Path(path.to_owned()))
    };
    (0..files.count()).map(name).collect()
}

/// The path of an open file as `/proc/self/maps` has it for its mappings.
pub(super) fn mapped_name(file: &File) -> Option<PathBuf> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    // The kernel writes a line break in a path as four characters, to keep one mapping on one line.
    let bytes = link.as_os_str().as_bytes();
    if bytes.contains(&b'\n') {
        let text = link.to_string_lossy().replace('\n', "\\012");
        return Some(PathBuf::from(text));
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_file_is_opened_and_not_what_took_its_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model");
        std::fs::write(&path, "checked").expect("written");
        let mut files = Files::new();
        let index = files.open(&path).expect("opened");
        std::fs::write(dir.path().join("other"), "another").expect("written");
        std::fs::rename(dir.path().join("other"), &path).expect("renamed");
        let names = names(&files).expect("a name");
        let name = names[index].to_str().expect("UTF-8");
        assert_eq!(std::fs::read_to_string(name).expect("read"), "checked");
    }
}
