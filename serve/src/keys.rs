//! API keys: who may ask, and for what.
//!
//! A file has one key a line, `NAME ROLE[,ROLE] sha256:HEX`, and comments that begin with `#`. Only digests are kept in
//! memory. A line that is one word is the key itself, as in the key files of llama.cpp's server: it may do everything
//! and gets a name by its place. Errors name lines and never what is in them.

mod parse;
mod secret;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use rustix::fs::{Mode, fstat};
use siskin_model::files::{self, FileError};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

pub use parse::{KeyLineError, LineProblem};
pub use secret::{NewKey, NewKeyError, new_key};

/// The largest file of keys in bytes.
const MAX_FILE: u64 = 256 << 10;

/// The name of the credential that systemd gives to the service.
pub const CREDENTIAL: &str = "api-keys";

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Completions, embeddings, tokens: everything that computes.
    Infer,
    /// Figures: metrics, the state of slots.
    Metrics,
    /// What changes the service: loading and unloading models.
    Admin,
}

/// Each role, and its word in a file.
const ROLES: [(&str, Role); 3] = [
    ("infer", Role::Infer),
    ("metrics", Role::Metrics),
    ("admin", Role::Admin),
];

/// Some of the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// All of them.
    pub fn all() -> Self {
        ROLES
            .iter()
            .fold(Roles::default(), |roles, (_, role)| roles.and(*role))
    }

    /// These and one more.
    #[must_use]
    pub fn and(self, role: Role) -> Self {
        Roles(self.0 | 1 << role as u8)
    }

    /// Whether `role` is one of these.
    pub fn has(self, role: Role) -> bool {
        self.0 & 1 << role as u8 != 0
    }
}

/// A key, without what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// What logs and metrics call it.
    pub name: String,
    /// What it may be used for.
    pub roles: Roles,
    /// Keeps what this key's requests leave behind (prefixes) apart from other keys'. It depends on the key only, so it
    /// is the same after a restart.
    pub namespace: u64,
    digest: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

impl Key {
    fn new(name: String, roles: Roles, digest: [u8; 32]) -> Self {
        let namespace = secret::digest(&[b"siskin namespace".as_slice(), &digest].concat());
        let (first, _) = namespace.split_at(8);
        Key {
            name,
            roles,
            namespace: first.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            digest,
        }
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no key.
    #[error("this service asks for a key; send it as `Authorization: Bearer KEY`")]
    Missing,
    /// The key is not one of this service's.
    #[error("the key is not known to this service")]
    Unknown,
}

/// The keys of one file at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// Reads the text of a file of keys.
    ///
    /// # Errors
    /// A line is not a key, or no line is.
    pub fn parse(text: &str) -> Result<Self, KeyLineError> {
        parse::parse(text).map(|keys| KeySet(keys.into_iter().map(Arc::new).collect()))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no keys: nobody is asked for one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key with this text. It takes the same time whichever key it is, and if it is none.
    pub fn find(&self, secret: &[u8]) -> Option<&Arc<Key>> {
        let digest = secret::digest(secret);
        let mut found = u32::MAX;
        for (number, key) in (0u32..).zip(&self.0) {
            let same: Choice = key.digest.ct_eq(&digest);
            found = u32::conditional_select(&found, &number, same);
        }
        self.0.get(usize::try_from(found).ok()?)
    }

    /// Who asks: by `Authorization: Bearer`, or `x-api-key` as Anthropic's libraries send it. `None` if this set has no
    /// keys.
    ///
    /// # Errors
    /// The request has no key of this set.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Arc<Key>>, Denied> {
        if self.is_empty() {
            return Ok(None);
        }
        let secret = secret_of(headers)?;
        self.find(secret).cloned().map(Some).ok_or(Denied::Unknown)
    }
}

