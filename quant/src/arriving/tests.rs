//! Shards that arrive from memory, with every fault that a source or a disk can have.

mod faults;
mod forget;
mod kill;
mod oracle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::checkpoint::{Checkpoint, Folder};
use siskin_model::FileType;
use siskin_model::files::ReadAt;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/checkpoints")
        .join(name)
}

/// A checkpoint in memory, as a repository has it.
#[derive(Debug, Clone, Default)]
struct Repository {
    name: PathBuf,
    small: BTreeMap<String, Vec<u8>>,
    shards: Vec<(String, Vec<u8>)>,
}

impl Repository {
    fn read(dir: &Path) -> Self {
        let mut repository = Repository {
            name: dir.to_owned(),
            ..Self::default()
        };
        for entry in std::fs::read_dir(dir).expect("a checkpoint") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                let bytes = std::fs::read(&path).expect("read");
                match name.ends_with(".safetensors") {
                    true => repository.shards.push((name, bytes)),
                    false => drop(repository.small.insert(name, bytes)),
                }
            }
        }
        repository.shards.sort();
        repository
    }

    /// The same tensors in `count` shards, one tensor in each in turn.
    fn in_shards(&self, count: usize) -> Self {
        let mut headers = vec![serde_json::Map::new(); count];
        let mut data = vec![Vec::new(); count];
        let mut index = serde_json::Map::new();
        for (number, (name, bytes)) in self
            .shards
            .iter()
            .flat_map(|(_, bytes)| tensors(bytes))
            .enumerate()
        {
            let shard = number % count;
            let (mut entry, bytes) = (name.1, bytes);
            let start = data[shard].len();
            data[shard].extend(bytes);
            entry["data_offsets"] = serde_json::json!([start, data[shard].len()]);
            headers[shard].insert(name.0.clone(), entry);
            index.insert(name.0, format!("model-{shard}.safetensors").into());
        }
        let mut sharded = self.clone();
        sharded.shards.clear();
        for (shard, (header, data)) in headers.into_iter().zip(data).enumerate() {
            let header = serde_json::to_vec(&header).expect("JSON");
            let len = (header.len() as u64).to_le_bytes();
            let bytes = [&len[..], &header, &data].concat();
            sharded.shards.push((format!("model-{shard}.safetensors"), bytes));
        }
        let index = serde_json::json!({ "weight_map": index }).to_string();
        sharded
            .small
            .insert("model.safetensors.index.json".into(), index.into());
        sharded
    }

    fn conversion(&self, ty: FileType) -> Conversion {
        let folder = Folder::Memory {
            name: self.name.clone(),
            files: self.small.clone(),
        };
        let shards = self.shards.iter().map(|(name, bytes)| {
            let content: Arc<dyn ReadAt> = Arc::new(bytes.clone());
            (name.clone(), bytes.len() as u64, content)
        });
        let checkpoint = Checkpoint::from_remote(folder, shards.collect()).expect("a checkpoint");
        Conversion::of(checkpoint, None, Some(ty), None).expect("a conversion")
    }

    /// As its listing has them.
    fn listed(&self) -> Vec<Shard> {
        let shard = |(name, bytes): &(String, Vec<u8>)| Shard {
            name: name.clone(),
            bytes: bytes.len() as u64,
            sha256: Some(sha::digest(bytes).0),
        };
        self.shards.iter().map(shard).collect()
    }

    /// What [`Conversion::write`] makes of the same checkpoint in a folder.
    fn expected(&self, ty: FileType) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        let model = dir.path().join(self.name.file_name().expect("a name"));
        std::fs::create_dir(&model).expect("a folder");
        for (name, bytes) in self
            .small
            .iter()
            .chain(self.shards.iter().map(|(name, bytes)| (name, bytes)))
        {
            std::fs::write(model.join(name), bytes).expect("written");
        }
        let conversion = Conversion::from_checkpoint(&model, Some(ty), None).expect("a conversion");
        let out = dir.path().join("out");
        let cancel = AtomicBool::new(false);
        let options = StreamOptions::new(2, &cancel);
        conversion
            .write(&out, Overwrite::Refuse, options, &mut |_| {})
            .expect("written");
        std::fs::read(out).expect("there")
    }
}

