//! The search for the scales of a row.

use std::fmt;
use std::str::FromStr;

use super::lanes::Isa;
use super::{refine, weighted};
use siskin_model::TensorType;

/// Effort of the search for scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// ggml's own search; the bytes are identical.
    #[default]
    Normal,
    /// A wider search: takes several times as long, with less error.
    High,
}

impl Effort {
    /// Every effort, lowest first.
    pub const ALL: [Effort; 2] = [Effort::Normal, Effort::High];

    /// The effort's name, e.g. `high`.
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
    type Err = UnknownEffort;

    fn from_str(text: &str) -> Result<Self, UnknownEffort> {
        let known = Effort::ALL.into_iter().find(|effort| effort.name() == text);
        known.ok_or_else(|| UnknownEffort(text.to_owned()))
    }
}

/// A name that no effort has; [`Effort`]'s `FromStr` gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown effort {0:?}; known: {known}", known = Effort::ALL.map(Effort::name).join(", "))]
pub struct UnknownEffort(pub String);

/// Settings of a search for scales.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search<'a> {
    /// Effort of the search.
    pub effort: Effort,
    /// How much an error counts in each column, one value per weight of a row: the mean square of the
    /// column's inputs, from an importance matrix. With `None`, the magnitude of the weights decides.
    pub importance: Option<&'a [f32]>,
}

impl Search<'_> {
    /// Quantizes whole rows; with default settings, the result is that of [`super::quantize_row`].
    ///
    /// # Panics
    /// Like [`super::quantize_row`], and if `src` is not a whole number of rows with the length of the
    /// importance.
    pub fn quantize_row(self, ty: TensorType, src: &[f32], dst: &mut [u8]) {
        self.quantize_row_with(Isa::best(), ty, src, dst);
    }

    /// Like [`Self::quantize_row`], with the instruction set `isa`; the bytes are the same on each.
    ///
    /// # Panics
    /// Like [`Self::quantize_row`].
    pub fn quantize_row_with(self, isa: Isa, ty: TensorType, src: &[f32], dst: &mut [u8]) {
        match (self.effort, self.importance) {
            _ if !weighted::supports(ty) => super::quantize_row_with(isa, ty, src, dst),
            (Effort::High, importance) => refine::quantize_rows(isa, ty, importance, src, dst),
            (Effort::Normal, Some(importance)) => weighted::quantize_rows(isa, ty, importance, src, dst),
            (Effort::Normal, None) => super::quantize_row_with(isa, ty, src, dst),
        }
    }
}
