//! How the scales of a row are looked for.

use std::fmt;
use std::str::FromStr;

use super::lanes::Isa;
use super::{refine, weighted};
use siskin_model::TensorType;

/// How hard a search for scales works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// ggml's own search, to its bytes.
    #[default]
    Normal,
    /// A wider one: several times the time, less error.
    High,
}

impl Effort {
    /// Every effort, the least first.
    pub const ALL: [Effort; 2] = [Effort::Normal, Effort::High];

    /// The name, e.g. `high`.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Normal => "normal",
            Effort::High => "high",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Effort::ALL.into_iter().find(|effort| effort.name() == text);
        known.ok_or_else(|| {
            format!(
                "unknown effort {text:?}; known: {}",
                Effort::ALL.map(Effort::name).join(", ")
            )
        })
    }
}

/// What a search for scales goes by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search<'a> {
    /// How hard it works.
    pub effort: Effort,
    /// How much an error counts in each column, one value a weight of a row: the mean square of the column's
    /// inputs, as an importance matrix has it. `None` counts by the weights' own magnitude.
    pub importance: Option<&'a [f32]>,
}

impl Search<'_> {
    /// Quantizes whole rows; by default as [`super::quantize_row`] does.
    ///
    /// # Panics
    /// As [`super::quantize_row`], and where `src` is not a whole number of rows of the importance's length.
    pub fn quantize_row(self, ty: TensorType, src: &[f32], dst: &mut [u8]) {
        self.quantize_row_with(Isa::best(), ty, src, dst);
    }

    /// [`Self::quantize_row`] on the instruction set `isa`: the bytes are the same on each.
    ///
    /// # Panics
    /// As [`Self::quantize_row`].
    pub fn quantize_row_with(self, isa: Isa, ty: TensorType, src: &[f32], dst: &mut [u8]) {
        match (self.effort, self.importance) {
            _ if !weighted::supports(ty) => super::quantize_row_with(isa, ty, src, dst),
            (Effort::High, importance) => refine::quantize_rows(isa, ty, importance, src, dst),
            (Effort::Normal, Some(importance)) => weighted::quantize_rows(isa, ty, importance, src, dst),
            (Effort::Normal, None) => super::quantize_row_with(isa, ty, src, dst),
        }
    }
}
