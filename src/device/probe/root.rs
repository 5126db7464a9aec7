//! Where `/proc` and `/sys` are read from.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The largest file read: entries of `/proc` and `/sys` are far smaller.
const MAX_ENTRY: u64 = 1 << 20;

/// The folder that holds `proc` and `sys`. Entries that are not there are absent; ones that cannot be read are noted.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    notes: RefCell<Vec<String>>,
}

impl Root {
    /// The system's own.
    pub fn system() -> Self {
        Self::at("/")
    }

    /// Another folder, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Root {
            path: path.into(),
            notes: RefCell::default(),
        }
    }

    /// True for the system's own, where this process can be asked too.
    pub fn is_system(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The bytes of an entry, e.g. `proc/meminfo`.
    pub fn bytes(&self, entry: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.path.join(entry));
        match file.and_then(|file| file.take(MAX_ENTRY).read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(error) => {
                // Absent entries are ordinary: kernels and boards differ.
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                    self.note(format!("/{entry}: {error}"));
                }
                None
            }
        }
    }

    /// The text of an entry without white space around it.
    pub fn text(&self, entry: &str) -> Option<String> {
        let bytes = self.bytes(entry)?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The number an entry holds.
    pub fn number(&self, entry: &str) -> Option<u64> {
        self.text(entry)?.parse().ok()
    }

    /// Names in a folder that start with `prefix`, sorted; empty where there is no such folder.
    pub fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path.join(folder)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// Says that something was not as expected.
    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// What could not be read.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }
}
