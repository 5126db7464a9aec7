//! Files of repositories, in memory or on this disk.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// Bytes.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Bytes(Arc<Vec<u8>>),
    /// A file of this disk, and its size.
    Disk(PathBuf, u64),
}

/// A file of a repository.
#[derive(Debug, Clone)]
pub struct File {
    pub(crate) content: Content,
    /// Large files are on the other server.
    pub(crate) is_large: bool,
    sha256: String,
    git: String,
}

impl File {
    /// A file that Git keeps itself.
    pub fn small(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let git = git_name(&bytes);
        Self::new(bytes, false, git)
    }

    /// A file of Git LFS.
    pub fn large(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), true, git_name(b"pointer"))
    }

    fn new(bytes: Vec<u8>, is_large: bool, git: String) -> Self {
        File {
            sha256: hex(&Sha256::digest(&bytes)),
            content: Content::Bytes(Arc::new(bytes)),
            is_large,
            git,
        }
    }

    /// A file of this disk; from 1 MiB on it is a large one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn on_disk(path: &Path) -> io::Result<Self> {
        let len = std::fs::metadata(path)?.len();
        if len < 1 << 20 {
            return Ok(Self::small(std::fs::read(path)?));
        }
        let mut hasher = Sha256::new();
        io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
        Ok(File {
            content: Content::Disk(path.to_owned(), len),
            is_large: true,
            sha256: hex(&hasher.finalize()),
            git: git_name(b"pointer"),
        })
    }

    /// SHA-256 of the content, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Git's name of what Git keeps.
    pub fn git(&self) -> &str {
        &self.git
    }
}

impl Content {
    /// Size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Disk(_, len) => *len,
        }
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `start` on, as many as fit.
    pub(crate) fn read(&self, start: u64, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Bytes(content) => {
                let rest = content.get(start as usize..).unwrap_or_default();
                let len = rest.len().min(bytes.len());
                bytes[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
            Content::Disk(path, _) => std::fs::File::open(path)?.read_at(bytes, start),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content::Bytes(Arc::new(bytes))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What Git calls a blob with these bytes.
pub(crate) fn git_name(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}
