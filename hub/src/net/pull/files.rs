//! Models that are ready: GGUF files of a repository, or layers of an artifact.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use siskin_model::files::{Files, ReadAt};
use siskin_model::gguf::part_suffix;

use super::PullError;
use crate::HubError;
use crate::choose::GgufModel;
use crate::digest::Digest;
use crate::name::{HubName, Name};
use crate::net::body::Body;
use crate::net::download::{self, Expected, Gathered};
use crate::net::registry::{Artifact, Layer};
use crate::net::repo::Repo;
use crate::store::Origin;

/// A model that is ready.
#[derive(Debug)]
pub struct ReadyFiles {
    /// Its files, in order.
    pub files: Vec<ReadyFile>,
    /// Its type, if its name says it.
    pub file_type: Option<String>,
    /// Why this model of several was chosen.
    pub reason: Option<String>,
    /// Its origin, for the store.
    pub origin: Origin,
    /// The name of the file, without part and ending.
    pub stem: String,
}

/// A file of it.
#[derive(Debug)]
pub struct ReadyFile {
    /// What it is, for people.
    pub what: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What its bytes must give.
    pub digest: Option<Digest>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Repo(Repo, String),
    Layer(Artifact, Layer),
}

impl ReadyFile {
    fn open(&self, offset: u64) -> Result<Body, HubError> {
        match &self.source {
            Source::Repo(repo, path) => repo.open_at(path, offset),
            Source::Layer(artifact, layer) => artifact.open_at(layer, offset),
        }
    }

    fn read_at(&self) -> Result<Arc<dyn ReadAt>, HubError> {
        match &self.source {
            Source::Repo(repo, path) => repo.read_at(path).map(|reader| reader as Arc<dyn ReadAt>),
            Source::Layer(artifact, layer) => artifact.read_at(layer).map(|reader| reader as Arc<dyn ReadAt>),
        }
    }
}

impl ReadyFiles {
    /// The size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The files at their places: `target` itself, or its parts if there are several.
    pub fn targets(&self, target: &Path) -> Vec<PathBuf> {
        let count = self.files.len();
        if count == 1 {
            return vec![target.to_owned()];
        }
        let stem = target
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let part = |number| {
            target.with_file_name(format!("{stem}{}.gguf", part_suffix(number as u64, count as u64)))
        };
        (1..=count).map(part).collect()
    }

    /// Downloads the files to places beside `target`, where they stay if the work ends early: none has its name before
    /// all are there. `progress` hears how many bytes of all are there.
    ///
    /// # Errors
    /// The disk is full, the bytes are wrong twice, or the network fails. What has arrived is kept.
    pub fn gather(&self, target: &Path, mut progress: impl FnMut(u64)) -> Result<GatheredFiles, HubError> {
        let mut parts = Vec::new();
        let mut before = 0;
        for (file, target) in self.files.iter().zip(self.targets(target)) {
            let expected = Expected {
                what: file.what.clone(),
                size: file.bytes,
                digest: file.digest,
            };
            let partial = download::partial_of(&target);
            let report = |bytes| progress(before + bytes);
            let gathered =
                download::gather(|offset| file.open(offset), &expected, &partial, &target, report)?;
            parts.push(gathered);
            before += file.bytes;
        }
        Ok(GatheredFiles { parts })
    }

    /// The files as they lie on the server, to be read at any position.
    ///
    /// # Errors
    /// A name cannot be in an address.
    pub fn remote(&self) -> Result<Files, HubError> {
        let mut files = Files::new();
        for file in &self.files {
            files.add(Path::new(&file.what), file.bytes, file.read_at()?);
        }
        Ok(files)
    }
}

/// All files of a model, whole and compared with their digests, but not under their names.
#[derive(Debug)]
pub struct GatheredFiles {
    parts: Vec<Gathered>,
}

impl GatheredFiles {
    /// Bytes that an earlier run had left.
    pub fn resumed(&self) -> u64 {
        self.parts.iter().map(|part| part.resumed).sum()
    }

    /// Gives the files their names, the first one last: a model that can be opened is whole.
    ///
    /// # Errors
    /// The system refuses.
    pub fn place(self) -> Result<Vec<PathBuf>, HubError> {
        let targets = self.parts.iter().map(|part| part.target.clone()).collect();
        for part in self.parts.into_iter().rev() {
            part.place()?;
        }
        Ok(targets)
    }
}

/// A GGUF model of a repository.
pub(super) fn of_repo(name: &HubName, repo: Repo, model: GgufModel) -> Result<ReadyFiles, PullError> {
    let files: Vec<ReadyFile> = model
        .files
        .iter()
        .map(|file| ReadyFile {
            what: file.path.clone(),
            bytes: file.bytes,
            digest: repo.file(&file.path).and_then(|file| file.digest()),
            source: Source::Repo(repo.clone(), file.path.clone()),
        })
        .collect();
    let origin = Origin {
        name: name.to_string(),
        commit: repo.commit.clone(),
        endpoint: repo.client().endpoint().to_owned(),
        files: digests(&files),
    };
    Ok(ReadyFiles {
        files,
        file_type: model.file_type,
        reason: None,
        origin,
        stem: visible(&model.name),
    })
}

/// A model of a registry.
pub(super) fn of_artifact(name: &Name, artifact: Artifact, stem: &str) -> Result<ReadyFiles, PullError> {
    let layers: Vec<Layer> = artifact.models().cloned().collect();
    if layers.is_empty() {
        return Err(PullError::NoModel(artifact.name));
    }
    let files: Vec<ReadyFile> = layers
        .into_iter()
        .map(|layer| ReadyFile {
            what: artifact.name.clone(),
            bytes: layer.size,
            digest: Some(layer.digest),
            source: Source::Layer(artifact.clone(), layer),
        })
        .collect();
    let origin = Origin {
        name: name.to_string(),
        commit: artifact.digest.hex(),
        endpoint: artifact.name.clone(),
        files: digests(&files),
    };
    let safe = stem.chars().map(|c| if matches!(c, '/' | ':') { '-' } else { c });
    Ok(ReadyFiles {
        files,
        file_type: None,
        reason: None,
        origin,
        stem: visible(&safe.collect::<String>()),
    })
}

fn digests(files: &[ReadyFile]) -> Vec<(String, String)> {
    let digest = |file: &ReadyFile| Some((file.what.clone(), file.digest?.hex()));
    files.iter().filter_map(digest).collect()
}

/// A name that a folder shows.
fn visible(name: &str) -> String {
    match name.trim_start_matches('.') {
        "" => "model".to_owned(),
        name => name.to_owned(),
    }
}