/// The tensors of a safetensors file: name and entry, and bytes.
fn tensors(bytes: &[u8]) -> Vec<((String, serde_json::Value), Vec<u8>)> {
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).expect("a header");
    let data = &bytes[8 + len..];
    let entries = header.as_object().expect("a map").iter();
    let entries = entries.filter(|(name, _)| *name != "__metadata__");
    entries
        .map(|(name, entry)| {
            let at = |n: usize| entry["data_offsets"][n].as_u64().expect("a number") as usize;
            ((name.clone(), entry.clone()), data[at(0)..at(1)].to_vec())
        })
        .collect()
}

/// Gives a repository's shards, until something happens.
#[derive(Debug, Default)]
struct Source {
    shards: Vec<Vec<u8>>,
    /// What was asked for.
    opened: Mutex<Vec<(usize, u64)>>,
    /// Bytes after which the connection is lost; negative if it is never.
    left: AtomicI64,
    /// Shard and position of a byte that is wrong, and how many times it is.
    wrong: Mutex<Option<(usize, u64, u32)>>,
}

impl Source {
    fn new(repository: &Repository) -> Self {
        Source {
            shards: repository.shards.iter().map(|(_, bytes)| bytes.clone()).collect(),
            left: AtomicI64::new(i64::MAX),
            ..Self::default()
        }
    }

    fn opened(&self) -> Vec<(usize, u64)> {
        std::mem::take(&mut self.opened.lock().expect("nobody panicked"))
    }
}

struct Connection<'a> {
    source: &'a Source,
    rest: std::io::Cursor<Vec<u8>>,
}

impl Read for Connection<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // Short reads, as from a socket.
        let len = bytes.len().min(1500);
        let read = self.rest.read(&mut bytes[..len])?;
        match self.source.left.fetch_sub(read as i64, Ordering::Relaxed) < read as i64 {
            true => Err(io::Error::other("the connection is lost")),
            false => Ok(read),
        }
    }
}

impl Shards for Source {
    fn open(&self, shard: usize, offset: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        self.opened.lock().expect("nobody panicked").push((shard, offset));
        let mut rest = self.shards[shard][offset as usize..].to_vec();
        let mut wrong = self.wrong.lock().expect("nobody panicked");
        if let Some((of, at, times)) = wrong.as_mut()
            && *of == shard
            && *at >= offset
            && *times > 0
        {
            rest[(*at - offset) as usize] ^= 1;
            *times -= 1;
        }
        Ok(Box::new(Connection {
            source: self,
            rest: std::io::Cursor::new(rest),
        }))
    }
}

/// Runs a whole conversion with small steps between journals; the events are in words.
fn arrive(
    repository: &Repository,
    ty: FileType,
    source: &dyn Shards,
    target: &Path,
    origin: &str,
    cancel: &AtomicBool,
) -> (Result<Arrived, ArrivingError>, Vec<String>) {
    let conversion = repository.conversion(ty);
    let mut options = Arriving::new(origin, StreamOptions::new(2, cancel));
    options.checkpoint_bytes = 20_000;
    let mut events = Vec::new();
    let shards = repository.listed();
    let result = run(
        &conversion,
        &shards,
        source,
        target,
        Overwrite::Refuse,
        &options,
        &mut |event| match event {
            Event::Begin { resumed, anew, .. } => {
                events.push(format!("begin {}", resumed > 0));
                events.extend(anew.map(|anew| format!("anew {anew}")));
            }
            Event::Finished {
                finished, tensors, ..
            } if finished == tensors => events.push("finished".into()),
            Event::Again { shard } => events.push(format!("again {shard}")),
            _ => {}
        },
    );
    (result, events)
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("there")
}

fn json_of(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&bytes_of(path)).expect("JSON")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
    names.sort();
    names
}
