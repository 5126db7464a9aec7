//! A piece of a tensor: some whole groups of rows, computed by one worker.

use std::ops::Range;

use super::StreamError;
use crate::TensorType;
use crate::block;
use crate::files::Files;
use crate::plan::{Plan, PlannedTensor, Transform};

/// Rows of one tensor that a worker computes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of the tensor in the plan.
    pub(super) tensor: usize,
    /// Output rows, whole groups of them.
    pub(super) rows: Range<u64>,
}

/// Output rows that read one contiguous run of one source's rows.
struct Run {
    source: usize,
    source_rows: Range<u64>,
    rows: Range<u64>,
}

/// All pieces of a plan in file order, each of about `weights` weights and at least one group.
pub(super) fn pieces(plan: &Plan, weights: u64) -> impl Iterator<Item = Piece> {
    plan.tensors
        .iter()
        .enumerate()
        .flat_map(move |(tensor, planned)| {
            let (rows, len) = planned.rows();
            let group = planned.group_rows();
            let step = (weights / (group * len).max(1)).max(1) * group;
            let at = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            at.map(move |start| Piece {
                tensor,
                rows: start..(start + step).min(rows),
            })
        })
}

impl Piece {
    /// Computes the piece's bytes into `out`, replacing what it held.
    pub(super) fn compute(
        &self,
        plan: &Plan,
        files: &Files,
        allow_nonfinite: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        let tensor = &plan.tensors[self.tensor];
        let len = tensor.rows().1;
        let row_bytes = tensor
            .ty
            .row_bytes(len)
            .expect("a planned tensor's type fits its rows") as usize;
        out.clear();
        out.resize((self.rows.end - self.rows.start) as usize * row_bytes, 0);
        let mut writer = Rows {
            tensor,
            allow_nonfinite,
            weights: vec![0.0; len as usize],
        };
        if let Transform::Generated { values } = &tensor.transform {
            for (row, (values, out)) in values
                .chunks(len as usize)
                .zip(out.chunks_mut(row_bytes))
                .enumerate()
            {
                writer.weights.copy_from_slice(values);
                writer.encode(row as u64, out)?;
            }
            return Ok(());
        }
        for run in self.runs(tensor) {
            let source = &tensor.sources[run.source];
            let (ty, start) = (source.view.ty, source.view.start);
            let stored = ty.row_bytes(len).expect("a planned source's type fits its rows");
            let bytes = start + run.source_rows.start * stored..start + run.source_rows.end * stored;
            let window = files
                .window(source.view.file, bytes)
                .map_err(|error| StreamError::Read {
                    tensor: source.name.clone(),
                    source: error,
                })?;
            for row in run.rows {
                let from = (tensor.source_row(row).1 - run.source_rows.start) * stored;
                let to = (row - self.rows.start) as usize * row_bytes;
                let stored_row = &window[from as usize..(from + stored) as usize];
                writer.row(row, ty, stored_row, &mut out[to..to + row_bytes])?;
            }
        }
        Ok(())
    }

    /// Groups joined into the longest contiguous runs.
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

/// Turns stored rows into output rows through one row of f32.
struct Rows<'a> {
    tensor: &'a PlannedTensor,
    allow_nonfinite: bool,
    weights: Vec<f32>,
}

impl Rows<'_> {
    fn row(&mut self, row: u64, ty: TensorType, stored: &[u8], out: &mut [u8]) -> Result<(), StreamError> {
        if ty == self.tensor.ty && !block::supports(ty) {
            out.copy_from_slice(stored);
            return Ok(());
        }
        block::dequantize_row(ty, stored, &mut self.weights);
        if ty != self.tensor.ty {
            return self.encode(row, out);
        }
        self.check(row)?;
        out.copy_from_slice(stored);
        Ok(())
    }

    fn encode(&self, row: u64, out: &mut [u8]) -> Result<(), StreamError> {
        self.check(row)?;
        block::quantize_row(self.tensor.ty, &self.weights, out);
        Ok(())
    }

    fn check(&self, row: u64) -> Result<(), StreamError> {
        match block::first_nonfinite(&self.weights) {
            Some(index) if !self.allow_nonfinite => {
                let (tensor, value) = (self.tensor.name.clone(), self.weights[index]);
                Err(StreamError::NonFinite {
                    tensor,
                    row,
                    index,
                    value,
                })
            }
            _ => Ok(()),
        }
    }
}
