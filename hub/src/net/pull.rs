//! From a name to what has to be done: a checkpoint that is converted while it arrives, or files that are ready.
//!
//! ```text
//! name ─► repository at a commit ─► small files, headers ─► plan ─► shards, once, in order ─► GGUF
//!     └─► manifest, or list of GGUF files ─► the one that is wanted, or fits ─► its files
//! ```

mod error;
mod files;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use siskin_model::FileType;
use siskin_model::files::ReadAt;
use siskin_quant::arriving::{Shard, Shards};
use siskin_quant::checkpoint::{Checkpoint, Folder};
use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;

use super::client::Client;
use super::registry::Artifact;
use super::repo::Repo;
use crate::choose::{self, Contents, DEFAULT_TYPE, Listed};
use crate::digest::hex;
use crate::name::{HubName, Name, Wanted};
use crate::store::Origin;

pub use error::PullError;
pub use files::{GatheredFiles, ReadyFile, ReadyFiles};

/// The most bytes of a `config.json`.
const MOST_CONFIG: u64 = 4 << 20;
/// The small files that a conversion reads, a request for each, and the most bytes that it takes of one.
const READ: [(&str, u64); 10] = [
    ("config.json", MOST_CONFIG),
    ("generation_config.json", 4 << 20),
    ("tokenizer_config.json", 4 << 20),
    ("special_tokens_map.json", 4 << 20),
    ("added_tokens.json", 4 << 20),
    ("tokenizer.json", 40 << 20),
    ("tokenizer.model", 16 << 20),
    ("chat_template.json", 4 << 20),
    ("chat_template.jinja", 1 << 20),
    (".index.json", 16 << 20),
];
/// Further chat templates: the most of them, and the most bytes of one.
const MOST_TEMPLATES: usize = 16;
const MOST_TEMPLATE: u64 = 1 << 20;

/// What is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The type, as people type it: of the file that is made, or that is chosen.
    pub file_type: Option<&'a str>,
    /// An importance matrix for the file that is made.
    pub imatrix: Option<&'a Imatrix>,
    /// Bytes of memory that a ready file may need.
    pub memory: u64,
}

/// What has to be done.
#[derive(Debug)]
pub enum Plan {
    /// A checkpoint is converted.
    Checkpoint(Box<ToConvert>),
    /// Files are downloaded.
    Ready(ReadyFiles),
}

/// A checkpoint of a repository, planned.
#[derive(Debug)]
pub struct ToConvert {
    /// The repository.
    pub repo: Repo,
    /// What is written.
    pub conversion: Conversion,
    /// The files with weights.
    pub shards: Vec<Shard>,
    /// Its origin, for the store.
    pub origin: Origin,
    /// The name of the file, without its ending.
    pub stem: String,
}

impl ToConvert {
    /// What another run must have to go on with what this one left.
    pub fn identity(&self) -> String {
        // By what the shards contain, if it is known: a commit that changes a README changes nothing here.
        let known = self.shards.iter().all(|shard| shard.sha256.is_some());
        let content = match known {
            true => Vec::from_iter(
                self.shards
                    .iter()
                    .flat_map(|shard| shard.sha256.map(|hash| hex(&hash))),
            )
            .join(" "),
            false => self.repo.commit.clone(),
        };
        format!("{} {} {content}", self.origin.endpoint, self.repo.id)
    }

    /// Bytes of all weights.
    pub fn source_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }
}

impl Shards for ToConvert {
    fn open(&self, shard: usize, offset: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let name = self.shards.get(shard).map_or("", |shard| shard.name.as_str());
        Ok(Box::new(self.repo.open_at(name, offset)?))
    }
}

