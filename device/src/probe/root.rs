//! The root folder under which `/proc` and `/sys` are read.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use siskin_model::files::{self, FileError};

/// The most bytes read from one file: entries of `/proc` and `/sys` are far smaller.
const MAX_ENTRY: u64 = 1 << 20;

/// The folder that contains `proc` and `sys`. Missing entries count as absent; entries that cannot be read
/// add a note.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    notes: RefCell<Vec<String>>,
}

impl Root {
    /// The running system's root, `/`.
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

    /// Whether this is the running system's root, so that system calls describe the same machine.
    pub fn is_system(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The bytes of an entry, e.g. `proc/meminfo`.
    pub fn bytes(&self, entry: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = files::open(&self.path.join(entry)).map_err(|error| match error {
            FileError::Io { source, .. } => source,
            error => std::io::Error::other(error),
        });
        match file.and_then(|file| file.take(MAX_ENTRY).read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(error) => {
                // Absent entries are normal: kernels and boards differ.
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                    self.note(format!("/{entry}: {error}"));
                }
                None
            }
        }
    }

    /// The text of an entry, without surrounding white space.
    pub fn text(&self, entry: &str) -> Option<String> {
        let bytes = self.bytes(entry)?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// An entry parsed as a number.
    pub fn number(&self, entry: &str) -> Option<u64> {
        self.text(entry)?.parse().ok()
    }

    /// The names in a folder that start with `prefix`, shortest first, then alphabetically; empty if the
    /// folder is missing.
    pub fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path.join(folder)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// The size of the first CPU's largest cache in bytes; 0 if the system does not tell.
    pub fn largest_cache(&self) -> u64 {
        const CACHES: &str = "sys/devices/system/cpu/cpu0/cache";
        let size = |index: &String| {
            let text = self.text(&format!("{CACHES}/{index}/size"))?;
            text.strip_suffix('K')?.parse::<u64>().ok()?.checked_mul(1024)
        };
        let caches = self.names(CACHES, "index");
        caches.iter().filter_map(size).max().unwrap_or(0)
    }

    /// Notes something unexpected, once.
    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// The notes so far.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }
}
