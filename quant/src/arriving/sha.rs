//! SHA-256 that another process can continue: its state after any multiple of 64 bytes is data.
//!
//! The computation is that of the crate `sha2`, which has no such state in version 0.10; its compression function is
//! public. Format of the state and the padding: FIPS 180-4, sections 5.1.1 and 6.2.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::digest::core_api::Block;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 64;
/// Blocks that are compressed in one call.
const AT_ONCE: usize = 32;
/// The state before the first block.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// 32 bytes: a hash, or the words of a state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Hash {
    /// Reads 64 hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| (digit as char).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Hash(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hash::parse(&text).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// The state of a computation after the first `at` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Midstate {
    /// A multiple of 64.
    pub(super) at: u64,
    /// The eight words, most significant byte first.
    pub(super) state: Hash,
}

impl Midstate {
    /// Before the first byte.
    pub(super) fn start() -> Self {
        Sha256::new().midstate()
    }
}

/// A computation.
#[derive(Debug, Clone)]
pub(super) struct Sha256 {
    state: [u32; 8],
    /// Bytes so far.
    len: u64,
    /// The last `len % 64` of them.
    rest: [u8; BLOCK as usize],
}

impl Sha256 {
    pub(super) fn new() -> Self {
        Sha256 {
            state: INITIAL,
            len: 0,
            rest: [0; BLOCK as usize],
        }
    }

    /// Continues a computation.
    pub(super) fn from_midstate(midstate: &Midstate) -> Self {
        let mut sha = Self::new();
        sha.len = midstate.at - midstate.at % BLOCK;
        for (word, bytes) in sha.state.iter_mut().zip(midstate.state.0.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        sha
    }

    /// The state after the last whole block.
    pub(super) fn midstate(&self) -> Midstate {
        Midstate {
            at: self.len - self.len % BLOCK,
            state: self.words(),
        }
    }

    fn words(&self) -> Hash {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Hash(bytes)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let filled = (self.len % BLOCK) as usize;
        self.len += bytes.len() as u64;
        if filled > 0 {
            let taken = bytes.len().min(self.rest.len() - filled);
            let (first, others) = bytes.split_at(taken);
            self.rest[filled..filled + taken].copy_from_slice(first);
            bytes = others;
            if filled + taken < self.rest.len() {
                return;
            }
            let block = self.rest;
            self.compress(&block);
        }
        let whole = bytes.len() - bytes.len() % BLOCK as usize;
        self.compress(&bytes[..whole]);
        let rest = &bytes[whole..];
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    /// Takes whole blocks.
    fn compress(&mut self, bytes: &[u8]) {
        let mut blocks: [Block<sha2::Sha256>; AT_ONCE] = [Default::default(); AT_ONCE];
        for bytes in bytes.chunks(AT_ONCE * BLOCK as usize) {
            let mut count = 0;
            for (block, bytes) in blocks.iter_mut().zip(bytes.chunks_exact(BLOCK as usize)) {
                block.copy_from_slice(bytes);
                count += 1;
            }
            sha2::compress256(&mut self.state, &blocks[..count]);
        }
    }

    /// The hash of all bytes.
    pub(super) fn finish(mut self) -> Hash {
        let bits = self.len.wrapping_mul(8);
        self.update(&[0x80]);
        let zeros = (BLOCK + 56 - self.len % BLOCK) % BLOCK;
        self.update(&[0; BLOCK as usize][..zeros as usize]);
        self.update(&bits.to_be_bytes());
        self.words()
    }
}

/// The hash of `bytes`.
pub(super) fn digest(bytes: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update(bytes);
    sha.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn it_is_sha256_however_the_bytes_are_cut() {
        let mut random = fastrand::Rng::with_seed(17);
        let bytes: Vec<u8> = (0..20_000).map(|_| random.u8(..)).collect();
        for round in 0..400 {
            let len = if round < 200 {
                round
            } else {
                random.usize(..bytes.len())
            };
            let want: [u8; 32] = sha2::Sha256::digest(&bytes[..len]).into();
            let mut sha = Sha256::new();
            let mut at = 0;
            while at < len {
                let end = (at + 1 + random.usize(..300)).min(len);
                sha.update(&bytes[at..end]);
                at = end;
                if random.bool() {
                    // Another process continues from what the journal has.
                    let text = serde_json::to_string(&sha.midstate()).expect("JSON");
                    let midstate: Midstate = serde_json::from_str(&text).expect("a midstate");
                    sha = Sha256::from_midstate(&midstate);
                    assert!(sha.len() <= at as u64 && at as u64 - sha.len() < BLOCK);
                    sha.update(&bytes[sha.len() as usize..at]);
                }
            }
            assert_eq!(sha.finish(), Hash(want), "{len}");
            assert_eq!(digest(&bytes[..len]), Hash(want));
        }
    }

    #[test]
    fn only_hexadecimal_digits_are_a_hash() {
        let good = "ab".repeat(32);
        assert_eq!(Hash::parse(&good), Some(Hash([0xab; 32])));
        for bad in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &"\u{e9}".repeat(32)] {
            assert_eq!(Hash::parse(bad), None, "{bad}");
        }
    }
}
