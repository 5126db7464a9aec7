//! Results of measuring, kept between runs: a JSON file of named results, of a form with a number.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use siskin_model::atomic_file::{self, AtomicFile, AtomicFileError, Overwrite};
use siskin_model::files::{self, FileError};

/// The largest file read.
const MAX_FILE: u64 = 4 << 20;

/// A kind of file, whose results are `T`.
#[derive(Debug)]
pub(crate) struct Store<T> {
    /// The form of the file; another number is another form.
    form: u32,
    results: PhantomData<T>,
}

/// All that a file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Contents<T> {
    schema: u32,
    results: BTreeMap<String, T>,
}

/// A store that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: ignored: {reason}", path.display())]
pub struct DamagedStore {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// True if a newer siskin has written it: then measuring does not write it again.
    pub newer: bool,
}

/// A result could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The folder cannot be made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] AtomicFileError),
    /// The file that is there cannot be read, and may hold results.
    #[error(transparent)]
    Unreadable(#[from] FileError),
    /// A newer siskin has written the file; this one would lose what it does not know.
    #[error("{}: written by a newer siskin (form {schema}; this one writes {writes}); use that one, or move the file away", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its form.
        schema: u64,
        /// The form that this siskin writes.
        writes: u32,
    },
}

/// A result could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The file cannot be read.
    #[error(transparent)]
    Damaged(#[from] DamagedStore),
    /// The file cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl<T: Clone + Serialize + DeserializeOwned> Store<T> {
    /// Files of this form.
    pub(crate) const fn of_form(form: u32) -> Self {
        Store {
            form,
            results: PhantomData,
        }
    }

    /// The result for `key`, if there is one. A file that is not there holds none.
    ///
    /// # Errors
    /// The file is damaged, or of another version.
    pub(crate) fn load(&self, path: &Path, key: &str) -> Result<Option<T>, DamagedStore> {
        Ok(self.all(path)?.remove(key))
    }

    /// All results. A file that is not there holds none.
    ///
    /// # Errors
    /// As [`Store::load`]'s.
    pub(crate) fn all(&self, path: &Path) -> Result<BTreeMap<String, T>, DamagedStore> {
        self.read(path)
            .map_err(|unusable| unusable.damaged(path, self.form))
    }

    /// Looks, before anything is measured, whether a result could be saved.
    ///
    /// # Errors
    /// As [`Store::save`]'s.
    pub(crate) fn check(&self, path: &Path) -> Result<(), SaveError> {
        self.replaceable(path)?;
        make_folder(path)?;
        Ok(atomic_file::check(path, Overwrite::Replace)?)
    }

    /// What the file holds, if writing it again loses nothing.
    fn replaceable(&self, path: &Path) -> Result<BTreeMap<String, T>, SaveError> {
        match self.read(path) {
            Ok(results) => Ok(results),
            // A damaged file holds nothing worth keeping: its reader has reported it.
            Err(
                Unusable::Damaged(_)
                | Unusable::Older(_)
                | Unusable::File(FileError::TooLarge { .. } | FileError::NotText { .. }),
            ) => Ok(BTreeMap::new()),
            Err(Unusable::Newer(schema)) => Err(SaveError::Newer {
                path: path.to_owned(),
                schema,
                writes: self.form,
            }),
            Err(Unusable::File(error)) => Err(error.into()),
        }
    }

    /// Adds a result in one step: until the new file is whole, the old one stays.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub(crate) fn save(&self, path: &Path, key: &str, result: &T) -> Result<(), SaveError> {
        let mut results = self.replaceable(path)?;
        results.insert(key.to_owned(), result.clone());
        self.write(path, results)
    }

    /// Removes a result. Returns whether there was one.
    ///
    /// # Errors
    /// The file is damaged, or cannot be written.
    pub(crate) fn forget(&self, path: &Path, key: &str) -> Result<bool, ForgetError> {
        let mut results = self
            .read(path)
            .map_err(|unusable| unusable.damaged(path, self.form))?;
        if results.remove(key).is_none() {
            return Ok(false);
        }
        self.write(path, results)?;
        Ok(true)
    }

    fn write(&self, path: &Path, results: BTreeMap<String, T>) -> Result<(), SaveError> {
        make_folder(path)?;
        let file = AtomicFile::create(path, Overwrite::Replace)?;
        let schema = self.form;
        let text = serde_json::to_string_pretty(&Contents { schema, results })
            .map_err(|error| file.error(error.into()))?;
        file.write_all(text.as_bytes())?;
        Ok(file.commit()?)
    }

    fn read(&self, path: &Path) -> Result<BTreeMap<String, T>, Unusable> {
        /// What every form has.
        #[derive(Deserialize)]
        struct AnyForm {
            schema: u64,
        }
        let text = match files::read_text(path, MAX_FILE) {
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            text => text.map_err(Unusable::File)?,
        };
        let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
        let form: AnyForm = serde_json::from_str(&text).map_err(damaged)?;
        match form.schema.cmp(&self.form.into()) {
            std::cmp::Ordering::Less => Err(Unusable::Older(form.schema)),
            std::cmp::Ordering::Greater => Err(Unusable::Newer(form.schema)),
            std::cmp::Ordering::Equal => {
                let contents: Contents<T> = serde_json::from_str(&text).map_err(damaged)?;
                Ok(contents.results)
            }
        }
    }
}

fn make_folder(path: &Path) -> Result<(), SaveError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| SaveError::Folder {
        path: folder.to_owned(),
        source,
    })
}

/// Why a store cannot be used.
#[derive(Debug)]
enum Unusable {
    File(FileError),
    Damaged(String),
    Older(u64),
    Newer(u64),
}

impl Unusable {
    fn damaged(self, path: &Path, form: u32) -> DamagedStore {
        let newer = matches!(self, Unusable::Newer(_));
        let (path, reason) = match self {
            // It begins with the path already.
            Unusable::File(error) => return DamagedStore::of_file(&error, path),
            Unusable::Damaged(reason) => (path, reason),
            Unusable::Older(schema) | Unusable::Newer(schema) => (
                path,
                format!("form {schema} instead of {form}, of another version of siskin"),
            ),
        };
        DamagedStore {
            path: path.to_owned(),
            reason,
            newer,
        }
    }
}

impl DamagedStore {
    fn of_file(error: &FileError, path: &Path) -> Self {
        let (text, name) = (error.to_string(), format!("{}: ", path.display()));
        DamagedStore {
            path: path.to_owned(),
            reason: text.strip_prefix(&name).unwrap_or(&text).to_owned(),
            newer: false,
        }
    }
}
