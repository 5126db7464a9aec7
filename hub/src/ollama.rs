//! Models that ollama has on this disk, used without a copy. A manifest names layers by digest; the weights are a GGUF
//! file among the blobs.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use siskin_model::files;

use crate::HubError;
use crate::digest::Digest;
use crate::name::OllamaName;

/// The largest manifest in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The largest layer of text in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// The most models that are listed.
const MAX_MODELS: usize = 10_000;

/// What a layer is, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The weights: a GGUF file.
    Model,
    /// A LoRA adapter: a GGUF file.
    Adapter,
    /// The vision part of a model: a GGUF file.
    Projector,
    /// Sampling settings as JSON.
    Params,
    /// The system prompt.
    System,
    /// A chat template in Go's language.
    Template,
    /// A licence.
    License,
    /// Messages that a conversation begins with, as JSON.
    Messages,
    /// Something else.
    Other,
}

/// Media types of layers, of ollama and of Docker's artifacts.
const ROLES: [(&str, Role); 10] = [
    ("application/vnd.docker.ai.gguf.v3", Role::Model),
    ("application/vnd.docker.ai.gguf.v3.lora", Role::Adapter),
    ("application/vnd.docker.ai.license", Role::License),
    ("application/vnd.ollama.image.adapter", Role::Adapter),
    ("application/vnd.ollama.image.license", Role::License),
    ("application/vnd.ollama.image.messages", Role::Messages),
    ("application/vnd.ollama.image.model", Role::Model),
    ("application/vnd.ollama.image.params", Role::Params),
    ("application/vnd.ollama.image.system", Role::System),
    ("application/vnd.ollama.image.template", Role::Template),
];

/// A layer of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub role: Role,
    /// Its media type, as the manifest has it.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// Reads a manifest of OCI or Docker (<https://github.com/opencontainers/image-spec/blob/main/manifest.md>).
///
/// # Errors
/// What is wrong with it, as words for an error.
pub fn layers(manifest: &[u8]) -> Result<Vec<Layer>, String> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Option<Vec<Entry>>,
        manifests: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        media_type: String,
        digest: String,
        size: u64,
    }
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|error| format!("the manifest cannot be read: {error}"))?;
    let Some(entries) = manifest.layers else {
        return Err(match manifest.manifests {
            Some(_) => "this is an index of several images, not a model".to_owned(),
            None => "the manifest has no layers".to_owned(),
        });
    };
    let layer = |entry: Entry| {
        let known = ROLES
            .iter()
            .find(|(media_type, _)| *media_type == entry.media_type);
        let digest = entry
            .digest
            .starts_with("sha256:")
            .then(|| Digest::sha256(&entry.digest))
            .flatten();
        Ok(Layer {
            role: known.map_or(Role::Other, |(_, role)| *role),
            media_type: entry.media_type,
            digest: digest.ok_or("a layer's digest is not a SHA-256")?,
            size: entry.size,
        })
    };
    entries.into_iter().map(layer).collect()
}

/// A model in ollama's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The weights' file; it belongs to ollama.
    pub model: PathBuf,
    /// SHA-256 of it, as the manifest says. Nobody has compared it.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Sampling settings as JSON, if the model has some.
    pub params: Option<String>,
    /// The system prompt, if the model has one.
    pub system: Option<String>,
    /// True if the model also has an adapter or a vision part, which are not used.
    pub has_more: bool,
}

