//! What `siskin tune` found, kept between runs: one JSON file under `$XDG_STATE_HOME/siskin/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siskin_model::atomic_file::{self, AtomicFile, AtomicFileError, Overwrite};
use siskin_model::files::{self, FileError};
use siskin_model::shape::Shape;

use super::probe::Machine;
use super::values::Overrides;

/// The form of the file; another number is another form.
const SCHEMA: u32 = 3;

/// The largest file read.
const MAX_FILE: u64 = 4 << 20;

/// The best settings measured for a kind of model on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The settings.
    pub settings: Overrides,
    /// Tokens a second of the prompt, with these settings.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of decoding, with these settings.
    pub decode_tokens_per_second: f64,
    /// When, in seconds since 1970.
    pub measured_at: u64,
    /// What passes over several tokens cost with these settings; empty if they were not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_costs: Vec<PassCost>,
}

/// What a pass of one sequence over several tokens costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PassCost {
    /// Tokens in the context before.
    pub depth: u32,
    /// Tokens computed together, with logits after each.
    pub tokens: u32,
    /// T(n): the time relative to that of one token.
    pub relative_time: f64,
}

impl Tuned {
    /// T(n): the time of a pass over `tokens` tokens at `depth` relative to a pass over one, for speculative decoding.
    /// Between two depths that were measured it is interpolated, beyond them it is that of the nearest. `None` if as
    /// many tokens were not measured at any depth.
    pub fn pass_cost(&self, tokens: u32, depth: u32) -> Option<f64> {
        let costs = || self.pass_costs.iter().filter(|cost| cost.tokens == tokens);
        let below = costs()
            .filter(|cost| cost.depth <= depth)
            .max_by_key(|cost| cost.depth);
        let above = costs()
            .filter(|cost| cost.depth >= depth)
            .min_by_key(|cost| cost.depth);
        match (below, above) {
            (Some(below), Some(above)) if below.depth < above.depth => {
                let place = f64::from(depth - below.depth) / f64::from(above.depth - below.depth);
                Some(below.relative_time + place * (above.relative_time - below.relative_time))
            }
            (below, above) => Some(below.or(above)?.relative_time),
        }
    }
}

/// All results of a machine.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Store {
    schema: u32,
    results: BTreeMap<String, Tuned>,
}

/// What a result holds for: this device, this shape of model, this siskin.
pub fn key(machine: &Machine, shape: &Shape) -> String {
    let cpu = machine.cpus.name.as_deref().unwrap_or("unknown");
    let board = machine.board.model.as_deref().unwrap_or("unknown");
    let ty = shape.file_type.map_or("other".to_owned(), |ty| ty.to_string());
    let sizes = [
        shape.layers,
        shape.width,
        shape.ffn,
        shape.heads,
        shape.key_width,
        shape.vocabulary,
    ];
    let sizes = sizes.map(|n| n.to_string()).join("x");
    let (arch, cpus, version) = (&shape.arch, machine.cpus.available, env!("CARGO_PKG_VERSION"));
    format!("{board}|{cpu}|{cpus} cpus|{arch} {sizes} {ty}|siskin {version}")
}

/// Where results are kept: `$XDG_STATE_HOME/siskin/tuned.json`, by default under `~/.local/state`.
pub fn path() -> Option<PathBuf> {
    Some(crate::paths::state()?.join("tuned.json"))
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
    #[error("{}: written by a newer siskin (form {schema}; this one writes {SCHEMA}); use that one, or move the file away", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its form.
        schema: u64,
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

/// The result for `key`, if there is one. A file that is not there holds none.
///
/// # Errors
/// The file is damaged, or of another version.
pub fn load(path: &Path, key: &str) -> Result<Option<Tuned>, DamagedStore> {
    let store = read(path).map_err(|unusable| unusable.damaged(path))?;
    Ok(store.results.get(key).cloned())
}

/// Looks, before anything is measured, whether a result could be saved.
///
/// # Errors
/// As [`save`]'s.
pub fn check(path: &Path) -> Result<(), SaveError> {
    replaceable(path)?;
    make_folder(path)?;
    Ok(atomic_file::check(path, Overwrite::Replace)?)
}

/// What the file holds, if writing it again loses nothing.
fn replaceable(path: &Path) -> Result<Store, SaveError> {
    match read(path) {
        Ok(store) => Ok(store),
        // A damaged file holds nothing worth keeping: its reader has reported it.
        Err(
            Unusable::Damaged(_)
            | Unusable::Older(_)
            | Unusable::File(FileError::TooLarge { .. } | FileError::NotText { .. }),
        ) => Ok(Store::default()),
        Err(Unusable::Newer(schema)) => Err(SaveError::Newer {
            path: path.to_owned(),
            schema,
        }),
        Err(Unusable::File(error)) => Err(error.into()),
    }
}

/// Adds a result in one step: until the new file is whole, the old one stays.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save(path: &Path, key: &str, tuned: &Tuned) -> Result<(), SaveError> {
    let mut store = replaceable(path)?;
    store.results.insert(key.to_owned(), tuned.clone());
    write(path, store)
}

/// Removes a result. Returns whether there was one.
///
/// # Errors
/// The file is damaged, or cannot be written.
pub fn forget(path: &Path, key: &str) -> Result<bool, ForgetError> {
    let mut store = read(path).map_err(|unusable| unusable.damaged(path))?;
    if store.results.remove(key).is_none() {
        return Ok(false);
    }
    write(path, store)?;
    Ok(true)
}

fn write(path: &Path, mut store: Store) -> Result<(), SaveError> {
    store.schema = SCHEMA;
    make_folder(path)?;
    let file = AtomicFile::create(path, Overwrite::Replace)?;
    let text = serde_json::to_string_pretty(&store).map_err(|error| file.error(error.into()))?;
    file.write_all(text.as_bytes())?;
    Ok(file.commit()?)
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
    fn damaged(self, path: &Path) -> DamagedStore {
        let newer = matches!(self, Unusable::Newer(_));
        let (path, reason) = match self {
            // It begins with the path already.
            Unusable::File(error) => return DamagedStore::of_file(&error, path),
            Unusable::Damaged(reason) => (path, reason),
            Unusable::Older(schema) | Unusable::Newer(schema) => (
                path,
                format!("form {schema} instead of {SCHEMA}, of another version of siskin"),
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

fn read(path: &Path) -> Result<Store, Unusable> {
    /// What every form has.
    #[derive(Deserialize)]
    struct AnyForm {
        schema: u64,
    }
    let text = match files::read_text(path, MAX_FILE) {
        Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Store::default());
        }
        text => text.map_err(Unusable::File)?,
    };
    let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
    let form: AnyForm = serde_json::from_str(&text).map_err(damaged)?;
    match form.schema.cmp(&SCHEMA.into()) {
        std::cmp::Ordering::Less => Err(Unusable::Older(form.schema)),
        std::cmp::Ordering::Greater => Err(Unusable::Newer(form.schema)),
        std::cmp::Ordering::Equal => serde_json::from_str(&text).map_err(damaged),
    }
}

#[cfg(test)]
mod tests;
