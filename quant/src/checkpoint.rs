//! A Hugging Face checkpoint folder: `config.json` and the tensors of its safetensors files.

pub mod safetensors;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use siskin_model::config::{Config, Sampling};
use siskin_model::files::{FileError, Files};

use crate::view::View;

/// A checkpoint whose headers have been read; tensor bytes stay on disk.
#[derive(Debug)]
pub struct Checkpoint {
    /// The folder.
    pub dir: PathBuf,
    /// What `config.json` says.
    pub config: Config,
    /// What `generation_config.json` says of sampling, where it is there.
    pub sampling: Sampling,
    /// The safetensors files.
    pub files: Files,
    /// Every tensor, by name.
    pub tensors: BTreeMap<String, View>,
}

/// A checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
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
        /// The folder.
        dir: PathBuf,
        /// Which file, and what to do.
        what: &'static str,
    },
    /// A JSON file is malformed, or larger than any honest one.
    #[error("{}: {reason}", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        reason: String,
    },
    /// A safetensors header is damaged.
    #[error("{}: {reason}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor stands in two shards.
    #[error("{}: tensor {tensor} stands in another shard too; the checkpoint is damaged", path.display())]
    Twice {
        /// The second shard.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// The index and a shard disagree.
    #[error("{}: {reason}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The largest configuration read: far above any honest one, and a tree of it takes a hundred times its memory.
pub(crate) const MAX_JSON: u64 = 4 << 20;
/// The largest index of shards read.
const MAX_INDEX: u64 = 16 << 20;

const NO_SAFETENSORS: &str =
    "no model.safetensors or model.safetensors.index.json in this folder; name a checkpoint folder";
const ONLY_PICKLE: &str = "only pickled weights (pytorch_model.bin), which can run code when opened; get the safetensors \
                           version of the model, or re-save it with transformers: save_pretrained(DIR)";

impl Checkpoint {
    /// Opens the checkpoint in `dir` and checks every header.
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

/// Reads a JSON file of the checkpoint of `limit` bytes at most; `None` where it does not exist.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    limit: u64,
) -> Result<Option<T>, CheckpointError> {
    let json = |reason| CheckpointError::Json {
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
        return Err(json(format!(
            "{len} bytes, more than any honest file of this kind"
        )));
    }
    let bytes = files.read(file, 0..len)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| json(format!("cannot be read: {e}")))
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

/// `model.safetensors.index.json`.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Shards must be plain names: an index must not reach outside its folder.
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

    /// Every tensor named must be in the shard named, and no shard may hold another.
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
                        "tensor {name} is not in {shard}, where the index puts it"
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

    /// A safetensors file with one f32 tensor a name, of 2 weights each.
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
        /// Name, files of the folder, part of the message.
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
                "config.json: cannot be read: EOF",
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
                "tensor a stands in another shard too",
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
