//! The type of a whole file, as `general.file_type` and users name it.

use std::fmt;
use std::str::FromStr;

use crate::TensorType;

/// The type of a whole file: a single tensor type, or a mix based on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are llama.cpp's
pub enum FileType {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q6K,
    Q5KM,
    Q5KS,
    Q4KM,
    Q4KS,
    Q4_0,
}

/// The file type, its name, llama.cpp's number for it (`enum llama_ftype`), the type of most of its tensors.
type Row = (FileType, &'static str, u32, TensorType);

/// Every file type, largest first.
const TABLE: [Row; 10] = [
    (FileType::F32, "f32", 0, TensorType::F32),
    (FileType::F16, "f16", 1, TensorType::F16),
    (FileType::Bf16, "bf16", 32, TensorType::Bf16),
    (FileType::Q8_0, "q8_0", 7, TensorType::Q8_0),
    (FileType::Q6K, "q6_k", 18, TensorType::Q6K),
    (FileType::Q5KM, "q5_k_m", 17, TensorType::Q5K),
    (FileType::Q5KS, "q5_k_s", 16, TensorType::Q5K),
    (FileType::Q4KM, "q4_k_m", 15, TensorType::Q4K),
    (FileType::Q4KS, "q4_k_s", 14, TensorType::Q4K),
    (FileType::Q4_0, "q4_0", 2, TensorType::Q4_0),
];

/// llama.cpp's number and name of the file types that siskin only reads, by number (`enum llama_ftype` of llama.h).
const READ_ONLY: [(u32, &str); 29] = [
    (3, "q4_1"),
    (8, "q5_0"),
    (9, "q5_1"),
    (10, "q2_k"),
    (11, "q3_k_s"),
    (12, "q3_k_m"),
    (13, "q3_k_l"),
    (19, "iq2_xxs"),
    (20, "iq2_xs"),
    (21, "q2_k_s"),
    (22, "iq3_xs"),
    (23, "iq3_xxs"),
    (24, "iq1_s"),
    (25, "iq4_nl"),
    (26, "iq3_s"),
    (27, "iq3_m"),
    (28, "iq2_s"),
    (29, "iq2_m"),
    (30, "iq4_xs"),
    (31, "iq1_m"),
    (33, "q4_0_4_4"),
    (34, "q4_0_4_8"),
    (35, "q4_0_8_8"),
    (36, "tq1_0"),
    (37, "tq2_0"),
    (38, "mxfp4_moe"),
    (39, "nvfp4"),
    (40, "q1_0"),
    (41, "q2_0"),
];

/// llama.cpp sets this bit if it guessed a file's type.
const GUESSED: u32 = 1024;

/// The name of a file type by llama.cpp's number for it, also of those that siskin does not write. `None` if llama.cpp
/// has no such type.
pub fn file_type_name(id: u32) -> Option<&'static str> {
    let id = id & !GUESSED;
    let read_only = || READ_ONLY.iter().find(|row| row.0 == id).map(|row| row.1);
    FileType::from_id(id).map(FileType::name).or_else(read_only)
}

impl FileType {
    /// Every file type, largest first.
    pub fn all() -> impl Iterator<Item = FileType> {
        TABLE.iter().map(|row| row.0)
    }

    /// The type at the end of a name, after `-`, `.` or `_` and in upper or lower case, and what is before it: `tinyllama`
    /// and q4_k_m of `tinyllama-Q4_K_M`. `None` if it ends with no type, or is nothing else.
    pub fn at_end_of(name: &str) -> Option<(&str, FileType)> {
        FileType::all().find_map(|ty| {
            let (before, end) = name.split_at_checked(name.len().checked_sub(ty.name().len())?)?;
            let before = before.strip_suffix(['-', '.', '_'])?;
            (end.eq_ignore_ascii_case(ty.name()) && !before.is_empty()).then_some((before, ty))
        })
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The file type's name, e.g. `q4_k_m`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The value of `general.file_type`.
    pub fn id(self) -> u32 {
        self.row().2
    }

    /// Returns the file type with llama.cpp's number `id`, or `None` if siskin cannot write it.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// The type of most tensors.
    pub fn base(self) -> TensorType {
        self.row().3
    }

    /// True if tensors are stored in blocks of quantized weights.
    pub fn is_quantized(self) -> bool {
        !self.base().is_float()
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl serde::Serialize for FileType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for FileType {
    type Err = UnknownFileType;

    fn from_str(text: &str) -> Result<Self, UnknownFileType> {
        let row = TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(text));
        row.map(|row| row.0)
            .ok_or_else(|| UnknownFileType(text.to_owned()))
    }
}

/// A name that no file type has; [`FileType`]'s `FromStr` gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type {0:?}; known: {known}", known = TABLE.map(|row| row.1).join(", "))]
pub struct UnknownFileType(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_name() {
        assert!(READ_ONLY.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (id, name) in READ_ONLY {
            assert_eq!(FileType::from_id(id), None, "{name}");
            assert!(name.parse::<FileType>().is_err(), "{name}");
            assert_eq!(file_type_name(id), Some(name));
        }
        let names = [
            (15, Some("q4_k_m")),
            (3, Some("q4_1")),
            (1024 + 8, Some("q5_0")),
            (4, None),
            (99, None),
            (u32::MAX, None),
        ];
        for (id, want) in names {
            assert_eq!(file_type_name(id), want, "{id}");
        }
    }

    #[test]
    fn rows_stand_at_their_number_and_names_parse() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i, "{}", row.1);
            assert_eq!(row.1.parse(), Ok(row.0));
            assert_eq!(row.1.to_uppercase().parse(), Ok(row.0));
            assert_eq!(FileType::from_id(row.2), Some(row.0));
        }
        let error = "q9".parse::<FileType>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown type \"q9\"; known: f32, f16, bf16"),
            "{error}"
        );
    }
}
