//! A Hugging Face checkpoint folder: `config.json` and the tensors of its safetensors files.

pub mod safetensors;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use siskin_model::ErrorKind;
use siskin_model::config::{Config, Sampling};
use siskin_model::files::{FileError, Files, Found};
use siskin_model::json;

use crate::view::View;
use safetensors::HeaderError;

/// A checkpoint whose headers have been read; tensor bytes stay on disk.
#[derive(Debug)]
pub struct Checkpoint {
    /// Path of the checkpoint folder.
    pub dir: PathBuf,
    /// The content of `config.json`.
    pub config: Config,
    /// The sampling settings of `generation_config.json`; empty if that file is missing.
    pub sampling: Sampling,
    /// The safetensors files, open.
    pub files: Files,
    /// Every tensor, by name.
    pub tensors: BTreeMap<String, View>,
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
            CheckpointError::Missing { .. } => ErrorKind::Missing,
            CheckpointError::Json { .. }
            | CheckpointError::Header { .. }
            | CheckpointError::Twice { .. }
            | CheckpointError::Index { .. } => ErrorKind::Damaged,
        }
    }
}

/// Size limit of a configuration in bytes: far above any real one. Its parsed tree takes a hundred times its
/// memory.
pub(crate) const MAX_JSON: u64 = 4 << 20;
/// Size limit of the index of shards in bytes.
const MAX_INDEX: u64 = 16 << 20;

const NO_SAFETENSORS: &str =
    "no model.safetensors or model.safetensors.index.json in this folder; name a checkpoint folder";
const ONLY_PICKLE: &str = "only pickled weights (pytorch_model.bin), which can run code when opened; get the safetensors \
                           version of the model, or re-save it with transformers: save_pretrained(DIR)";

impl Checkpoint {
    /// Opens the checkpoint in `dir` and checks every header.
    ///
    /// # Errors
    /// Fails if `dir` is not a checkpoint folder, if a file is missing or damaged, or if the index and the
    /// shards disagree.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        if dir.is_file() {
            return Err(CheckpointError::NotAFolder(dir.to_owned()));
        }
        let missing = |what| CheckpointError::Missing {
            dir: dir.to_owned(),
            what,
        };
        let config = match read_json(&dir.join("config.json"), MAX_JSON)? {
            Some(config) => config,
            None if dir.exists() => {
                return Err(missing("no config.json in this folder; name a checkpoint folder"));
            }
            None => return Err(missing("no such folder; name the folder that holds config.json")),
        };
        let sampling = read_json(&dir.join("generation_config.json"), MAX_JSON)?.unwrap_or_default();
        let (mut files, mut tensors) = (Files::new(), BTreeMap::new());
        let index_path = dir.join("model.safetensors.index.json");
        let single = dir.join("model.safetensors");
        if single.exists() {
            add_shard(&mut files, &mut tensors, &single)?;
        } else if let Some(index) = read_json::<Index>(&index_path, MAX_INDEX)? {
            index.check(&index_path)?;
            let shards: std::collections::BTreeSet<&String> = index.weight_map.values().collect();
            for shard in shards {
                add_shard(&mut files, &mut tensors, &dir.join(shard))?;
            }
            index.compare(&index_path, &files, &tensors)?;
        } else {
            let pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
            let pickled = pickle.iter().any(|name| dir.join(name).exists());
            return Err(missing(if pickled { ONLY_PICKLE } else { NO_SAFETENSORS }));
        }
        Ok(Checkpoint {
            dir: dir.to_owned(),
            config,
            sampling,
            files,
            tensors,
        })
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
    path: &Path,
    limit: u64,
) -> Result<Option<T>, CheckpointError> {
    let error = |reason| CheckpointError::Json {
        path: path.to_owned(),
        reason,
    };
    if !path.exists() {
        return Ok(None);
    }
    let mut files = Files::new();
    let file = files.open(path)?;
    let len = files.len(file);
    if len > limit {
        return Err(error(format!(
            "{len} bytes, larger than the {} MiB limit for this file",
            limit >> 20
        )));
    }
    let bytes = files.read(file, 0..len)?;
    json::from_slice(&bytes).map(Some).map_err(|e| {
        error(match Found::from_start(&bytes) {
            Some(found) if found != Found::Json => format!("not JSON but {found}"),
            _ => format!("cannot be read: {e}"),
        })
    })
}

fn add_shard(
    files: &mut Files,
    tensors: &mut BTreeMap<String, View>,
    path: &Path,
) -> Result<(), CheckpointError> {
    let file = files.open(path)?;
    for (name, view) in safetensors::read_header(files, file)? {
        if tensors.insert(name.clone(), view).is_some() {
            return Err(CheckpointError::Twice {
                path: path.to_owned(),
                tensor: name,
            });
        }
    }
    Ok(())
}

