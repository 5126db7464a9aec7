//! The cache that other clients of the hub share:
//!
//! ```text
//! models--OWNER--REPO/blobs/ETAG                 the bytes; ETAG is their SHA-256 or Git's name of them
//! models--OWNER--REPO/snapshots/COMMIT/PATH      a relative link to the blob, or the file itself
//! models--OWNER--REPO/refs/REVISION              the commit, as text
//! .locks/models--OWNER--REPO/ETAG.lock           held while the blob is downloaded
//! ```
//!
//! An unfinished blob is `blobs/ETAG.incomplete`, and the next download goes on after it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use siskin_model::files;

use super::download::{Expected, collect, sync_folder};
use super::repo::{RemoteFile, Repo};
use crate::HubError;
use crate::digest::hex_bytes;
use crate::name::is_safe_path;

/// A cache folder.
#[derive(Debug, Clone)]
pub struct HubCache {
    folder: PathBuf,
    /// Whether snapshots have links.
    links: bool,
}

impl HubCache {
    /// A cache in `folder`, which need not be there. Without `links`, snapshots hold the files themselves.
    pub fn new(folder: &Path, links: bool) -> Self {
        HubCache {
            folder: folder.to_owned(),
            links,
        }
    }

    fn repo(&self, id: &str) -> PathBuf {
        self.folder.join(repo_folder(id))
    }

    /// The commit that a revision was when it was last asked for; a commit is itself.
    pub fn commit(&self, id: &str, revision: &str) -> Option<String> {
        if hex_bytes::<20>(revision).is_some() {
            return Some(revision.to_owned());
        }
        if !is_safe_path(revision) {
            return None;
        }
        let text = files::read_text(&self.repo(id).join("refs").join(revision), 100).ok()?;
        let commit = text.trim();
        hex_bytes::<20>(commit).map(|_| commit.to_owned())
    }

    /// The folder of a commit's files, if some are here.
    pub fn snapshot(&self, id: &str, commit: &str) -> Option<PathBuf> {
        hex_bytes::<20>(commit)?;
        let folder = self.repo(id).join("snapshots").join(commit);
        folder.is_dir().then_some(folder)
    }

    /// A file of a commit, if it is here.
    pub fn find(&self, id: &str, commit: &str, path: &str) -> Option<PathBuf> {
        let file = self.snapshot(id, commit)?.join(path);
        (is_safe_path(path) && file.is_file()).then_some(file)
    }

    /// A file of a repository: the one that is here, or a download of it. `progress` hears how many bytes are here.
    ///
    /// # Errors
    /// There is no such file, the disk is full, another program downloads it, or the network fails.
    pub fn fetch(&self, repo: &Repo, path: &str, progress: impl FnMut(u64)) -> Result<PathBuf, HubError> {
        let file = repo.file(path).ok_or_else(|| HubError::NoFile {
            repo: repo.id.clone(),
            file: path.to_owned(),
        })?;
        let folder = self.repo(&repo.id);
        let target = folder.join("snapshots").join(&repo.commit).join(path);
        let is_whole =
            |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == file.size);
        if is_whole(&target) {
            return Ok(target);
        }
        let blob = folder.join("blobs").join(blob_name(file, &repo.commit));
        for path in [&target, &blob] {
            make_folder_of(path)?;
        }
        let _lock = self.lock(&repo.id, &blob)?;
        if !is_whole(&blob) {
            let expected = Expected {
                what: format!("{path} of {}", repo.id),
                size: file.size,
                digest: file.digest(),
            };
            let mut partial = blob.clone().into_os_string();
            partial.push(".incomplete");
            collect(
                |offset| repo.open_at(path, offset),
                &expected,
                Path::new(&partial),
                &blob,
                progress,
            )?;
        }
        self.place(&blob, &target, path)?;
        self.remember(repo)?;
        Ok(target)
    }

    /// Puts a blob into a snapshot.
    fn place(&self, blob: &Path, target: &Path, path: &str) -> Result<(), HubError> {
        let io = |source| HubError::io(target, source);
        if std::fs::symlink_metadata(target).is_ok() {
            // Something of another size, or a link to nothing.
            std::fs::remove_file(target).map_err(io)?;
        }
        let name = blob.file_name().unwrap_or_default();
        let up = "../".repeat(path.split('/').count() + 1);
        let link = Path::new(&up).join("blobs").join(name);
        if self.links && std::os::unix::fs::symlink(link, target).is_ok() {
            return Ok(());
        }
        std::fs::rename(blob, target).map_err(io)?;
        sync_folder(target);
        Ok(())
    }

    /// Writes which commit the revision is.
    fn remember(&self, repo: &Repo) -> Result<(), HubError> {
        if !is_safe_path(&repo.revision) || repo.revision == repo.commit {
            return Ok(());
        }
        let path = self.repo(&repo.id).join("refs").join(&repo.revision);
        if self.commit(&repo.id, &repo.revision).as_ref() == Some(&repo.commit) {
            return Ok(());
        }
        make_folder_of(&path)?;
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&draft, &repo.commit).map_err(|source| HubError::io(&draft, source))?;
        std::fs::rename(&draft, &path).map_err(|source| HubError::io(&path, source))
    }

    /// Holds the lock that other clients hold too. It is released when the file is closed.
    fn lock(&self, id: &str, blob: &Path) -> Result<Option<File>, HubError> {
        let mut name = blob.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = self.folder.join(".locks").join(repo_folder(id)).join(name);
        make_folder_of(&path)?;
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = options.map_err(|source| HubError::io(&path, source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(HubError::Locked {
                path: blob.to_owned(),
            }),
            Err(_) => Ok(None),
            Ok(()) => Ok(Some(file)),
        }
    }
}

/// The folder of a repository in the cache.
fn repo_folder(id: &str) -> String {
    format!("models--{}", id.replace('/', "--"))
}

/// The name of a file's blob: its digest, or, if the list has none, something that no other file has.
fn blob_name(file: &RemoteFile, commit: &str) -> String {
    match file.digest() {
        Some(digest) => digest.hex(),
        None => format!("{commit}-{}", crate::name::segment(&file.path)),
    }
}

fn make_folder_of(path: &Path) -> Result<(), HubError> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    match std::fs::create_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(HubError::io(folder, error)),
        _ => Ok(()),
    }
}
