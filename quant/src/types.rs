//! The tensor types of GGUF that siskin knows, and how many bytes each takes.

use std::fmt;
use std::str::FromStr;

/// A tensor's storage type, numbered as in ggml (`enum ggml_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum TensorType {
    /// 32-bit IEEE float.
    F32 = 0,
    /// 16-bit IEEE float.
    F16 = 1,
    /// 32 weights: f16 scale, 4-bit values.
    Q4_0 = 2,
    /// 32 weights: f16 scale and minimum, 4-bit values.
    Q4_1 = 3,
    /// 32 weights: f16 scale, 5-bit values.
    Q5_0 = 6,
    /// 32 weights: f16 scale and minimum, 5-bit values.
    Q5_1 = 7,
    /// 32 weights: f16 scale, 8-bit values.
    Q8_0 = 8,
    /// 256 weights in 8 sub-blocks with 6-bit scales and minimums, 4-bit values.
    Q4K = 12,
    /// 256 weights in 8 sub-blocks with 6-bit scales and minimums, 5-bit values.
    Q5K = 13,
    /// 256 weights in 16 sub-blocks with 8-bit scales, 6-bit values.
    Q6K = 14,
    /// The upper half of a 32-bit float.
    Bf16 = 30,
}

/// One row of the table of types: the type, its name, weights a block, bytes a block.
type Row = (TensorType, &'static str, u64, u64);

/// Every type, ordered by number.
const TABLE: [Row; 11] = [
    (TensorType::F32, "f32", 1, 4),
    (TensorType::F16, "f16", 1, 2),
    (TensorType::Q4_0, "q4_0", 32, 18),
    (TensorType::Q4_1, "q4_1", 32, 20),
    (TensorType::Q5_0, "q5_0", 32, 22),
    (TensorType::Q5_1, "q5_1", 32, 24),
    (TensorType::Q8_0, "q8_0", 32, 34),
    (TensorType::Q4K, "q4_K", 256, 144),
    (TensorType::Q5K, "q5_K", 256, 176),
    (TensorType::Q6K, "q6_K", 256, 210),
    (TensorType::Bf16, "bf16", 1, 2),
];

impl TensorType {
    /// Every type, ordered by number.
    pub fn all() -> impl Iterator<Item = TensorType> {
        TABLE.iter().map(|row| row.0)
    }

    /// The type with ggml's number `id`, or `None` where siskin does not know it.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().map(|row| row.0).find(|ty| *ty as u32 == id)
    }

    /// ggml's number of this type.
    pub fn id(self) -> u32 {
        self as u32
    }

    fn row(self) -> &'static Row {
        &TABLE[TABLE
            .binary_search_by_key(&(self as u32), |row| row.0 as u32)
            .expect("the table holds every type")]
    }

    /// ggml's name, e.g. `q4_K`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// How many weights one block holds; 1 for the float types.
    pub fn block_len(self) -> u64 {
        self.row().2
    }

    /// How many bytes one block takes.
    pub fn block_bytes(self) -> u64 {
        self.row().3
    }

    /// True for f32, f16 and bf16.
    pub fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Bytes of a row of `len` weights; `None` where `len` is not a whole number of blocks, or on overflow.
    pub fn row_bytes(self, len: u64) -> Option<u64> {
        if !len.is_multiple_of(self.block_len()) {
            return None;
        }
        (len / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Bytes of a tensor whose innermost dimension is `shape[0]` (ggml's order); `None` as for [`Self::row_bytes`].
    pub fn tensor_bytes(self, shape: &[u64]) -> Option<u64> {
        let (&row, outer) = shape.split_first()?;
        outer
            .iter()
            .try_fold(self.row_bytes(row)?, |bytes, &n| bytes.checked_mul(n))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl serde::Serialize for TensorType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for TensorType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        TABLE
            .iter()
            .find(|row| row.1.eq_ignore_ascii_case(text))
            .map(|row| row.0)
            .ok_or_else(|| {
                format!(
                    "unknown tensor type {text:?}; known: {}",
                    TABLE.map(|row| row.1).join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        assert!(TABLE.windows(2).all(|w| (w[0].0 as u32) < w[1].0 as u32));
        for ty in TensorType::all() {
            assert_eq!(ty.name().parse(), Ok(ty));
            assert_eq!(TensorType::from_id(ty.id()), Some(ty));
        }
        assert_eq!(TensorType::from_id(4), None);
    }

    #[test]
    fn sizes() {
        let cases: &[(TensorType, &[u64], Option<u64>)] = &[
            (TensorType::F32, &[3, 2], Some(24)),
            (TensorType::Q4K, &[512, 3], Some(864)),
            (TensorType::Q4K, &[320], None),
            (TensorType::Q8_0, &[64, 0], Some(0)),
            (TensorType::F16, &[u64::MAX, 2], None),
            (TensorType::F16, &[], None),
        ];
        for (ty, shape, want) in cases {
            assert_eq!(ty.tensor_bytes(shape), *want, "{ty} {shape:?}");
        }
    }
}