/// The content of `model.safetensors.index.json`.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Checks that shards are plain file names: an index must not refer outside its folder.
    fn check(&self, path: &Path) -> Result<(), CheckpointError> {
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|n| n == name);
        match self.weight_map.values().find(|shard| !plain(shard)) {
            Some(shard) => Err(CheckpointError::Index {
                path: path.to_owned(),
                reason: format!("shard {shard:?} is not a plain file name"),
            }),
            None => Ok(()),
        }
    }

    /// Checks that every listed tensor is in its listed shard, and that the shards contain no others.
    fn compare(
        &self,
        path: &Path,
        files: &Files,
        tensors: &BTreeMap<String, View>,
    ) -> Result<(), CheckpointError> {
        let error = |reason| {
            Err(CheckpointError::Index {
                path: path.to_owned(),
                reason,
            })
        };
        for (name, shard) in &self.weight_map {
            match tensors.get(name) {
                Some(view)
                    if files
                        .path(view.file)
                        .file_name()
                        .is_some_and(|n| n == shard.as_str()) => {}
                Some(_) => {
                    return error(format!(
                        "tensor {name} is not in {shard}, although the index lists it there"
                    ));
                }
                None => {
                    return error(format!(
                        "tensor {name} is in none of the shards; get {shard} again"
                    ));
                }
            }
        }
        let listed: HashSet<&String> = self.weight_map.keys().collect();
        match tensors.keys().find(|name| !listed.contains(name)) {
            Some(name) => error(format!("tensor {name} is in a shard, but not in the index")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":8,"intermediate_size":8,
        "num_hidden_layers":1,"num_attention_heads":2,"vocab_size":4}"#;

    /// Returns a safetensors file with one f32 tensor of 2 weights for each name.
    fn shard(names: &[&str]) -> Vec<u8> {
        let entries: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                format!(
                    r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}}"#,
                    n * 8,
                    n * 8 + 8
                )
            })
            .collect();
        let header = format!("{{{}}}", entries.join(","));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; names.len() * 8]);
        bytes
    }

    #[test]
    fn folders_that_are_no_checkpoint_are_refused() {
        let index = |map: &str| format!(r#"{{"weight_map":{{{map}}}}}"#).into_bytes();
        /// Case name, files of the folder, part of the message.
        type Case = (&'static str, Vec<(&'static str, Vec<u8>)>, &'static str);
        let cases: Vec<Case> = vec![
            ("empty", vec![], "no config.json"),
            (
                "no weights",
                vec![("config.json", CONFIG.into())],
                "no model.safetensors",
            ),
            (
                "pickle",
                vec![("config.json", CONFIG.into()), ("pytorch_model.bin", vec![1])],
                "save_pretrained",
            ),
            (
                "bad json",
                vec![("config.json", b"{".to_vec())],
                "config.json: cannot be read: line 1, column 2: expected a key",
            ),
            (
                "outside",
                vec![
                    ("config.json", CONFIG.into()),
                    ("model.safetensors.index.json", index(r#""a":"../x.safetensors""#)),
                ],
                r#"shard "../x.safetensors" is not a plain file name"#,
            ),
            (
                "elsewhere",
                vec![
                    ("config.json", CONFIG.into()),
                    (
                        "model.safetensors.index.json",
                        index(r#""a":"1.safetensors","b":"2.safetensors""#),
                    ),
                    ("1.safetensors", shard(&["b"])),
                    ("2.safetensors", shard(&["a"])),
                ],
                "tensor a is not in 1.safetensors",
            ),
            (
                "twice",
                vec![
                    ("config.json", CONFIG.into()),
                    (
                        "model.safetensors.index.json",
                        index(r#""a":"1.safetensors","b":"2.safetensors""#),
                    ),
                    ("1.safetensors", shard(&["a"])),
                    ("2.safetensors", shard(&["a", "b"])),
                ],
                "tensor a is also in another shard",
            ),
            (
                "unlisted",
                vec![
                    ("config.json", CONFIG.into()),
                    ("model.safetensors.index.json", index(r#""a":"1.safetensors""#)),
                    ("1.safetensors", shard(&["a", "c"])),
                ],
                "tensor c is in a shard, but not in the index",
            ),
            (
                "Git LFS",
                vec![
                    ("config.json", CONFIG.into()),
                    (
                        "model.safetensors",
                        b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                    ),
                ],
                "model.safetensors: a Git LFS pointer, not the file itself; run `git lfs pull`",
            ),
        ];
        for (name, files, want) in cases {
            let dir = tempfile::tempdir().expect("a temporary folder");
            for (file, bytes) in files {
                std::fs::write(dir.path().join(file), bytes).expect("written");
            }
            let error = Checkpoint::open(dir.path()).expect_err(name).to_string();
            assert!(error.contains(want) && !error.contains('\n'), "{name}: {error}");
        }
        let error = Checkpoint::open(Path::new("/no/such/folder")).expect_err("nothing there");
        assert!(error.to_string().contains("no such folder"));
    }

    #[test]
    fn shards_are_joined() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
        write("config.json", CONFIG.as_bytes());
        write("1.safetensors", &shard(&["a", "b"]));
        write("2.safetensors", &shard(&["c"]));
        let map = r#"{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"}}"#;
        write("model.safetensors.index.json", map.as_bytes());
        let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
        let found: Vec<_> = checkpoint
            .tensors
            .iter()
            .map(|(name, view)| (name.as_str(), view.file))
            .collect();
        assert_eq!(found, [("a", 0), ("b", 0), ("c", 1)]);
    }
}
