//! A Hugging Face checkpoint folder: `config.json` and the tensors of its safetensors files, or of PyTorch's `.bin`
//! files if there are no others.

mod folder;
mod hub;
mod index;
pub mod pickle;
pub mod safetensors;
mod shards;
mod tied;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use siskin_model::ErrorKind;
use siskin_model::config::{Config, Sampling};
use siskin_model::files::{FileError, Files, Found, ReadAt};
use siskin_model::json;

use crate::view::View;
pub use folder::{Content, Folder};
pub use hub::snapshot;
use index::Index;
use pickle::PickleError;
use safetensors::{HeaderError, Tensors};
use shards::Shards;

/// A checkpoint whose headers have been read; tensor bytes stay on disk.
#[derive(Debug)]
pub struct Checkpoint {
    /// The small files of the checkpoint.
    pub folder: Folder,
    /// The name for the model, if it is not [`Checkpoint::model_name`]'s to find.
    pub name: Option<String>,
    /// The content of `config.json`.
    pub config: Config,
    /// The sampling settings of `generation_config.json`; empty if that file is missing or damaged.
    pub sampling: Sampling,
    /// The files of weights, open.
    pub files: Files,
    /// Every tensor of floats that a conversion can read, by name.
    pub tensors: BTreeMap<String, View>,
    /// The tensors of other types: name, and the type's name in safetensors.
    pub others: BTreeMap<String, String>,
    /// Lines for the user: what was passed over.
    pub notices: Vec<String>,
}

/// A checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The path is not a folder.
    #[error("{}: not a folder; name the folder that holds config.json and model.safetensors", .0.display())]
    NotAFolder(PathBuf),
    /// A file of the checkpoint is missing.
    #[error("{}: {what}", dir.display())]
    Missing {
        /// Path of the checkpoint folder.
        dir: PathBuf,
        /// Which file is missing, and what to do.
        what: &'static str,
    },
    /// The index names a shard that is missing.
    #[error("{}: the index names {shard}, which is not there; get it again", path.display())]
    MissingShard {
        /// Path of the index file.
        path: PathBuf,
        /// Name of the shard.
        shard: String,
    },
    /// A hub cache has several snapshots, or none.
    #[error("{}: {reason}", path.display())]
    Snapshot {
        /// Path of the model's folder in the hub cache.
        path: PathBuf,
        /// What is missing or ambiguous.
        reason: String,
    },
    /// A JSON file is malformed or exceeds the size limit.
    #[error("{}: {reason}", path.display())]
    Json {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong, with line and column if known.
        reason: String,
    },
    /// A safetensors header is damaged.
    #[error("{}: {source}", path.display())]
    Header {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with the header.
        source: HeaderError,
    },
    /// A file of PyTorch's cannot be read.
    #[error("{}: {source}", path.display())]
    Pickle {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        source: PickleError,
    },
    /// Two shards contain the same tensor.
    #[error("{}: tensor {tensor} is also in another shard; the checkpoint is damaged", path.display())]
    Twice {
        /// Path of the second shard.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// The index and a shard disagree.
    #[error("{}: {reason}", path.display())]
    Index {
        /// Path of the index file.
        path: PathBuf,
        /// How the index and the shard disagree.
        reason: String,
    },
}

impl CheckpointError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            CheckpointError::File(source) => source.kind(),
            CheckpointError::NotAFolder(_) => ErrorKind::Path,
            CheckpointError::Missing { .. }
            | CheckpointError::MissingShard { .. }
            | CheckpointError::Snapshot { .. } => ErrorKind::Missing,
            CheckpointError::Json { .. }
            | CheckpointError::Header { .. }
            | CheckpointError::Twice { .. }
            | CheckpointError::Index { .. } => ErrorKind::Damaged,
            CheckpointError::Pickle { source, .. } => source.kind(),
        }
    }
}

/// Size limit of a configuration in bytes: far above any real one. Its parsed tree takes a hundred times its
/// memory.
pub(crate) const MAX_JSON: u64 = 4 << 20;
/// Size limit of the index of shards in bytes.
const MAX_INDEX: u64 = 16 << 20;

/// The files that weights may be in.
struct Weights {
    /// The only file.
    single: &'static str,
    /// The index of several.
    index: &'static str,
    format: Format,
}

/// The format of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Safetensors,
    Pickle,
}

