//! Digests, and new keys.

use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

use super::parse::{LineProblem, check_name};

/// What a key begins with, so that programs that look for secrets find it.
const PREFIX: &str = "sk-siskin-";

/// The randomness in a key, in bytes.
const RANDOM: usize = 24;

/// A key that has just been made.
pub struct NewKey {
    /// The line for the file of keys.
    pub line: String,
    /// The key itself, which is nowhere else.
    pub secret: String,
}

/// A new key cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewKeyError {
    /// The name cannot be one.
    #[error("{0}")]
    Name(LineProblem),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(std::io::Error),
}

/// Makes a key that may compute. Its roles are edited in the line.
///
/// # Errors
/// The name has characters that a name cannot have, or the system gives no random bytes.
pub fn new_key(name: &str) -> Result<NewKey, NewKeyError> {
    check_name(name).map_err(NewKeyError::Name)?;
    let mut bytes = [0; RANDOM];
    // Up to 256 bytes are given at once, and not before the system has collected enough (getrandom(2)).
    let count =
        getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| NewKeyError::Random(error.into()))?;
    if count != RANDOM {
        return Err(NewKeyError::Random(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let secret = format!("{PREFIX}{}", hex(&bytes));
    let line = format!("{name} infer sha256:{}", hex(&digest(secret.as_bytes())));
    Ok(NewKey { line, secret })
}

/// The SHA-256 of bytes.
pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 hexadecimal digits as 32 bytes.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
