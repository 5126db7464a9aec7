//! Computes rows of one tensor: from stored rows to rows of the output.

use std::ops::Range;

use super::{StreamError, StreamOptions};
use crate::block::{self, Effort, Search};
use crate::plan::PlannedTensor;
use siskin_model::TensorType;

/// A worker's buffers for a piece; the next piece reuses them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The bytes of the piece, ready to be written.
    pub(crate) out: Vec<u8>,
    /// The source bytes of one run.
    pub(crate) stored: Vec<u8>,
    /// The f32 weights of one batch of rows.
    pub(crate) weights: Vec<f32>,
}

/// The sizes of the largest buffers that a plan's pieces need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Largest {
    /// Output bytes.
    pub(crate) out: usize,
    /// Source bytes.
    pub(crate) stored: usize,
    /// Weights of a batch.
    pub(crate) weights: usize,
}

impl Largest {
    /// Buffers of these sizes: if the system has no memory for them, it says so before anything is computed. What is
    /// not used does not become resident.
    pub(crate) fn buffers(&self) -> Result<Buffers, StreamError> {
        Ok(Buffers {
            out: with_room(self.out)?,
            stored: with_room(self.stored)?,
            weights: with_room(self.weights)?,
        })
    }
}

/// An empty buffer with room for `len` values.
pub(crate) fn with_room<T>(len: usize) -> Result<Vec<T>, StreamError> {
    let mut buffer = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    let reserved = buffer.try_reserve_exact(len);
    reserved
        .map(|()| buffer)
        .map_err(|_| StreamError::Memory { bytes })
}

/// Approximate number of weights that are converted to f32 at a time (at least one row). They fit in a core's
/// cache and are enough to fill the lanes of a kernel.
pub(super) const BATCH_WEIGHTS: usize = 16 * 1024;

/// Weights of a batch of a tensor's rows.
pub(crate) fn batch_weights(tensor: &PlannedTensor) -> u64 {
    let (rows, len) = tensor.rows();
    ((BATCH_WEIGHTS as u64) / len.max(1))
        .max(1)
        .min(rows)
        .saturating_mul(len)
}

/// Rows of a tensor's pieces of about `weights` weights: whole groups of `group` rows.
pub(crate) fn piece_rows(group: u64, len: u64, weights: u64) -> u64 {
    (weights / (group * len).max(1)).max(1) * group
}

/// The largest finite f16.
const HALF_MAX: f32 = 65504.0;

