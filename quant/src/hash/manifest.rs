//! Manifests as llama-gguf-hash writes them: lines of `ALGORITHM  HASH  FILE:TENSOR`, and `ALGORITHM  HASH  FILE` for
//! the bytes of all tensors. Only SHA-256 is checked: the other algorithms there are no protection.
//!
//! Format: <https://github.com/ggml-org/llama.cpp/tree/master/examples/gguf-hash>.

use std::collections::BTreeMap;

use siskin_model::ErrorKind;

use super::{Hash, ModelHash};

/// Most bytes of a manifest: a line a tensor takes a few hundred.
pub const MAX_BYTES: u64 = 16 << 20;

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The tensors' hashes by name.
    pub tensors: BTreeMap<String, Hash>,
    /// The hash of all tensors' bytes.
    pub data: Option<Hash>,
}

/// A manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A line has another form.
    #[error("line {0} is not one of a manifest, which are: sha256  HASH  FILE:TENSOR")]
    Line(usize),
    /// A tensor, or the whole, has two lines.
    #[error("line {0} is about a tensor that another line is about")]
    Twice(usize),
    /// There is no line with a SHA-256.
    #[error("no line with a sha256; make the manifest with llama-gguf-hash --sha256")]
    NoSha256,
}

impl ManifestError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Format
    }
}

/// What a check says of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The hashes are equal.
    Same,
    /// They differ.
    Differs,
    /// The manifest has it and the model does not.
    Missing,
    /// The model has it and the manifest does not.
    Extra,
}

/// A model compared with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Each tensor of the model in the file's order, then those that only the manifest has.
    pub tensors: Vec<(String, Verdict)>,
    /// All tensors' bytes, if the manifest has them.
    pub data: Option<Verdict>,
}

impl Check {
    /// Whether the model is the one that the manifest is of.
    pub fn is_same(&self) -> bool {
        let verdicts = self.tensors.iter().map(|pair| pair.1).chain(self.data);
        verdicts.into_iter().all(|verdict| verdict == Verdict::Same)
    }
}

impl Manifest {
    /// Reads a manifest. Names of files are not compared: files are renamed.
    ///
    /// # Errors
    /// Fails if a line has another form, or if none has a SHA-256.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut manifest = Manifest::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let other = || ManifestError::Line(line);
            let (algorithm, rest) = text.split_once(char::is_whitespace).ok_or_else(other)?;
            let (hash, name) = rest
                .trim_start()
                .split_once(char::is_whitespace)
                .ok_or_else(other)?;
            match algorithm {
                "sha256" => {}
                "sha1" | "xxh64" | "uuid" => continue,
                _ => return Err(other()),
            }
            let hash: Hash = hash.parse().map_err(|_| other())?;
            // A tensor's name has no colon, and a file's may have.
            let twice = match name.trim_start().rsplit_once(':') {
                Some((_, tensor)) => manifest.tensors.insert(tensor.to_owned(), hash).is_some(),
                None => manifest.data.replace(hash).is_some(),
            };
            if twice {
                return Err(ManifestError::Twice(line));
            }
        }
        match manifest == Manifest::default() {
            true => Err(ManifestError::NoSha256),
            false => Ok(manifest),
        }
    }

    /// Compares a model with the manifest.
    pub fn check(&self, model: &ModelHash) -> Check {
        let verdict = |want: Hash, found: Hash| match want == found {
            true => Verdict::Same,
            false => Verdict::Differs,
        };
        // Without lines of tensors, the whole decides.
        let listed = !self.tensors.is_empty();
        let of_model = model.tensors.iter().filter(|_| listed).map(|(name, hash)| {
            let verdict = self.tensors.get(name).map(|want| verdict(*want, *hash));
            (name.clone(), verdict.unwrap_or(Verdict::Extra))
        });
        let names: std::collections::HashSet<&str> =
            model.tensors.iter().map(|pair| pair.0.as_str()).collect();
        let missing = self.tensors.keys().filter(|name| !names.contains(name.as_str()));
        let missing = missing.map(|name| (name.clone(), Verdict::Missing));
        Check {
            tensors: of_model.chain(missing).collect(),
            data: self.data.map(|want| verdict(want, model.data)),
        }
    }
}
