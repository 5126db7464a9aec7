//! A piece of a tensor: whole groups of rows, computed by one worker.

use std::ops::Range;

use super::{StreamError, StreamOptions};
use crate::block::{self, Effort, Search};
use crate::plan::{Plan, PlannedTensor};
use siskin_model::TensorType;
use siskin_model::arch::Transform;
use siskin_model::files::Files;

/// Rows of one tensor that a worker computes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of the tensor in the plan.
    pub(super) tensor: usize,
    /// Range of output rows; whole groups.
    pub(super) rows: Range<u64>,
}

/// A worker's buffers for a piece; the next piece reuses them.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The bytes of the piece, ready to be written.
    pub(super) out: Vec<u8>,
    /// The source bytes of one run.
    stored: Vec<u8>,
    /// The f32 weights of one batch of rows.
    weights: Vec<f32>,
}

/// Approximate number of weights that are converted to f32 at a time (at least one row). They fit in a core's
/// cache and are enough to fill the lanes of a kernel.
const BATCH_WEIGHTS: usize = 16 * 1024;

/// The largest finite f16.
const HALF_MAX: f32 = 65504.0;

/// Output rows that come from one contiguous run of rows in one source.
struct Run {
    source: usize,
    source_rows: Range<u64>,
    rows: Range<u64>,
}

/// Returns all pieces of a plan in file order. Each has about `weights` weights, but at least one group.
pub(super) fn pieces(plan: &Plan, weights: u64) -> impl Iterator<Item = Piece> {
    plan.tensors
        .iter()
        .enumerate()
        .flat_map(move |(tensor, planned)| {
            let (rows, _) = planned.rows();
            let step = piece_rows(planned, weights);
            let at = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            at.map(move |start| Piece {
                tensor,
                rows: start..(start + step).min(rows),
            })
        })
}

/// Rows of a tensor's pieces: whole groups.
fn piece_rows(tensor: &PlannedTensor, weights: u64) -> u64 {
    let (group, len) = (tensor.group_rows(), tensor.rows().1);
    (weights / (group * len).max(1)).max(1) * group
}

/// The sizes of the largest buffers that a plan's pieces need.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Largest {
    out: usize,
    stored: usize,
    weights: usize,
}

impl Largest {
    /// Of a plan in pieces of about `weights` weights.
    pub(super) fn of(plan: &Plan, weights: u64) -> Self {
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut largest = Largest::default();
        for tensor in &plan.tensors {
            let (rows, len) = tensor.rows();
            let in_piece = piece_rows(tensor, weights).min(rows);
            let in_batch = ((BATCH_WEIGHTS as u64) / len.max(1)).max(1).min(rows);
            let bytes = |ty: TensorType| size(in_piece.saturating_mul(ty.row_bytes(len).unwrap_or(0)));
            let stored = tensor.sources.iter().map(|source| bytes(source.view.ty)).max();
            largest.out = largest.out.max(bytes(tensor.ty));
            largest.stored = largest.stored.max(stored.unwrap_or(0));
            largest.weights = largest.weights.max(size(in_batch.saturating_mul(len)));
        }
        largest
    }

    /// Buffers of these sizes: if the system has no memory for them, it says so before anything is computed. What is
    /// not used does not become resident.
    pub(super) fn buffers(&self) -> Result<Buffers, StreamError> {
        Ok(Buffers {
            out: with_room(self.out)?,
            stored: with_room(self.stored)?,
            weights: with_room(self.weights)?,
        })
    }
}

/// An empty buffer with room for `len` values.
pub(super) fn with_room<T>(len: usize) -> Result<Vec<T>, StreamError> {
    let mut buffer = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    let reserved = buffer.try_reserve_exact(len);
    reserved
        .map(|()| buffer)
        .map_err(|_| StreamError::Memory { bytes })
}

impl Piece {
    /// Asks the system to fetch the source bytes from the disk while other pieces are computed.
    pub(super) fn prefetch(&self, plan: &Plan, files: &Files) {
        let tensor = &plan.tensors[self.tensor];
        if tensor.sources.is_empty() {
            return; // a generated tensor has no source
        }
        for run in self.runs(tensor) {
            let (file, bytes) = run.bytes(tensor);
            files.prefetch(file, bytes);
        }
    }