/// Finds what a name means and plans it. Of weights, only headers are read.
///
/// # Errors
/// There is no such model, it is not for everybody, it has nothing that siskin can use, or the network fails.
pub fn plan(client: &Client, name: &Name, options: &Options<'_>) -> Result<Plan, PullError> {
    match name {
        Name::Short(name) => Err(PullError::Short(name.clone())),
        Name::Hub(name) => repository(client, name, options),
        Name::Ollama(ollama) => {
            let artifact = Artifact::of_ollama(client, ollama)?;
            let stem = match ollama.tag.as_str() {
                "latest" => ollama.model.clone(),
                tag => format!("{}-{tag}", ollama.model),
            };
            files::of_artifact(name, artifact, &stem).map(Plan::Ready)
        }
        Name::Oci(oci) => {
            let artifact = Artifact::open(client, oci)?;
            let last = oci.repository.rsplit('/').next().unwrap_or("model");
            let stem = match oci.reference.as_str() {
                "latest" => last.to_owned(),
                reference if reference.starts_with("sha256:") => last.to_owned(),
                tag => format!("{last}-{tag}"),
            };
            files::of_artifact(name, artifact, &stem).map(Plan::Ready)
        }
    }
}

/// What a repository has, before its weights are looked at.
enum Found {
    Checkpoint {
        repo: Repo,
        small: Vec<Listed>,
        shards: Vec<Listed>,
        file_type: FileType,
    },
    Ready(ReadyFiles),
}

fn repository(client: &Client, name: &HubName, options: &Options<'_>) -> Result<Plan, PullError> {
    Ok(match find(client, name, options)? {
        Found::Ready(files) => Plan::Ready(files),
        Found::Checkpoint {
            repo,
            small,
            shards,
            file_type,
        } => {
            let planned = to_convert(name, repo, &small, &shards, file_type, options.imatrix)?;
            Plan::Checkpoint(Box::new(planned))
        }
    })
}

fn find(client: &Client, name: &HubName, options: &Options<'_>) -> Result<Found, PullError> {
    let repo = Repo::open(client, name)?;
    let listed: Vec<Listed> = repo
        .files
        .iter()
        .map(|file| Listed {
            path: file.path.clone(),
            bytes: file.size,
        })
        .collect();
    let contents = match &name.wanted {
        Wanted::File(path) => {
            let model = choose::gguf_file(&listed, path)?;
            return files::of_repo(name, repo, model).map(Found::Ready);
        }
        Wanted::Model | Wanted::Type(_) => choose::contents(&listed),
    };
    let contents = match contents {
        Ok(contents) => contents,
        Err(error) if name.revision.is_some() => {
            // Branches of a training run may be half-filled: the others are named.
            let known = Repo::refs(client, name).unwrap_or_default().branches;
            return Err(PullError::Revision {
                revision: name.revision().to_owned(),
                source: error,
                known,
            });
        }
        Err(error) => return Err(error.into()),
    };
    let wanted = match &name.wanted {
        Wanted::Type(ty) => Some(ty.as_str()),
        _ => options.file_type,
    };
    match contents {
        Contents::Gguf(models) => {
            let chosen = choose::gguf(&models, wanted, options.memory)?;
            let mut ready = files::of_repo(name, repo, chosen.model)?;
            ready.reason = chosen.reason;
            Ok(Found::Ready(ready))
        }
        Contents::Checkpoint { small, shards, .. } => Ok(Found::Checkpoint {
            repo,
            small,
            shards,
            file_type: match wanted {
                Some(text) => text
                    .to_lowercase()
                    .parse()
                    .map_err(|_| PullError::Type(text.to_owned()))?,
                None => DEFAULT_TYPE,
            },
        }),
    }
}

/// What a name means, known from lists and headers alone.
#[derive(Debug)]
pub enum Look {
    /// A checkpoint.
    Checkpoint {
        /// The repository.
        repo: Repo,
        /// The text of its `config.json`.
        config: Vec<u8>,
        /// Bytes of its weights.
        bytes: u64,
        /// The type that a pull would convert it to.
        file_type: FileType,
    },
    /// A model that is ready.
    Ready(ReadyFiles),
}

