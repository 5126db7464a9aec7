//! How a KV cache stores its numbers.

use serde::{Deserialize, Serialize};

/// The type of keys and values in the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheType {
    /// 4 bytes a number: for comparisons with references that compute in f32.
    F32,
    /// 2 bytes a number: llama.cpp's default.
    F16,
    /// 34 bytes for 32 numbers; needs flash attention.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 18 bytes for 32 numbers; needs flash attention.
    #[serde(rename = "q4_0")]
    Q4_0,
}

impl CacheType {
    /// Every type, the most exact first.
    pub const ALL: [CacheType; 4] = [CacheType::F32, CacheType::F16, CacheType::Q8_0, CacheType::Q4_0];

    /// The name, as llama.cpp's `--cache-type-k` takes it.
    pub fn name(self) -> &'static str {
        match self {
            CacheType::F32 => "f32",
            CacheType::F16 => "f16",
            CacheType::Q8_0 => "q8_0",
            CacheType::Q4_0 => "q4_0",
        }
    }

    /// True if numbers are stored in blocks of 32 that share a scale.
    pub fn is_quantized(self) -> bool {
        matches!(self, CacheType::Q8_0 | CacheType::Q4_0)
    }

    /// Bytes of `count` numbers; a block that is not full takes as much as a full one.
    pub fn bytes(self, count: u64) -> u64 {
        match self {
            CacheType::F32 => count.saturating_mul(4),
            CacheType::F16 => count.saturating_mul(2),
            CacheType::Q8_0 => count.div_ceil(32).saturating_mul(34),
            CacheType::Q4_0 => count.div_ceil(32).saturating_mul(18),
        }
    }
}

/// A name that no type of the KV cache has; [`CacheType`]'s `FromStr` gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cache type {0:?}; known: {known}", known = CacheType::ALL.map(CacheType::name).join(", "))]
pub struct UnknownCacheType(pub String);

impl std::str::FromStr for CacheType {
    type Err = UnknownCacheType;

    fn from_str(text: &str) -> Result<Self, UnknownCacheType> {
        let mut all = CacheType::ALL.into_iter();
        all.find(|ty| ty.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownCacheType(text.to_owned()))
    }
}

impl std::fmt::Display for CacheType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_serdes_and_sizes_are_ggmls() {
        let cases = [
            (CacheType::F32, "f32", 128),
            (CacheType::F16, "f16", 64),
            (CacheType::Q8_0, "q8_0", 34),
            (CacheType::Q4_0, "q4_0", 18),
        ];
        assert_eq!(CacheType::ALL, cases.map(|row| row.0));
        for (ty, name, bytes) in cases {
            assert_eq!((ty.name(), ty.bytes(32)), (name, bytes));
            assert_eq!(serde_json::to_value(ty).expect("a name"), name);
            assert_eq!(name.to_uppercase().parse(), Ok(ty));
            assert!(ty.bytes(33) > ty.bytes(32));
        }
    }
}
