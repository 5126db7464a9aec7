//! How the scales of a row are looked for.

use super::lanes::Isa;
use super::weighted;
use crate::TensorType;

/// What a search for scales goes by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search<'a> {
    /// How much an error counts in each column, one value a weight of a row: the mean square of the column's
    /// inputs, as an importance matrix has it. `None` counts by the weights' own magnitude.
    pub importance: Option<&'a [f32]>,
}

impl Search<'_> {
    /// Quantizes whole rows; without importance as [`super::quantize_row`] does.
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
        match self.importance.filter(|_| weighted::supports(ty)) {
            Some(importance) => weighted::quantize_rows(isa, ty, importance, src, dst),
            None => super::quantize_row_with(isa, ty, src, dst),
        }
    }
}