/// What is looked for, the best first: safetensors files have no program in them.
const WEIGHTS: [Weights; 2] = [
    Weights {
        single: "model.safetensors",
        index: "model.safetensors.index.json",
        format: Format::Safetensors,
    },
    Weights {
        single: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        format: Format::Pickle,
    },
];

const NO_WEIGHTS: &str = "no model.safetensors or pytorch_model.bin in this folder, nor an index of several; name a checkpoint folder";
/// Files of a folder that has no weights that can be read, and what they are.
const INSTEAD: [(&str, &str); 6] = [
    ("adapter_model.safetensors", ADAPTER),
    ("adapter_config.json", ADAPTER),
    ("consolidated.00.pth", ORIGINAL),
    ("consolidated.safetensors", ORIGINAL),
    ("tf_model.h5", FRAMEWORK),
    ("flax_model.msgpack", FRAMEWORK),
];
const ADAPTER: &str = "an adapter, not a whole model; merge it into its base model and save that: \
                       merge_and_unload().save_pretrained(DIR)";
const ORIGINAL: &str = "weights in the format of the model's authors; get the version for transformers, with \
                        config.json and model.safetensors";
const FRAMEWORK: &str = "only weights for TensorFlow or Flax; get the safetensors version of the model";

impl Checkpoint {
    /// Opens the checkpoint in `dir` and checks every header. If `dir` is a model's folder in the hub cache, the
    /// checkpoint is its snapshot.
    ///
    /// # Errors
    /// Fails if `dir` is not a checkpoint folder, if a file is missing or damaged, or if the index and the
    /// shards disagree.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        if dir.exists() && !dir.is_dir() {
            return Err(CheckpointError::NotAFolder(dir.to_owned()));
        }
        Self::read(Folder::Disk(hub::snapshot(dir)?), Shards::Beside)
    }

    /// The checkpoint whose small files are in `folder` and whose shards are elsewhere: their names in the checkpoint,
    /// sizes in bytes and contents. The checks are those of [`Self::open`], in the same order; of a shard, only the
    /// header is read.
    ///
    /// # Errors
    /// As [`Self::open`]'s.
    pub fn from_remote(
        folder: Folder,
        shards: Vec<(String, u64, Arc<dyn ReadAt>)>,
    ) -> Result<Self, CheckpointError> {
        Self::read(folder, Shards::Elsewhere(shards))
    }

    fn read(folder: Folder, shards: Shards) -> Result<Self, CheckpointError> {
        let missing = |folder: &Folder, what| CheckpointError::Missing {
            dir: folder.root().to_owned(),
            what,
        };
        let is_there = |name: &str| shards.has_entry(&folder, name) || folder.has_entry(name);
        let instead = || INSTEAD.iter().find(|(name, _)| is_there(name));
        let config: Config = match read_json(&folder, "config.json", MAX_JSON)? {
            Some(config) => config,
            None if folder.is_there() => {
                let none = "no config.json in this folder; name a checkpoint folder";
                return Err(missing(&folder, instead().map_or(none, |(_, what)| what)));
            }
            None => {
                let none = "no such folder; name the folder that holds config.json";
                return Err(missing(&folder, none));
            }
        };
        let without = instead().map_or(NO_WEIGHTS, |(_, what)| what);
        let mut checkpoint = Checkpoint {
            folder,
            name: None,
            config,
            sampling: Sampling::default(),
            files: Files::new(),
            tensors: BTreeMap::new(),
            others: BTreeMap::new(),
            notices: Vec::new(),
        };
        checkpoint.read_sampling();
        let read = WEIGHTS
            .iter()
            .map(|weights| checkpoint.read_weights(&shards, weights))
            .find(|read| !matches!(read, Ok(false)));
        if !read.unwrap_or(Ok(false))? {
            return Err(missing(&checkpoint.folder, without));
        }
        checkpoint.untie()?;
        Ok(checkpoint)
    }

    /// Reads `generation_config.json`. The model is the same without it, so a damaged one is passed over.
    fn read_sampling(&mut self) {
        const FILE: &str = "generation_config.json";
        let path = self.folder.path(FILE);
        let read = read_text(&self.folder, FILE, MAX_JSON).and_then(|text| match text {
            Some(text) => Sampling::from_json(&text).map_err(|error| unreadable(&path, &text, error)),
            None => Ok(Sampling::default()),
        });
        match read {
            Ok(sampling) => self.sampling = sampling,
            Err(error) => self.notices.push(format!(
                "{error}; the model is converted without sampling settings"
            )),
        }
    }

    /// Reads the headers of weights; false if there are none of this kind.
    fn read_weights(&mut self, shards: &Shards, weights: &Weights) -> Result<bool, CheckpointError> {
        if shards.has_entry(&self.folder, weights.single) {
            self.add_shard(shards, weights.single, weights.format)?;
            return Ok(true);
        }
        let Some(index) = read_json::<Index>(&self.folder, weights.index, MAX_INDEX)? else {
            return Ok(false);
        };
        let index_path = self.folder.path(weights.index);
        index.check(&index_path)?;
        for shard in index.shards() {
            if !shards.exist(&self.folder, shard) {
                let shard = shard.to_owned();
                return Err(CheckpointError::MissingShard {
                    path: index_path,
                    shard,
                });
            }
            self.add_shard(shards, shard, weights.format)?;
        }
        index.compare(&index_path, self)?;
        Ok(true)
    }

    fn add_shard(&mut self, shards: &Shards, name: &str, format: Format) -> Result<(), CheckpointError> {
        let file = shards.open(&self.folder, name, format, &mut self.files)?;
        let tensors = format.read_header(&self.files, file)?;
        for (name, view) in tensors.views {
            if self.tensors.insert(name.clone(), view).is_some() {
                return Err(CheckpointError::Twice {
                    path: self.files.path(file).to_owned(),
                    tensor: name,
                });
            }
        }
        self.others.extend(tensors.others);
        Ok(())
    }

    /// The name for the model: the one that was set, else the repository's in a hub cache, else the folder's; of a
    /// folder named by a commit, the one that transformers wrote into `config.json`.
    pub fn model_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let dir = match &self.folder {
            Folder::Disk(dir) => dir.canonicalize().unwrap_or_else(|_| dir.clone()),
            Folder::Memory { name, .. } => name.clone(),
        };
        let folder = || Some(dir.file_name()?.to_string_lossy().into_owned());
        let folder = || folder().filter(|name| !hub::is_commit(name));
        let configured = || self.config.name().filter(|name| !hub::is_commit(name));
        hub::repository(&dir)
            .or_else(folder)
            .or_else(configured)
            .unwrap_or_else(|| "model".into())
    }
}

