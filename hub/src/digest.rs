//! Digests by which servers name content, and files being hashed as they arrive.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file's bytes must give.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256 of the bytes.
    Sha256([u8; 32]),
    /// SHA-1 as Git names a blob: of `blob LENGTH\0` and the bytes.
    Git([u8; 20]),
}

impl Digest {
    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    pub fn sha256(text: &str) -> Option<Self> {
        hex_bytes(text.strip_prefix("sha256:").unwrap_or(text)).map(Self::Sha256)
    }

    /// Reads 40 hexadecimal digits, a Git blob's name.
    pub fn git(text: &str) -> Option<Self> {
        hex_bytes(text).map(Self::Git)
    }

    /// The digits: what the hub's cache calls a file's ETag.
    pub fn hex(&self) -> String {
        match self {
            Digest::Sha256(bytes) => hex(bytes),
            Digest::Git(bytes) => hex(bytes),
        }
    }

    /// The digest of the same kind of `bytes`.
    pub fn of_same_kind(&self, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(self, bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Digest::Sha256(_) => "sha256",
            Digest::Git(_) => "git",
        };
        write!(f, "{kind}:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes bytes one piece after the other.
#[derive(Debug, Clone)]
pub struct Hasher(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    /// A hasher that gives the kind of `expected`, for a file of `len` bytes.
    pub fn new(expected: &Digest, len: u64) -> Self {
        Hasher(match expected {
            Digest::Sha256(_) => Kind::Sha256(Sha256::new()),
            Digest::Git(_) => Kind::Git(Sha1::new_with_prefix(format!("blob {len}\0"))),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Sha256(hasher) => hasher.update(bytes),
            Kind::Git(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Digest {
        match self.0 {
            Kind::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Kind::Git(hasher) => Digest::Git(hasher.finalize().into()),
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes from hexadecimal digits.
pub fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_sha256sum() {
        // printf 'hello\n' | git hash-object --stdin; printf 'hello\n' | sha256sum
        let git = Digest::git("ce013625030ba8dba906f756967f9e9ca394464a").expect("digits");
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let sha = Digest::sha256(&format!("sha256:{sha}")).expect("digits");
        for expected in [git, sha] {
            assert_eq!(expected.of_same_kind(b"hello\n"), expected);
            assert_ne!(expected.of_same_kind(b"hello"), expected);
        }
        for text in [
            "",
            "ce01",
            "zz013625030ba8dba906f756967f9e9ca394464a",
            "äöüäöüäöüäöüäöüäöüäö",
        ] {
            assert_eq!(Digest::git(text), None, "{text}");
        }
    }
}