/// Looks at what a name means, without its weights: of a checkpoint, only `config.json` is read.
///
/// # Errors
/// As [`plan`]'s.
pub fn look(client: &Client, name: &Name, options: &Options<'_>) -> Result<Look, PullError> {
    let Name::Hub(hub) = name else {
        return match plan(client, name, options)? {
            Plan::Ready(files) => Ok(Look::Ready(files)),
            Plan::Checkpoint(job) => Err(PullError::NoModel(job.origin.name.clone())),
        };
    };
    Ok(match find(client, hub, options)? {
        Found::Ready(files) => Look::Ready(files),
        Found::Checkpoint {
            repo,
            shards,
            file_type,
            ..
        } => {
            let config = repo.small("config.json", MOST_CONFIG)?;
            known(&config)?;
            // The header of the first shard: what is wrong with the weights is found out, and how fast they come.
            if let Some(first) = shards.first().filter(|first| first.bytes > 0) {
                let read = repo.read_at(&first.path)?.read_at(0, &mut [0]);
                read.map_err(super::repo::hub_error)?;
            }
            Look::Checkpoint {
                config,
                bytes: shards.iter().map(|file| file.bytes).sum(),
                repo,
                file_type,
            }
        }
    })
}

fn to_convert(
    name: &HubName,
    repo: Repo,
    small: &[Listed],
    weights: &[Listed],
    file_type: FileType,
    imatrix: Option<&Imatrix>,
) -> Result<ToConvert, PullError> {
    let checkpoint = checkpoint(&repo, small, weights)?;
    let model = repo.id.rsplit('/').next().unwrap_or("model").to_owned();
    let conversion = Conversion::of(checkpoint, Some(&model), Some(file_type), imatrix)?;
    let shards: Vec<Shard> = weights
        .iter()
        .map(|file| Shard {
            name: file.path.clone(),
            bytes: file.bytes,
            sha256: repo.file(&file.path).and_then(|file| file.sha256),
        })
        .collect();
    let origin = Origin {
        name: HubName {
            wanted: Wanted::Model,
            ..name.clone()
        }
        .to_string(),
        commit: repo.commit.clone(),
        endpoint: repo.client().endpoint().to_owned(),
        files: shards
            .iter()
            .filter_map(|shard| Some((shard.name.clone(), hex(&shard.sha256?))))
            .collect(),
    };
    let stem = match &name.revision {
        Some(revision) => format!("{model}-{}-{file_type}", plain(revision)),
        None => format!("{model}-{file_type}"),
    };
    Ok(ToConvert {
        repo,
        conversion,
        shards,
        origin,
        stem,
    })
}

/// The checkpoint of a repository: its small files in memory, its weights by their headers.
///
/// # Errors
/// A file cannot be read, or is not what it should be.
fn checkpoint(repo: &Repo, small: &[Listed], weights: &[Listed]) -> Result<Checkpoint, PullError> {
    let limit = |file: &Listed| match file.path.contains('/') {
        true => Some(MOST_TEMPLATE),
        false => READ
            .iter()
            .find(|(name, _)| file.path.ends_with(name))
            .map(|(_, limit)| *limit),
    };
    let mut files = BTreeMap::new();
    let mut templates = 0;
    for (file, limit) in small.iter().filter_map(|file| Some((file, limit(file)?))) {
        if file.path.contains('/') {
            templates += 1;
            if templates > MOST_TEMPLATES {
                continue;
            }
        }
        files.insert(file.path.clone(), repo.small(&file.path, limit)?);
        if file.path == "config.json" {
            // An architecture that siskin does not know is told before anything else is read.
            known(&files["config.json"])?;
        }
    }
    let folder = Folder::Memory {
        name: PathBuf::from(&repo.id),
        files,
    };
    let shards = weights.iter().map(|file| {
        let content: Arc<dyn ReadAt> = repo.read_at(&file.path)?;
        Ok((file.path.clone(), file.bytes, content))
    });
    let shards = shards.collect::<Result<Vec<_>, PullError>>()?;
    Ok(Checkpoint::from_remote(folder, shards)?)
}

/// Fails if the configuration is of an architecture that siskin does not convert. What is not a configuration at all is
/// reported by its reader.
fn known(config: &[u8]) -> Result<(), PullError> {
    use siskin_model::arch::Arch;
    use siskin_model::config::Config;
    if let Ok(config) = Config::from_json(config) {
        Arch::from_config(&config).map_err(PullError::Architecture)?;
    }
    Ok(())
}

/// A revision as a part of a file's name.
fn plain(revision: &str) -> String {
    revision
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(40)
        .collect()
}
