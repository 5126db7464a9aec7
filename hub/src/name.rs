//! Names of models, as people type them.

mod parse;

use std::fmt;

/// The longest name in bytes.
pub const MAX_LEN: usize = 1024;

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A word without a slash: a name of the catalog, or of a model that is already here.
    Short(String),
    /// A repository of the Hugging Face hub.
    Hub(HubName),
    /// A model of ollama's registry, or of ollama's store on this disk.
    Ollama(OllamaName),
    /// An artifact of any OCI registry.
    Oci(OciName),
}

/// A repository of the hub, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubName {
    /// The owner: a person or an organization.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// A branch, a tag or a commit; it may contain `/`. `None` is `main`.
    pub revision: Option<String>,
    /// What of the repository.
    pub wanted: Wanted,
}

/// What is wanted of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The checkpoint, or the only model in it.
    Model,
    /// One file, by its path in the repository.
    File(String),
    /// A GGUF file that is ready-made, by its type such as `Q4_K_M`.
    Type(String),
}

/// A model of ollama's registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OllamaName {
    /// The namespace: `library` if none was typed.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// The tag: `latest` if none was typed.
    pub tag: String,
}

/// An artifact of an OCI registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciName {
    /// The host, with its port if one was typed.
    pub host: String,
    /// The path of the artifact: parts joined by `/`.
    pub repository: String,
    /// A tag, or a digest `sha256:…`.
    pub reference: String,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a model's name: {problem}")]
pub struct NameError {
    /// The text, shortened and without control characters.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is longer than [`MAX_LEN`].
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// Spaces, control characters, or characters that no repository's name has.
    #[error("it has a character that names do not have")]
    Character,
    /// A part between two slashes is empty, `.` or `..`.
    #[error("a part between slashes is empty or made of dots")]
    Part,
    /// The hub's names have an owner and a repository.
    #[error("a repository is OWNER/REPO")]
    Parts,
    /// The address leads to another site.
    #[error("only addresses of https://huggingface.co are known; registries are oci:HOST/NAME")]
    Site,
    /// The word before the colon is not known.
    #[error("the sources are hf:, ollama: and oci:")]
    Source,
    /// An OCI name lacks its host or its repository.
    #[error("an artifact is oci:HOST/NAME:TAG")]
    Oci,
    /// A digest is not `sha256:` and 64 hexadecimal digits.
    #[error("a digest is sha256: and 64 hexadecimal digits")]
    Digest,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// The text is none of the forms, or a part of it cannot be in a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse::name(text).map_err(|problem| NameError {
            text: text.chars().filter(|c| !c.is_control()).take(80).collect(),
            problem,
        })
    }
}

impl HubName {
    /// `OWNER/REPO`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }

    /// The revision, `main` if none was typed.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}/{}", self.owner, self.repo)?;
        match (&self.revision, &self.wanted) {
            (None, Wanted::Model) => Ok(()),
            // A revision may have slashes, and what follows a slash is a file.
            (Some(revision), Wanted::Model) => write!(f, "@{}", segment(revision)),
            (None, Wanted::File(file)) => write!(f, "/{file}"),
            // A revision may have slashes, so the address says which part is which.
            (Some(revision), Wanted::File(file)) => write!(f, "@{}/{file}", segment(revision)),
            (None, Wanted::Type(ty)) => write!(f, ":{ty}"),
            (Some(revision), Wanted::Type(ty)) => write!(f, "@{}:{ty}", segment(revision)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Short(name) => f.write_str(name),
            Name::Hub(name) => name.fmt(f),
            Name::Ollama(name) if name.namespace == "library" => {
                write!(f, "ollama:{}:{}", name.model, name.tag)
            }
            Name::Ollama(name) => write!(f, "ollama:{}/{}:{}", name.namespace, name.model, name.tag),
            Name::Oci(name) => {
                let sign = if name.reference.starts_with("sha256:") {
                    '@'
                } else {
                    ':'
                };
                write!(f, "oci:{}/{}{sign}{}", name.host, name.repository, name.reference)
            }
        }
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::parse(text)
    }
}

/// A text as one segment of an address: all bytes but unreserved ones are percent-encoded, `/` too.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A path in a repository as a path of an address: each part is a [`segment`].
pub fn path(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(segment).collect();
    parts.join("/")
}

/// True if a path of a repository, which a server gave, may become a path below a folder: relative, without empty
/// parts, `.`, `..`, backslashes and control characters.
pub fn is_safe_path(path: &str) -> bool {
    path.len() <= MAX_LEN
        && path
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255)
        && !path.contains(|c: char| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests;