/// The store of ollama below `folder`.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// A store; the folder need not be there.
    pub fn new(folder: &Path) -> Self {
        Store {
            folder: folder.to_owned(),
        }
    }

    /// The model with this name; `None` if the store does not have it.
    ///
    /// # Errors
    /// Its manifest is damaged, or a file that it names is missing or has another size.
    pub fn find(&self, name: &OllamaName) -> Result<Option<Stored>, HubError> {
        // The parts are checked when a name is made: none leads elsewhere.
        let path = self
            .manifests()
            .join(&name.namespace)
            .join(&name.model)
            .join(&name.tag);
        if !path.is_file() {
            return Ok(None);
        }
        let wrong = |problem: String| HubError::Store {
            path: path.clone(),
            problem,
        };
        let layers = layers(&files::read(&path, MAX_MANIFEST)?).map_err(wrong)?;
        let mut models = layers.iter().filter(|layer| layer.role == Role::Model);
        let model = models
            .next()
            .ok_or_else(|| wrong("the manifest has no model".to_owned()))?;
        if models.next().is_some() {
            return Err(wrong(
                "the model is in several files, which siskin does not read here".to_owned(),
            ));
        }
        let blob = self.blob(model);
        let found = files::open(&blob)?
            .metadata()
            .map_err(|source| HubError::io(&blob, source))?
            .len();
        if found != model.size {
            let problem = format!("the file has {found} bytes, and its manifest says {}", model.size);
            return Err(HubError::Store { path: blob, problem });
        }
        let text = |role: Role| -> Result<Option<String>, HubError> {
            let layer = layers.iter().find(|layer| layer.role == role);
            Ok(layer
                .map(|layer| files::read_text(&self.blob(layer), MAX_TEXT))
                .transpose()?)
        };
        Ok(Some(Stored {
            params: text(Role::Params)?,
            system: text(Role::System)?,
            has_more: layers
                .iter()
                .any(|layer| matches!(layer.role, Role::Adapter | Role::Projector)),
            digest: model.digest,
            size: model.size,
            model: blob,
        }))
    }

    /// The names of all models of ollama's own registry, sorted. What cannot be read is left out.
    pub fn names(&self) -> Vec<OllamaName> {
        let mut names = Vec::new();
        for namespace in entries(&self.manifests()) {
            for model in entries(&self.manifests().join(&namespace)) {
                for tag in entries(&self.manifests().join(&namespace).join(&model)) {
                    let text = format!("ollama:{namespace}/{model}:{tag}");
                    if let Ok(crate::Name::Ollama(name)) = crate::Name::parse(&text)
                        && names.len() < MAX_MODELS
                    {
                        names.push(name);
                    }
                }
            }
        }
        names
    }

    fn manifests(&self) -> PathBuf {
        self.folder.join("manifests/registry.ollama.ai")
    }

    fn blob(&self, layer: &Layer) -> PathBuf {
        self.folder
            .join("blobs")
            .join(format!("sha256-{}", layer.digest.hex()))
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = found
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with one model `m:t` whose manifest says this size.
    fn store(folder: &Path, size: usize) -> Store {
        let weights = b"GGUF and so on";
        let digest = Digest::Sha256([0; 32]).of_same_kind(weights);
        let system = Digest::Sha256([0; 32]).of_same_kind(b"Be kind.");
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "config": { "mediaType": "x", "digest": "sha256:00", "size": 2 },
            "layers": [
                { "mediaType": "application/vnd.ollama.image.model", "digest": digest.to_string(), "size": size },
                { "mediaType": "application/vnd.ollama.image.system", "digest": system.to_string(), "size": 8 },
                { "mediaType": "application/vnd.ollama.image.template", "digest": system.to_string(), "size": 8 },
            ],
        });
        let manifests = folder.join("manifests/registry.ollama.ai/library/m");
        std::fs::create_dir_all(&manifests).expect("a folder");
        std::fs::create_dir_all(folder.join("blobs")).expect("a folder");
        std::fs::write(manifests.join("t"), manifest.to_string()).expect("written");
        std::fs::write(folder.join(format!("blobs/sha256-{}", digest.hex())), weights).expect("written");
        std::fs::write(folder.join(format!("blobs/sha256-{}", system.hex())), "Be kind.").expect("written");
        Store::new(folder)
    }

    fn name(tag: &str) -> OllamaName {
        OllamaName {
            namespace: "library".into(),
            model: "m".into(),
            tag: tag.into(),
        }
    }

    #[test]
    fn a_model_of_the_store_is_found_with_its_prompt_and_not_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = store(dir.path(), 14);
        let found = store.find(&name("t")).expect("readable").expect("there");
        assert_eq!(std::fs::read(&found.model).expect("readable"), b"GGUF and so on");
        assert_eq!(
            (found.system.as_deref(), found.params, found.has_more),
            (Some("Be kind."), None, false)
        );
        assert_eq!(store.find(&name("other")).expect("readable"), None);
        assert_eq!(store.names(), [name("t")]);
    }

    #[test]
    fn damaged_stores_are_named_in_one_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = store(dir.path(), 15);
        let error = store.find(&name("t")).expect_err("another size").to_string();
        assert!(
            error.ends_with("the file has 14 bytes, and its manifest says 15"),
            "{error}"
        );
        let cases = [
            ("{", "cannot be read"),
            ("{}", "no layers"),
            (r#"{"manifests":[]}"#, "an index"),
            (r#"{"layers":[]}"#, "has no model"),
            (
                r#"{"layers":[{"mediaType":"x","digest":"sha256:../../x","size":1}]}"#,
                "not a SHA-256",
            ),
        ];
        for (manifest, expected) in cases {
            std::fs::write(
                dir.path().join("manifests/registry.ollama.ai/library/m/t"),
                manifest,
            )
            .expect("written");
            let error = store.find(&name("t")).expect_err(manifest).to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }
}
