//! A repository of the hub at one commit: its list of files, and their bytes.

mod list;

use std::io::Read;
use std::sync::Arc;

use super::answer::Ask;
use super::body::{Body, Source};
use super::client::Client;
use super::refusal::Subject;
use super::remote::RemoteReader;
use super::url::Url;
use crate::HubError;
use crate::digest::Digest;
use crate::name::{self, HubName};

/// A repository at one commit. A branch is resolved once; whatever is read after it is of the same commit.
#[derive(Debug, Clone)]
pub struct Repo {
    client: Client,
    /// `OWNER/REPO`, as the hub calls it: a repository may have been renamed.
    pub id: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// All files, in the order of the hub's list.
    pub files: Vec<RemoteFile>,
}

/// A file of a repository, as the hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// The path in the repository; it is safe below a folder.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content: large files have it.
    pub sha256: Option<[u8; 32]>,
    /// Git's name of the content: small files have it.
    pub git_sha1: Option<[u8; 20]>,
}

impl RemoteFile {
    /// What the bytes must give; `None` if the list says nothing.
    pub fn digest(&self) -> Option<Digest> {
        let sha256 = self.sha256.map(Digest::Sha256);
        sha256.or(self.git_sha1.map(Digest::Git))
    }
}

/// Branches and tags of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// Branches, in the hub's order.
    pub branches: Vec<String>,
    /// Tags, in the hub's order.
    pub tags: Vec<String>,
}

impl Repo {
    /// Asks which commit the revision is, and for the list of its files.
    ///
    /// # Errors
    /// There is no such repository or revision, it may not be read, or the network fails.
    pub fn open(client: &Client, name: &HubName) -> Result<Self, HubError> {
        let revision = name.revision();
        match list::commit(client, name, revision) {
            Ok((id, commit)) => {
                let files = list::files(client, &id, &commit)?;
                Ok(Repo {
                    client: client.clone(),
                    id,
                    revision: revision.to_owned(),
                    commit,
                    files,
                })
            }
            Err(HubError::NoRevision { repo, revision, .. }) => {
                // A help only: if the list cannot be had, the error is still true.
                let refs = Self::refs(client, name).unwrap_or_default();
                Err(HubError::NoRevision {
                    repo,
                    revision,
                    known: refs.branches.into_iter().chain(refs.tags).collect(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The commit that a name's revision is now: one request.
    ///
    /// # Errors
    /// There is no such repository or revision, it may not be read, or the network fails.
    pub fn commit_of(client: &Client, name: &HubName) -> Result<String, HubError> {
        list::commit(client, name, name.revision()).map(|(_, commit)| commit)
    }

    /// Branches and tags.
    ///
    /// # Errors
    /// There is no such repository, it may not be read, or the network fails.
    pub fn refs(client: &Client, name: &HubName) -> Result<Refs, HubError> {
        list::refs(client, name)
    }

    /// The client that reads this repository.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The file at `path`; `None` if there is none.
    pub fn file(&self, path: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The repository's page.
    pub fn page(&self) -> String {
        format!("{}/{}", self.client.endpoint(), self.id)
    }

    /// A whole file of at most `limit` bytes, whose digest is the listed one.
    ///
    /// # Errors
    /// There is no such file, it is larger, it arrives damaged twice, or the network fails.
    pub fn small(&self, path: &str, limit: u64) -> Result<Vec<u8>, HubError> {
        let file = self.wanted(path)?;
        let source = self.source(file)?;
        if file.size > limit {
            return Err(HubError::TooLarge {
                what: source.subject.what.clone(),
                limit,
            });
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut bytes = Vec::new();
            let mut body = Body::new(self.client.clone(), Arc::clone(&source), 0..file.size);
            body.read_to_end(&mut bytes).map_err(hub_error)?;
            let Some(expected) = file.digest() else {
                return Ok(bytes);
            };
            let found = expected.of_same_kind(&bytes);
            if found == expected {
                return Ok(bytes);
            }
            if attempts == 2 {
                return Err(HubError::Digest {
                    what: source.subject.what.clone(),
                    expected,
                    found,
                });
            }
        }
    }

    /// A reader at any position of a file, for headers.
    ///
    /// # Errors
    /// There is no such file.
    pub fn read_at(&self, path: &str) -> Result<Arc<RemoteReader>, HubError> {
        let source = self.source(self.wanted(path)?)?;
        Ok(Arc::new(RemoteReader::new(self.client.clone(), source)))
    }

    /// The bytes of a file from `offset` on. The caller compares their digest.
    ///
    /// # Errors
    /// There is no such file.
    pub fn open_at(&self, path: &str, offset: u64) -> Result<Body, HubError> {
        let file = self.wanted(path)?;
        Ok(Body::new(
            self.client.clone(),
            self.source(file)?,
            offset..file.size,
        ))
    }

    fn wanted(&self, path: &str) -> Result<&RemoteFile, HubError> {
        self.file(path).ok_or_else(|| HubError::NoFile {
            repo: self.id.clone(),
            file: path.to_owned(),
        })
    }

    /// A file by the commit: a branch may move between two requests.
    fn source(&self, file: &RemoteFile) -> Result<Arc<Source>, HubError> {
        let endpoint = self.client.endpoint();
        let address = format!(
            "{endpoint}/{}/resolve/{}/{}",
            self.id,
            self.commit,
            name::path(&file.path)
        );
        let subject = Subject {
            what: format!("{} of {}", file.path, self.id),
            repo: Some(self.id.clone()),
            revision: Some(self.revision.clone()),
            file: Some(file.path.clone()),
            endpoint: endpoint.to_owned(),
        };
        let url = address_of(&address)?;
        let credential = self.client.0.credential.clone();
        Ok(Arc::new(Source::new(url, subject, credential, file.size)))
    }
}

/// An address that was made of checked parts.
fn address_of(text: &str) -> Result<Url, HubError> {
    Url::parse(text).ok_or_else(|| HubError::Environment {
        variable: "HF_ENDPOINT",
        problem: "the value is not an address".to_owned(),
    })
}

/// The hub's error in one of a reader.
pub(crate) fn hub_error(error: std::io::Error) -> HubError {
    HubError::in_io(error).unwrap_or_else(|source| HubError::Network {
        host: "the connection".to_owned(),
        problem: source.to_string(),
        attempts: 1,
    })
}

/// A request of the hub's API.
fn ask<'a>(client: &'a Client, url: &'a Url, subject: &'a Subject) -> Ask<'a> {
    Ask {
        url,
        subject,
        range: None,
        accept: Some("application/json"),
        credential: client.0.credential.as_ref(),
        is_signed: false,
    }
}
