//! A piece of a tensor: whole groups of rows, computed by one worker.

use std::ops::Range;

use super::converter::{Buffers, Converter, Largest, batch_weights, piece_rows};
use super::{StreamError, StreamOptions};
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
            let step = rows_of_pieces(planned, weights);
            let at = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            at.map(move |start| Piece {
                tensor,
                rows: start..(start + step).min(rows),
            })
        })
}

fn rows_of_pieces(tensor: &PlannedTensor, weights: u64) -> u64 {
    piece_rows(tensor.group_rows(), tensor.rows().1, weights)
}

impl Largest {
    /// Of a plan in pieces of about `weights` weights.
    pub(super) fn of(plan: &Plan, weights: u64) -> Self {
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut largest = Largest::default();
        for tensor in &plan.tensors {
            let (rows, len) = tensor.rows();
            let in_piece = rows_of_pieces(tensor, weights).min(rows);
            let bytes = |ty: TensorType| size(in_piece.saturating_mul(ty.row_bytes(len).unwrap_or(0)));
            let stored = tensor.sources.iter().map(|source| bytes(source.view.ty)).max();
            largest.out = largest.out.max(bytes(tensor.ty));
            largest.stored = largest.stored.max(stored.unwrap_or(0));
            largest.weights = largest.weights.max(size(batch_weights(tensor)));
        }
        largest
    }
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
        let converter = Converter::new(tensor, options);
        if let Transform::Generated { values } = &tensor.transform {
            return converter.generated(values, out);
        }
        for run in self.runs(tensor) {
            let source = &tensor.sources[run.source];
            let (file, bytes) = run.bytes(tensor);
            let read = files.read_into(file, bytes, stored);
            read.map_err(|error| StreamError::Read {
                tensor: source.name.clone(),
                source: error,
            })?;
            let place = |row: u64| (row - self.rows.start) as usize * row_bytes;
            let out = &mut out[place(run.rows.start)..place(run.rows.end)];
            let stored = |row| run.row(tensor, row, stored);
            converter.run(run.rows.clone(), source.view.ty, stored, weights, out)?;
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