/// Converts stored rows to output rows.
pub(crate) struct Converter<'a> {
    tensor: &'a PlannedTensor,
    /// Weights per row.
    len: usize,
    options: &'a StreamOptions<'a>,
    importance: Option<&'a [f32]>,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(tensor: &'a PlannedTensor, options: &'a StreamOptions<'a>) -> Self {
        Converter {
            tensor,
            len: usize::try_from(tensor.rows().1).unwrap_or(usize::MAX),
            options,
            importance: options.imatrix.and_then(|imatrix| imatrix.importance(tensor)),
        }
    }

    /// Converts the output rows `rows` in batches. `stored(row)` returns a row's stored bytes of type `ty`; `weights`
    /// is a buffer.
    pub(crate) fn run<'s>(
        &self,
        rows: Range<u64>,
        ty: TensorType,
        stored: impl Fn(u64) -> &'s [u8],
        weights: &mut Vec<f32>,
        out: &mut [u8],
    ) -> Result<(), StreamError> {
        let batch = (BATCH_WEIGHTS / self.len.max(1)).max(1);
        let count = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        let row_bytes = out.len() / count.max(1);
        let starts = rows.clone().step_by(batch);
        for (start, out) in starts.zip(out.chunks_mut((row_bytes * batch).max(1))) {
            let rows = start..(start + batch as u64).min(rows.end);
            self.rows(rows, ty, &stored, weights, out)?;
        }
        Ok(())
    }

    /// Encodes the values of a tensor that has no source.
    pub(crate) fn generated(&self, values: &[f32], out: &mut [u8]) -> Result<(), StreamError> {
        for (row, values) in values.chunks(self.len).enumerate() {
            self.check(row as u64, values)?;
        }
        self.encode(0, values, out)
    }

    /// Converts the output rows `rows`. `stored(row)` returns a row's stored bytes of type `ty`; `weights` is
    /// a buffer.
    fn rows<'s>(
        &self,
        rows: Range<u64>,
        ty: TensorType,
        stored: &impl Fn(u64) -> &'s [u8],
        weights: &mut Vec<f32>,
        out: &mut [u8],
    ) -> Result<(), StreamError> {
        weights.resize((rows.end - rows.start) as usize * self.len, 0.0);
        let parts = weights.chunks_mut(self.len);
        if ty == self.tensor.ty {
            let bytes = out.len() / parts.len();
            for ((row, weights), out) in rows.zip(parts).zip(out.chunks_mut(bytes)) {
                out.copy_from_slice(stored(row));
                self.check_copied(row, ty, out, weights)?;
            }
            return Ok(());
        }
        for (row, weights) in rows.clone().zip(parts) {
            block::dequantize_row(ty, stored(row), weights);
            if block::all_finite(ty, stored(row)) != Some(true) {
                self.check(row, weights)?;
            }
        }
        self.encode(rows.start, weights, out)
    }

    /// Quantizes rows, starting at row `first`. Quantizes them all at once if the result does not depend on
    /// where rows end.
    fn encode(&self, first: u64, weights: &[f32], out: &mut [u8]) -> Result<(), StreamError> {
        let (ty, effort) = (self.tensor.ty, self.options.effort);
        if self.importance.is_none() && effort == Effort::Normal {
            block::quantize_row(ty, weights, out);
            return self.check_range(first, weights, out);
        }
        let bytes = out.len() / (weights.len() / self.len);
        let rows = weights.chunks(self.len).zip(out.chunks_mut(bytes));
        for (row, (weights, out)) in (first..).zip(rows) {
            let importance = self.importance.map(|importance| self.of_row(importance, row));
            Search { effort, importance }.quantize_row(ty, weights, out);
        }
        self.check_range(first, weights, out)
    }

    /// Checks that no weight became infinite, itself or by its block's scale, which is an f16. Only rows with a weight
    /// that f16 cannot express can hold one: they are decoded again.
    fn check_range(&self, first: u64, weights: &[f32], out: &[u8]) -> Result<(), StreamError> {
        let ty = self.tensor.ty;
        if self.options.allow_nonfinite || ty == TensorType::F32 || !block::any_above(weights, HALF_MAX) {
            return Ok(());
        }
        let bytes = out.len() / (weights.len() / self.len);
        let mut decoded = vec![0.0; self.len];
        for ((row, weights), out) in (first..).zip(weights.chunks(self.len)).zip(out.chunks(bytes)) {
            block::dequantize_row(ty, out, &mut decoded);
            if let Some(index) = block::first_nonfinite(&decoded) {
                let len = ty.block_len() as usize;
                let start = index - index % len;
                let of_block = start..(start + len).min(self.len);
                let largest = of_block.max_by(|&a, &b| weights[a].abs().total_cmp(&weights[b].abs()));
                let index = largest.unwrap_or(index);
                return Err(StreamError::TooLarge {
                    tensor: self.tensor.name.clone(),
                    row,
                    index,
                    value: weights[index],
                    ty,
                });
            }
        }
        Ok(())
    }

    /// The importance of the matrix that a row belongs to.
    fn of_row<'i>(&self, importance: &'i [f32], row: u64) -> &'i [f32] {
        let matrix = row / self.tensor.shape.get(1).copied().unwrap_or(1).max(1);
        let mut matrices = importance.chunks(self.len);
        matrices
            .nth(matrix as usize)
            .expect("as many importances as rows need")
    }

    /// Checks that a row that keeps its type is finite. Types that siskin cannot read are not checked.
    fn check_copied(
        &self,
        row: u64,
        ty: TensorType,
        stored: &[u8],
        weights: &mut [f32],
    ) -> Result<(), StreamError> {
        if !block::supports(ty) || block::all_finite(ty, stored) == Some(true) {
            return Ok(());
        }
        block::dequantize_row(ty, stored, weights);
        self.check(row, weights)
    }

    fn check(&self, row: u64, weights: &[f32]) -> Result<(), StreamError> {
        match block::first_nonfinite(weights) {
            Some(index) if !self.options.allow_nonfinite => Err(StreamError::NonFinite {
                tensor: self.tensor.name.clone(),
                row,
                index,
                value: weights[index],
            }),
            _ => Ok(()),
        }
    }
}
