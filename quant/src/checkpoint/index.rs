//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::{Checkpoint, CheckpointError, tied};

/// The content of `model.safetensors.index.json`.
#[derive(serde::Deserialize)]
pub(super) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// The names of all shards.
    pub(super) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Checks that shards are plain file names: an index must not refer outside its folder.
    pub(super) fn check(&self, path: &Path) -> Result<(), CheckpointError> {
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|n| n == name);
        match self.weight_map.values().find(|shard| !plain(shard)) {
            Some(shard) => Err(CheckpointError::Index {
                path: path.to_owned(),
                reason: format!("shard {shard:?} is not a plain file name"),
            }),
            None => Ok(()),
        }
    }

    /// Checks that every listed tensor is in its listed shard, and that the shards contain no others. One of two
    /// tied tensors may be listed and not stored: transformers makes it from the other.
    pub(super) fn compare(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let error = |reason| {
            Err(CheckpointError::Index {
                path: path.to_owned(),
                reason,
            })
        };
        for (name, shard) in &self.weight_map {
            match checkpoint.tensors.get(name) {
                Some(view)
                    if checkpoint
                        .files
                        .path(view.file)
                        .file_name()
                        .is_some_and(|n| n == shard.as_str()) => {}
                Some(_) => {
                    return error(format!(
                        "tensor {name} is not in {shard}, although the index lists it there"
                    ));
                }
                None if checkpoint.others.contains_key(name) || tied::may_lack(checkpoint, name) => {}
                None => {
                    return error(format!(
                        "tensor {name} is in none of the shards; get {shard} again"
                    ));
                }
            }
        }
        let listed: HashSet<&String> = self.weight_map.keys().collect();
        match checkpoint.tensors.keys().find(|name| !listed.contains(name)) {
            Some(name) => error(format!("tensor {name} is in a shard, but not in the index")),
            None => Ok(()),
        }
    }
}