impl Format {
    fn read_header(self, files: &Files, file: usize) -> Result<Tensors, CheckpointError> {
        match self {
            Format::Safetensors => safetensors::read_header(files, file),
            Format::Pickle => pickle::read_header(files, file),
        }
    }
}

fn unreadable(path: &Path, bytes: &[u8], error: json::JsonError) -> CheckpointError {
    CheckpointError::Json {
        path: path.to_owned(),
        reason: match Found::from_start(bytes) {
            Some(found) if found != Found::Json => format!("not JSON but {found}"),
            _ => format!("cannot be read: {error}"),
        },
    }
}

/// The files of the checkpoint folder `dir` that a conversion may read, by their extensions; none of them may become
/// its output. Other files may, also in this folder: `siskin convert . -o model.gguf`.
pub fn inputs(dir: &Path) -> Vec<PathBuf> {
    const EXTENSIONS: [&str; 7] = ["bin", "jinja", "json", "model", "safetensors", "tiktoken", "txt"];
    let is_input = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    };
    // Chat templates may be in a folder of their own.
    let folders = [dir.to_owned(), dir.join("additional_chat_templates")];
    let entries = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_input)
        .collect()
}

/// Reads a JSON file of at most `limit` bytes as Python does; returns `None` if it does not exist.
///
/// # Errors
/// Fails if the file cannot be read, exceeds `limit`, or is not JSON of the expected shape.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    folder: &Folder,
    name: &str,
    limit: u64,
) -> Result<Option<T>, CheckpointError> {
    let Some(text) = read_text(folder, name, limit)? else {
        return Ok(None);
    };
    json::from_slice(&text)
        .map(Some)
        .map_err(|error| unreadable(&folder.path(name), &text, error))
}

/// Reads a file of at most `limit` bytes; returns `None` if it does not exist.
fn read_text<'f>(
    folder: &'f Folder,
    name: &str,
    limit: u64,
) -> Result<Option<Cow<'f, [u8]>>, CheckpointError> {
    match folder.read(name, limit)? {
        Content::Absent => Ok(None),
        Content::Whole(bytes) => Ok(Some(bytes)),
        Content::TooLarge(len) => Err(CheckpointError::Json {
            path: folder.path(name),
            reason: format!(
                "{len} bytes, larger than the {} MiB limit for this file",
                limit >> 20
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
