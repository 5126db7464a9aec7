//! The manifest of an entry: what its state is of, and how the state must look. Numbers are little-endian.
//!
//! ```text
//! "SISKPREF", format version                                        8 bytes, u32
//! key, namespace                                                    32 bytes, u64
//! time saved (Unix seconds), milliseconds that computing took       u64, u32
//! uses before it was saved                                          u32
//! bytes of the state, SHA-256 of the state                          u64, 32 bytes
//! version of the software: length, UTF-8                            u16, bytes
//! number of tokens, tokens                                          u32, u32 each
//! SHA-256 of all before                                             32 bytes
//! ```

use sha2::{Digest, Sha256};

use super::key::{KeyId, Scope};

const MAGIC: &[u8; 8] = b"SISKPREF";
const FORMAT: u32 = 1;
/// The most tokens of an entry.
pub(super) const MAX_TOKENS: usize = 1 << 18;
/// The most bytes of a manifest.
pub(super) const MAX_BYTES: u64 = 4 * (MAX_TOKENS as u64) + (1 << 17);

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) scope: Scope,
    /// Unix seconds.
    pub(super) saved: u64,
    /// What computing the prefix took, in milliseconds.
    pub(super) cost_ms: u32,
    /// Uses before it was saved.
    pub(super) hits: u32,
    /// Bytes of the state.
    pub(super) bytes: u64,
    /// The state's digest.
    pub(super) digest: [u8; 32],
    /// The software that wrote it.
    pub(super) version: String,
    pub(super) tokens: Vec<u32>,
}

/// Why a manifest is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not what was written.
    Damaged,
    /// It has a format that this version does not know.
    Format,
}

/// The name of an entry: 32 hexadecimal digits, which follow from what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u128);

