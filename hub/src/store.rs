//! The models on this machine, by names that people can read: a folder of GGUF files, and what is known of each.
//!
//! ```text
//! FOLDER/Llama-3.2-1B-Instruct-q4_k_m.gguf          a model; also one that was put there by hand
//! FOLDER/.siskin/Llama-3.2-1B-Instruct-q4_k_m.json  where it is from, when it was verified; its time is that of its last use, or 1970
//! ```

mod record;
mod remove;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use siskin_model::atomic_file::AtomicFileError;
use siskin_model::files::FileError;
use siskin_model::gguf::part_of;
use siskin_model::{ErrorKind, FileType};

pub use record::{Origin, Record};
pub use remove::Freed;

/// The folder of what is known of the models.
const RECORDS: &str = ".siskin";
/// The most models that are listed: a folder with more is not one of models.
const MOST: usize = 10_000;

/// The folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

/// A model of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its name: the file's, without part and ending.
    pub name: String,
    /// Its files, in order.
    pub files: Vec<PathBuf>,
    /// The size of all files in bytes.
    pub bytes: u64,
    /// When it was last used, if it ever was.
    pub used: Option<SystemTime>,
    /// What is known of it; `None` for one that was put there by hand, or if the record is damaged.
    pub record: Option<Record>,
}

impl Stored {
    /// Whether the files have the size that they were written with, as far as that is known.
    pub fn is_whole(&self) -> bool {
        let written = self.record.as_ref().and_then(|record| record.bytes);
        written.is_none_or(|written| written == self.bytes)
    }

    /// The file to load: the first.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), PathBuf::as_path)
    }
}

/// The store cannot be used, or does not have what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no home for it.
    #[error("there is no folder for models: neither SISKIN_MODELS nor HOME is set")]
    NoHome,
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it reported.
        source: io::Error,
    },
    /// A record cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// Several models have the name.
    #[error("{name}: {} models have this name: {}; give one of them", .there.len(), .there.join(", "))]
    Several {
        /// What was asked for.
        name: String,
        /// The models.
        there: Vec<String>,
    },
    /// No model has the name.
    #[error("{name}: no such model in {}{}", folder.display(), listed(.there))]
    NoModel {
        /// What was asked for.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// The models that are there.
        there: Vec<String>,
    },
}

fn listed(there: &[String]) -> String {
    match there {
        [] => "; it is empty".into(),
        there => format!("; there is {}", there.join(", ")),
    }
}

impl StoreError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::NoHome | StoreError::Several { .. } => ErrorKind::Path,
            StoreError::NoModel { .. } => ErrorKind::Missing,
            StoreError::Io { .. } => ErrorKind::Io,
            StoreError::Write(source) => source.kind(),
            StoreError::Read(source) => source.kind(),
        }
    }
}

impl Store {
    /// The user's store: `$SISKIN_MODELS`, else `$XDG_DATA_HOME/siskin/models`, else `~/.local/share/siskin/models`.
    /// `variable` reads the environment.
    ///
    /// # Errors
    /// None of these variables is set.
    pub fn of_user(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, StoreError> {
        let path = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        let folder = path("SISKIN_MODELS")
            .or_else(|| absolute("XDG_DATA_HOME").map(|data| data.join("siskin/models")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share/siskin/models")));
        folder.map(Store::at).ok_or(StoreError::NoHome)
    }

    /// The store in a folder, which need not exist.
    pub fn at(folder: PathBuf) -> Self {
        Store { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn make(&self) -> Result<(), StoreError> {
        let records = self.folder.join(RECORDS);
        fs::create_dir_all(&records).map_err(|source| StoreError::Io {
            path: records,
            source,
        })
    }

    /// The file of a model with this name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.gguf"))
    }

    /// All models, by name. A store that is not there has none.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let io = |source| StoreError::Io {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut models: BTreeMap<String, Vec<(PathBuf, u64)>> = BTreeMap::new();
        for entry in entries.take(MOST) {
            let path = entry.map_err(io)?.path();
            let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let Some(name) = name_of(file) else { continue };
            // A link whose file is gone has no size, and is shown all the same, so that it can be removed.
            let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
            models.entry(name.to_owned()).or_default().push((path, bytes));
        }
        let stored = models.into_iter().map(|(name, mut parts)| {
            parts.sort();
            Stored {
                bytes: parts.iter().map(|(_, bytes)| bytes).sum(),
                files: parts.into_iter().map(|(path, _)| path).collect(),
                used: self.used(&name),
                record: self.record(&name),
                name,
            }
        });
        Ok(stored.collect())
    }

    /// The model that a name means: its own, the same without the type, or `base`, the repository's name of a short
    /// name; in upper or lower case. `None` if there is none.
    ///
    /// # Errors
    /// Several have the name, or the folder cannot be read.
    pub fn find(&self, name: &str, base: Option<&str>) -> Result<Option<Stored>, StoreError> {
        choose(self.list()?, name, base)
    }

    /// The same, if there must be one.
    ///
    /// # Errors
    /// As [`Store::find`]'s, or there is none.
    pub fn get(&self, name: &str, base: Option<&str>) -> Result<Stored, StoreError> {
        let models = self.list()?;
        let there = models.iter().map(|model| model.name.clone()).collect();
        choose(models, name, base)?.ok_or_else(|| StoreError::NoModel {
            name: name.to_owned(),
            folder: self.folder.clone(),
            there,
        })
    }

    /// Notes that a model of the store at `path` is used now. Nothing is noted of other files, and nothing is told if it
    /// cannot be noted.
    pub fn touch(&self, path: &Path) {
        if path.parent() != Some(&self.folder) {
            return;
        }
        let name = path.file_name().and_then(|name| name.to_str()).and_then(name_of);
        let Some(name) = name else { return };
        let record = self.record_path(name);
        if !record.exists() {
            let _ = self.make().map(|()| self.write(name, &Record::default()));
        }
        // The time alone is a change of the folder's data, which the system writes when it likes: no wear.
        self.stamp(name, SystemTime::now());
    }
}

/// The model's name of a file's: without part and ending. `None` if it is no model.
fn name_of(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".gguf").filter(|stem| !stem.starts_with('.'))?;
    let name = part_of(stem).map_or(stem, |(name, ..)| name);
    (!name.is_empty()).then_some(name)
}

fn choose(models: Vec<Stored>, name: &str, base: Option<&str>) -> Result<Option<Stored>, StoreError> {
    let wanted = name.strip_suffix(".gguf").unwrap_or(name);
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let whole = |model: &&Stored| same(&model.name, wanted);
    let bare = |model: &&Stored| {
        let bare = FileType::at_end_of(&model.name).map_or(model.name.as_str(), |(bare, _)| bare);
        same(bare, wanted) || base.is_some_and(|base| same(bare, base) || same(&model.name, base))
    };
    if let Some(very) = models.iter().find(|model| model.name == wanted) {
        return Ok(Some(very.clone()));
    }
    let mut found: Vec<&Stored> = models.iter().filter(whole).collect();
    if found.is_empty() {
        found = models.iter().filter(bare).collect();
    }
    match found[..] {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        ref several => Err(StoreError::Several {
            name: name.to_owned(),
            there: several.iter().map(|model| model.name.clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests;