    /// Computes the piece's bytes into `buffers.out`, replacing its content.
    pub(super) fn compute(
        &self,
        plan: &Plan,
        files: &Files,
        options: &StreamOptions<'_>,
        buffers: &mut Buffers,
    ) -> Result<(), StreamError> {
        let tensor = &plan.tensors[self.tensor];
        let len = tensor.rows().1 as usize;
        let row_bytes = tensor
            .ty
            .row_bytes(len as u64)
            .expect("a planned tensor's type fits its rows") as usize;
        let Buffers { out, stored, weights } = buffers;
        out.resize((self.rows.end - self.rows.start) as usize * row_bytes, 0);
        let converter = Converter {
            tensor,
            len,
            options,
            importance: options.imatrix.and_then(|imatrix| imatrix.importance(tensor)),
        };
        if let Transform::Generated { values } = &tensor.transform {
            return converter.generated(values, out);
        }
        let batch = (BATCH_WEIGHTS / len).max(1);
        for run in self.runs(tensor) {
            let source = &tensor.sources[run.source];
            let (file, bytes) = run.bytes(tensor);
            let read = files.read_into(file, bytes, stored);
            read.map_err(|error| StreamError::Read {
                tensor: source.name.clone(),
                source: error,
            })?;
            let place = |row: u64| (row - self.rows.start) as usize * row_bytes;
            for start in run.rows.clone().step_by(batch) {
                let rows = start..(start + batch as u64).min(run.rows.end);
                let out = &mut out[place(rows.start)..place(rows.end)];
                converter.rows(
                    rows,
                    source.view.ty,
                    |row| run.row(tensor, row, stored),
                    weights,
                    out,
                )?;
            }
        }
        Ok(())
    }

    /// Joins groups into the longest possible contiguous runs.
    fn runs(&self, tensor: &PlannedTensor) -> Vec<Run> {
        let group = tensor.group_rows();
        let mut runs: Vec<Run> = Vec::new();
        for start in self.rows.clone().step_by(group as usize) {
            let (source, from) = tensor.source_row(start);
            match runs.last_mut() {
                Some(run) if run.source == source && run.source_rows.end == from => {
                    run.source_rows.end += group;
                    run.rows.end += group;
                }
                _ => runs.push(Run {
                    source,
                    source_rows: from..from + group,
                    rows: start..start + group,
                }),
            }
        }
        runs
    }
}

impl Run {
    /// The file of the run's bytes, and their range in it.
    fn bytes(&self, tensor: &PlannedTensor) -> (usize, Range<u64>) {
        let view = &tensor.sources[self.source].view;
        let row = self.row_bytes(tensor);
        let Range { start, end } = self.source_rows;
        (view.file, view.start + start * row..view.start + end * row)
    }

    /// The part of the run's bytes that output row `row` comes from.
    fn row<'a>(&self, tensor: &PlannedTensor, row: u64, stored: &'a [u8]) -> &'a [u8] {
        let bytes = self.row_bytes(tensor) as usize;
        let from = (tensor.source_row(row).1 - self.source_rows.start) as usize * bytes;
        &stored[from..from + bytes]
    }

    fn row_bytes(&self, tensor: &PlannedTensor) -> u64 {
        let ty = tensor.sources[self.source].view.ty;
        ty.row_bytes(tensor.rows().1)
            .expect("a planned source's type fits its rows")
    }
}

/// Converts stored rows to output rows.
struct Converter<'a> {
    tensor: &'a PlannedTensor,
    /// Weights per row.
    len: usize,
    options: &'a StreamOptions<'a>,
    importance: Option<&'a [f32]>,
}

impl Converter<'_> {
    fn generated(&self, values: &[f32], out: &mut [u8]) -> Result<(), StreamError> {
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
        stored: impl Fn(u64) -> &'s [u8],
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
