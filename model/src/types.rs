//! Every tensor type that a GGUF file may contain, and its size in bytes.
//!
//! Source: ggml's `enum ggml_type` and the block sizes in `ggml-common.h`. A type listed here need not be one
//! that siskin can quantize to: the block formats are in `block`.

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
    /// 32 weights: f16 scale and sum, 8-bit values; ggml uses it only for activations.
    Q8_1 = 9,
    /// 256 weights in 16 sub-blocks with 4-bit scales and minimums, 2-bit values.
    Q2K = 10,
    /// 256 weights in 16 sub-blocks with 6-bit scales, 3-bit values.
    Q3K = 11,
    /// 256 weights in 8 sub-blocks with 6-bit scales and minimums, 4-bit values.
    Q4K = 12,
    /// 256 weights in 8 sub-blocks with 6-bit scales and minimums, 5-bit values.
    Q5K = 13,
    /// 256 weights in 16 sub-blocks with 8-bit scales, 6-bit values.
    Q6K = 14,
    /// 256 weights: f32 scale, 8-bit values, sums of 16; ggml uses it only for activations.
    Q8K = 15,
    /// 256 weights from a lattice, 2.06 bits each.
    Iq2Xxs = 16,
    /// 256 weights from a lattice, 2.31 bits each.
    Iq2Xs = 17,
    /// 256 weights from a lattice, 3.06 bits each.
    Iq3Xxs = 18,
    /// 256 weights from a lattice, 1.56 bits each.
    Iq1S = 19,
    /// 32 weights: f16 scale, 4-bit indices into an uneven table.
    Iq4Nl = 20,
    /// 256 weights from a lattice, 3.44 bits each.
    Iq3S = 21,
    /// 256 weights from a lattice, 2.56 bits each.
    Iq2S = 22,
    /// 256 weights in 8 sub-blocks with 6-bit scales, 4-bit indices into an uneven table.
    Iq4Xs = 23,
    /// 8-bit integer.
    I8 = 24,
    /// 16-bit integer.
    I16 = 25,
    /// 32-bit integer.
    I32 = 26,
    /// 64-bit integer.
    I64 = 27,
    /// 64-bit IEEE float.
    F64 = 28,
    /// 256 weights from a lattice, 1.75 bits each.
    Iq1M = 29,
    /// The upper half of a 32-bit float.
    Bf16 = 30,
    /// 256 ternary weights, 1.69 bits each.
    Tq1_0 = 34,
    /// 256 ternary weights, 2.06 bits each.
    Tq2_0 = 35,
    /// 32 weights: 8-bit exponent, 4-bit floats.
    Mxfp4 = 39,
    /// 64 weights in 4 sub-blocks with 8-bit float scales, 4-bit floats.
    Nvfp4 = 40,
    /// 128 weights: f16 scale, 1-bit values.
    Q1_0 = 41,
    /// 64 weights: f16 scale, 2-bit values.
    Q2_0 = 42,
}

/// One row of the table: the type, its name, weights per block, bytes per block.
type Row = (TensorType, &'static str, u64, u64);

/// Every type, ordered by number.
const TABLE: [Row; 35] = [
    (TensorType::F32, "f32", 1, 4),
    (TensorType::F16, "f16", 1, 2),
    (TensorType::Q4_0, "q4_0", 32, 18),
    (TensorType::Q4_1, "q4_1", 32, 20),
    (TensorType::Q5_0, "q5_0", 32, 22),
    (TensorType::Q5_1, "q5_1", 32, 24),
    (TensorType::Q8_0, "q8_0", 32, 34),
    (TensorType::Q8_1, "q8_1", 32, 36),
    (TensorType::Q2K, "q2_K", 256, 84),
    (TensorType::Q3K, "q3_K", 256, 110),
    (TensorType::Q4K, "q4_K", 256, 144),
    (TensorType::Q5K, "q5_K", 256, 176),
    (TensorType::Q6K, "q6_K", 256, 210),
    (TensorType::Q8K, "q8_K", 256, 292),
    (TensorType::Iq2Xxs, "iq2_xxs", 256, 66),
    (TensorType::Iq2Xs, "iq2_xs", 256, 74),
    (TensorType::Iq3Xxs, "iq3_xxs", 256, 98),
    (TensorType::Iq1S, "iq1_s", 256, 50),
    (TensorType::Iq4Nl, "iq4_nl", 32, 18),
    (TensorType::Iq3S, "iq3_s", 256, 110),
    (TensorType::Iq2S, "iq2_s", 256, 82),
    (TensorType::Iq4Xs, "iq4_xs", 256, 136),
    (TensorType::I8, "i8", 1, 1),
    (TensorType::I16, "i16", 1, 2),
    (TensorType::I32, "i32", 1, 4),
    (TensorType::I64, "i64", 1, 8),
    (TensorType::F64, "f64", 1, 8),
    (TensorType::Iq1M, "iq1_m", 256, 56),
    (TensorType::Bf16, "bf16", 1, 2),
    (TensorType::Tq1_0, "tq1_0", 256, 54),
    (TensorType::Tq2_0, "tq2_0", 256, 66),
    (TensorType::Mxfp4, "mxfp4", 32, 17),
    (TensorType::Nvfp4, "nvfp4", 64, 36),
    (TensorType::Q1_0, "q1_0", 128, 18),
    (TensorType::Q2_0, "q2_0", 64, 18),
];

impl TensorType {
    /// Every type, ordered by number.
    pub fn all() -> impl Iterator<Item = TensorType> {
        TABLE.iter().map(|row| row.0)
    }

    /// Returns the type with ggml's number `id`, or `None` if ggml has no such type.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().map(|row| row.0).find(|ty| *ty as u32 == id)
    }

    /// ggml's number for this type.
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

    /// Weights per block; 1 for floats and integers.
    pub fn block_len(self) -> u64 {
        self.row().2
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> u64 {
        self.row().3
    }

    /// True for f32, f16 and bf16.
    pub fn is_float(self) -> bool {
        matches!(self, TensorType::F32 | TensorType::F16 | TensorType::Bf16)
    }

    /// True if weights are stored in blocks with a common scale.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Bytes of a row of `len` weights; `None` if `len` is not a whole number of blocks, or on overflow.
    pub fn row_bytes(self, len: u64) -> Option<u64> {
        if !len.is_multiple_of(self.block_len()) {
            return None;
        }
        (len / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Bytes of a tensor whose innermost dimension is `shape[0]` (ggml's order); `None` as for
    /// [`Self::row_bytes`], or if `shape` is empty.
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
    type Err = UnknownTensorType;

    fn from_str(text: &str) -> Result<Self, UnknownTensorType> {
        let row = TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(text));
        row.map(|row| row.0)
            .ok_or_else(|| UnknownTensorType(text.to_owned()))
    }
}

/// A name that no tensor type has; [`TensorType`]'s `FromStr` gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown tensor type {0:?}; known: {known}", known = TABLE.map(|row| row.1).join(", "))]
pub struct UnknownTensorType(pub String);

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