/// The key in a request's headers.
fn secret_of(headers: &HeaderMap) -> Result<&[u8], Denied> {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(value.as_bytes())),
            (Some(_), Some(_)) => Err(Denied::Unknown),
        }
    };
    if let Some(value) = one(AUTHORIZATION.as_str())? {
        let (scheme, rest) = value.split_at_checked(7).ok_or(Denied::Unknown)?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
        return is_bearer.then_some(rest.trim_ascii()).ok_or(Denied::Unknown);
    }
    one("x-api-key")?.map(<[u8]>::trim_ascii).ok_or(Denied::Missing)
}

/// Where keys are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// There are none.
    Nowhere,
    /// A file that only its owner may read.
    File(PathBuf),
    /// A credential of systemd, whose folder only the service may read.
    Credential(PathBuf),
}

impl KeySource {
    /// `file` if there is one; otherwise systemd's credential, if `credentials` (`$CREDENTIALS_DIRECTORY`) has it.
    pub fn choose(file: Option<&Path>, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        match (file, credential) {
            (Some(file), _) => KeySource::File(file.to_owned()),
            (None, Some(path)) if path.exists() => KeySource::Credential(path),
            _ => KeySource::Nowhere,
        }
    }

    fn read(&self) -> Result<KeySet, KeysError> {
        let (path, private) = match self {
            KeySource::Nowhere => return Ok(KeySet::default()),
            KeySource::File(path) => (path, true),
            KeySource::Credential(path) => (path, false),
        };
        let path = path.as_path();
        if private {
            check_owner(path)?;
        }
        let text = files::read_text(path, MAX_FILE)?;
        KeySet::parse(&text).map_err(|source| KeysError::Line {
            path: path.to_owned(),
            source,
        })
    }
}

/// Nobody else may read the file, and nobody else may have written it.
fn check_owner(path: &Path) -> Result<(), KeysError> {
    let file = files::open(path)?;
    let stat = fstat(&file).map_err(|error| FileError::Io {
        path: path.to_owned(),
        source: error.into(),
    })?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let me = rustix::process::geteuid().as_raw();
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        return Err(KeysError::Open {
            path: path.to_owned(),
            mode: mode.bits() & 0o777,
        });
    }
    if stat.st_uid != me && stat.st_uid != 0 {
        return Err(KeysError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
        });
    }
    Ok(())
}

/// Keys cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Others may read or write the file.
    #[error("{}: other users may read or write it (mode {mode:03o}); run chmod 600 on it", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("{}: belongs to user {owner}, not to this one; run chown on it", path.display())]
    Owner {
        /// Path of the file.
        path: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// A line is not a key.
    #[error("{}: {source}", path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        source: KeyLineError,
    },
}

/// The keys in use; they can be read again while the service runs.
#[derive(Debug)]
pub struct Keys {
    source: KeySource,
    set: RwLock<Arc<KeySet>>,
}

impl Keys {
    /// Reads the keys.
    ///
    /// # Errors
    /// The file cannot be read, is open to others, or has a line that is not a key.
    pub fn load(source: KeySource) -> Result<Self, KeysError> {
        let set = source.read()?;
        Ok(Keys {
            source,
            set: RwLock::new(Arc::new(set)),
        })
    }

    /// These keys and no file.
    #[cfg(any(feature = "fuzzing", test))]
    pub(crate) fn fixed(set: KeySet) -> Self {
        Keys {
            source: KeySource::Nowhere,
            set: RwLock::new(Arc::new(set)),
        }
    }

    /// Reads the keys again and returns their number. Requests that run are not affected.
    ///
    /// # Errors
    /// As [`Keys::load`]; the keys that were in use stay in use.
    pub fn reload(&self) -> Result<usize, KeysError> {
        let set = Arc::new(self.source.read()?);
        let count = set.len();
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = set;
        Ok(count)
    }

    /// The keys now in use.
    pub fn now(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the keys come from.
    pub fn source(&self) -> &KeySource {
        &self.source
    }
}

#[cfg(test)]
mod tests;