impl EntryId {
    pub(super) fn new(scope: &Scope, tokens: &[u32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(scope.key.0);
        hash.update(scope.namespace.to_le_bytes());
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        let digest: [u8; 32] = hash.finalize().into();
        EntryId(
            digest
                .iter()
                .take(16)
                .fold(0, |id, byte| id << 8 | u128::from(*byte)),
        )
    }

    /// The identity that a name has.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let is_ours = name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_ours
            .then(|| u128::from_str_radix(name, 16).ok().map(EntryId))
            .flatten()
    }

    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        EntryId(u128::from_le_bytes(bytes))
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Manifest {
    pub(super) fn id(&self) -> EntryId {
        EntryId::new(&self.scope, &self.tokens)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * self.tokens.len() + 256);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(self.scope.key.0);
        bytes.extend(self.scope.namespace.to_le_bytes());
        bytes.extend(self.saved.to_le_bytes());
        bytes.extend(self.cost_ms.to_le_bytes());
        bytes.extend(self.hits.to_le_bytes());
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend(self.digest);
        let version = self.version.as_bytes();
        let version = &version[..version.len().min(usize::from(u16::MAX))];
        bytes.extend(u16::try_from(version.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend(version);
        bytes.extend(u32::try_from(self.tokens.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.tokens
            .iter()
            .for_each(|token| bytes.extend(token.to_le_bytes()));
        seal(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        // A format to come may be sealed in another way, so it is looked at first.
        let mut fields = Fields(bytes);
        if fields.take::<8>()? != *MAGIC {
            return Err(Flaw::Damaged);
        }
        if fields.u32()? != FORMAT {
            return Err(Flaw::Format);
        }
        let mut fields = Fields(
            unseal(bytes)
                .ok_or(Flaw::Damaged)?
                .get(12..)
                .ok_or(Flaw::Damaged)?,
        );
        let key = KeyId(fields.take()?);
        let namespace = fields.u64()?;
        let (saved, cost_ms, hits) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let (len, digest) = (fields.u64()?, fields.take()?);
        let version = usize::from(u16::from_le_bytes(fields.take()?));
        let version = String::from_utf8(fields.slice(version)?.to_vec()).map_err(|_| Flaw::Damaged)?;
        let count = usize::try_from(fields.u32()?).map_err(|_| Flaw::Damaged)?;
        if count > MAX_TOKENS || fields.0.len() != 4 * count {
            return Err(Flaw::Damaged);
        }
        let tokens = fields
            .0
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect();
        Ok(Manifest {
            scope: Scope { key, namespace },
            saved,
            cost_ms,
            hits,
            bytes: len,
            digest,
            version,
            tokens,
        })
    }
}

/// Takes any bytes, as they are and with a digest that fits; whether they are a manifest. What is read is written again as
/// it was.
#[cfg(any(feature = "fuzzing", test))]
pub(crate) fn take_manifest(bytes: &[u8]) -> bool {
    let sealed = seal(bytes.to_vec());
    let read = [bytes, &sealed].map(|bytes| match Manifest::decode(bytes) {
        Ok(manifest) => {
            assert_eq!(manifest.encode(), bytes);
            let id = manifest.id();
            assert_eq!(EntryId::parse(&id.to_string()), Some(id));
            true
        }
        Err(_) => false,
    });
    if let Ok(name) = std::str::from_utf8(bytes)
        && let Some(id) = EntryId::parse(name)
    {
        assert_eq!(id.to_string(), name);
    }
    read.contains(&true)
}

/// Bytes with their digest after them.
pub(super) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// The bytes before a digest, if it is theirs.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    (<[u8; 32]>::from(Sha256::digest(content)) == *digest).then_some(content)
}

/// What is left to decode.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Flaw::Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let (first, rest) = self.0.split_at_checked(len).ok_or(Flaw::Damaged)?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Flaw> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Flaw> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            scope: Scope {
                key: KeyId([3; 32]),
                namespace: 9,
            },
            saved: 1_700_000_000,
            cost_ms: 8400,
            hits: 2,
            bytes: 1 << 33,
            digest: [5; 32],
            version: "siskin 0.1.0, llama.cpp b1".into(),
            tokens: (0..300).map(|i| i * 77).collect(),
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        for tokens in [0, 1, 300] {
            let mut manifest = manifest();
            manifest.tokens.truncate(tokens);
            assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        }
    }

    #[test]
    fn no_bit_and_no_byte_of_it_can_be_another() {
        let whole = manifest().encode();
        for len in 0..whole.len() {
            assert_eq!(Manifest::decode(&whole[..len]), Err(Flaw::Damaged), "{len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            let want = match at {
                8..12 => Flaw::Format,
                _ => Flaw::Damaged,
            };
            assert_eq!(Manifest::decode(&flipped), Err(want), "{at}");
        }
        assert!(Manifest::decode(&[&whole[..], &[0]].concat()).is_err());
    }

    /// A digest that is right does not make lengths right.
    #[test]
    fn lengths_that_lie_are_refused() {
        let whole = manifest().encode();
        let content = &whole[..whole.len() - 32];
        let version = 12 + 32 + 8 + 8 + 4 + 4 + 8 + 32;
        let count = version + 2 + manifest().version.len();
        for (at, bytes) in [
            (version, &[0xff, 0xff][..]),
            (version, &[0, 0]),
            (count, &[0xff; 4]),
            (count, &[0; 4]),
            (version + 2, &[0xff]),
        ] {
            let mut content = content.to_vec();
            content[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(Manifest::decode(&seal(content)), Err(Flaw::Damaged), "{at}");
        }
    }

    #[test]
    fn names_are_hexadecimal_digits_and_nothing_else() {
        let id = manifest().id();
        assert_eq!(EntryId::parse(&id.to_string()), Some(id));
        assert_eq!(EntryId::from_bytes(id.to_bytes()), id);
        let upper = id.to_string().to_uppercase();
        for name in [
            "",
            "0",
            "../../../../../../../../etc/passwd",
            "+0000000000000000000000000000001",
            &upper,
        ] {
            assert_eq!(EntryId::parse(name), None, "{name}");
        }
        let other = Scope {
            namespace: 10,
            ..manifest().scope
        };
        assert_ne!(EntryId::new(&other, &manifest().tokens), id);
    }
}
