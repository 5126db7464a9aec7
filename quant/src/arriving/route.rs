//! A plan, inverted: which bytes of which shard become which rows of which tensors.

use std::ops::Range;

use crate::plan::{Plan, PlannedTensor};
use crate::stream::converter::{Largest, batch_weights, piece_rows};
use siskin_model::TensorType;
use siskin_model::arch::Transform;

/// An output tensor that a stretch is a source of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    /// Index of the tensor in the plan.
    pub(super) tensor: usize,
    /// Index of the source in the tensor.
    pub(super) source: usize,
}

/// Bytes of a shard that are one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Position of the first byte in the shard.
    pub(super) start: u64,
    /// Rows, as the outputs count them.
    pub(super) rows: u64,
    /// Bytes of a row.
    pub(super) row_bytes: u64,
    /// Type of the weights.
    pub(super) ty: TensorType,
    /// Rows of a piece: whole groups of every output.
    pub(super) step: u64,
    /// The outputs; mostly one.
    pub(super) uses: Vec<Use>,
}

impl Stretch {
    /// One past the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.rows * self.row_bytes
    }

    /// Pieces that are computed one at a time.
    fn pieces(&self) -> impl Iterator<Item = Range<u64>> {
        let (rows, step) = (self.rows, self.step);
        let count = rows.div_ceil(step);
        (0..count).map(move |piece| piece * step..((piece + 1) * step).min(rows))
    }
}

/// Rows of a stretch that a worker computes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of the stretch in its shard.
    pub(super) stretch: usize,
    /// Source rows.
    pub(super) rows: Range<u64>,
}

/// Rows that are contiguous in the source and in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The output.
    pub(super) tensor: usize,
    /// Rows of the output.
    pub(super) rows: Range<u64>,
}

/// All shards' stretches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Of each file of the checkpoint, sorted by position.
    pub(super) files: Vec<Vec<Stretch>>,
}

/// The plan cannot be executed in the order of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unroutable {
    /// Two tensors share bytes, but not all.
    Overlap(String, String),
    /// The tensor is not in its shard.
    Outside(String),
}

impl Route {
    /// Of a plan whose files have `lens` bytes. `weights` is the approximate number of weights of a piece.
    pub(super) fn new(plan: &Plan, lens: &[u64], weights: u64) -> Result<Self, Unroutable> {
        let mut files: Vec<Vec<Stretch>> = vec![Vec::new(); lens.len()];
        for (tensor, planned) in plan.tensors.iter().enumerate() {
            for (source, from) in planned.sources.iter().enumerate() {
                let outside = || Unroutable::Outside(from.name.clone());
                let stretch = stretch(planned, Use { tensor, source }).ok_or_else(outside)?;
                let len = *lens.get(from.view.file).ok_or_else(outside)?;
                let bytes = stretch.rows.checked_mul(stretch.row_bytes);
                let end = bytes.and_then(|bytes| stretch.start.checked_add(bytes));
                if end.is_none_or(|end| end > len) {
                    return Err(outside());
                }
                if stretch.end() > stretch.start {
                    files[from.view.file].push(stretch);
                }
            }
        }
        for stretches in &mut files {
            stretches.sort_by_key(|stretch| (stretch.start, stretch.end()));
            *stretches = joined(plan, std::mem::take(stretches))?;
            for stretch in stretches {
                let group = stretch.uses.iter().try_fold(1, |all, of| {
                    common_multiple(all, plan.tensors[of.tensor].group_rows())
                });
                // Groups that fit together only as a whole.
                let group = group.unwrap_or(stretch.rows).min(stretch.rows);
                let len = stretch.uses.iter().map(|of| plan.tensors[of.tensor].rows().1);
                stretch.step = piece_rows(group, len.max().unwrap_or(1), weights);
            }
        }
        Ok(Route { files })
    }

    /// The pieces of a file, in order.
    pub(super) fn pieces(&self, file: usize) -> impl Iterator<Item = Piece> {
        let stretches = self.files[file].iter().enumerate();
        stretches.flat_map(|(stretch, of)| of.pieces().map(move |rows| Piece { stretch, rows }))
    }

    /// The sizes of the largest buffers that a piece needs.
    pub(super) fn largest(&self, plan: &Plan) -> Largest {
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut largest = Largest::default();
        for stretch in self.files.iter().flatten() {
            let rows = stretch.step.min(stretch.rows);
            let outputs = || stretch.uses.iter().map(|of| &plan.tensors[of.tensor]);
            let out = outputs()
                .map(|tensor| rows.saturating_mul(row_bytes(tensor)))
                .max();
            let weights = outputs().map(batch_weights).max().unwrap_or(0);
            largest.out = largest.out.max(size(out.unwrap_or(0)));
            largest.stored = largest.stored.max(size(rows.saturating_mul(stretch.row_bytes)));
            largest.weights = largest.weights.max(size(weights));
        }
        largest
    }
}

/// Bytes of a row of an output.
pub(super) fn row_bytes(tensor: &PlannedTensor) -> u64 {
    tensor.ty.row_bytes(tensor.rows().1).unwrap_or(0)
}

/// The bytes of one source; `None` if its type does not fit its rows.
fn stretch(planned: &PlannedTensor, of: Use) -> Option<Stretch> {
    let view = &planned.sources[of.source].view;
    let (rows, len) = planned.rows();
    Some(Stretch {
        start: view.start,
        rows: if planned.transform == Transform::Stack {
            1
        } else {
            rows
        },
        row_bytes: view.ty.row_bytes(len)?,
        ty: view.ty,
        step: 1,
        uses: vec![of],
    })
}

/// Sorted stretches, in which those of the same bytes are one.
fn joined(plan: &Plan, sorted: Vec<Stretch>) -> Result<Vec<Stretch>, Unroutable> {
    let name = |stretch: &Stretch| {
        let of = stretch.uses[0];
        plan.tensors[of.tensor].sources[of.source].name.clone()
    };
    let mut joined: Vec<Stretch> = Vec::with_capacity(sorted.len());
    for stretch in sorted {
        match joined.last_mut() {
            Some(last) if last.end() > stretch.start => {
                let alike = |s: &Stretch| (s.start, s.rows, s.row_bytes, s.ty);
                if alike(last) != alike(&stretch) {
                    return Err(Unroutable::Overlap(name(last), name(&stretch)));
                }
                last.uses.extend(stretch.uses);
            }
            _ => joined.push(stretch),
        }
    }
    Ok(joined)
}

fn common_multiple(a: u64, b: u64) -> Option<u64> {
    let (mut large, mut small) = (a, b);
    while small > 0 {
        (large, small) = (small, large % small);
    }
    (a / large.max(1)).checked_mul(b)
}

/// The output rows of the source rows `rows`, one use after the other.
pub(super) fn runs(plan: &Plan, stretch: &Stretch, rows: &Range<u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for of in &stretch.uses {
        let tensor = &plan.tensors[of.tensor];
        let group = tensor.group_rows().min(stretch.rows);
        let mut row = rows.start;
        while row < rows.end {
            let first = tensor.output_row(of.source, row);
            match runs.last_mut() {
                Some(run) if run.tensor == of.tensor && run.rows.end == first => run.rows.end += group,
                _ => runs.push(Run {
                    tensor: of.tensor,
                    rows: first..first + group,
                }),
            }
            row += group;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Source;
    use crate::view::View;
    use siskin_model::arch::Role;

    fn planned(name: &str, transform: Transform, shape: &[u64], starts: &[u64]) -> PlannedTensor {
        let source = |start: &u64| Source {
            name: format!("model.{name}"),
            view: View {
                file: 0,
                start: *start,
                ty: TensorType::F32,
                shape: shape.iter().rev().copied().collect(),
            },
        };
        PlannedTensor {
            name: name.into(),
            sources: starts.iter().map(source).collect(),
            transform,
            role: Role::Other,
            layer: None,
            ty: TensorType::F32,
            shape: shape.to_vec(),
            offset: 0,
        }
    }

    fn plan(tensors: Vec<PlannedTensor>) -> Plan {
        Plan {
            metadata: Default::default(),
            tensors,
        }
    }

    /// Every output row comes from the source row that the plan says, and from no other.
    #[test]
    fn every_row_arrives_where_the_plan_says() {
        let cases = [
            planned("copy", Transform::Copy, &[3, 50], &[8]),
            planned("rotary", Transform::PermuteRotary { heads: 4 }, &[3, 48], &[8]),
            planned("bias", Transform::PermuteRotary { heads: 4 }, &[48], &[8]),
            planned("qkv", Transform::RegroupQkv { heads: 4 }, &[3, 96], &[8]),
            planned("stack", Transform::Stack, &[5, 3], &[100, 8, 60]),
        ];
        for tensor in cases {
            for weights in [1, 10, 40, 1000] {
                let plan = plan(vec![tensor.clone()]);
                let route = Route::new(&plan, &[10_000], weights).expect("a route");
                let (rows, _) = tensor.rows();
                let mut seen = vec![0; rows as usize];
                for piece in route.pieces(0) {
                    let stretch = &route.files[0][piece.stretch];
                    for row in runs(&plan, stretch, &piece.rows)
                        .into_iter()
                        .flat_map(|run| run.rows)
                    {
                        let (source, from) = tensor.source_row(row);
                        assert_eq!(tensor.sources[source].view.start, stretch.start);
                        assert!(piece.rows.contains(&from), "{} {row}", tensor.name);
                        seen[row as usize] += 1;
                    }
                }
                assert_eq!(seen, vec![1; rows as usize], "{} {weights}", tensor.name);
            }
        }
    }

    #[test]
    fn tensors_share_all_their_bytes_or_none() {
        let a = || planned("a", Transform::Copy, &[4, 10], &[0]);
        let cases: [(PlannedTensor, Option<usize>); 5] = [
            (planned("b", Transform::Copy, &[4, 10], &[160]), Some(2)),
            (planned("b", Transform::Copy, &[4, 10], &[0]), Some(1)),
            (
                planned("b", Transform::RegroupQkv { heads: 1 }, &[4, 9], &[200]),
                Some(2),
            ),
            (planned("b", Transform::Copy, &[4, 10], &[159]), None),
            (planned("b", Transform::Copy, &[4, 9], &[0]), None),
        ];
        for (b, want) in cases {
            let route = Route::new(&plan(vec![a(), b]), &[1000], 8);
            assert_eq!(route.ok().map(|route| route.files[0].len()), want);
        }
        let outside = Route::new(&plan(vec![a()]), &[159], 8);
        assert_eq!(outside, Err(Unroutable::Outside("model.a".into())));
    }

    #[test]
    fn the_buffers_of_a_large_model_are_small() {
        // The largest tensors of a model of 1.1 billion weights: embedding, attention, feed-forward.
        let (kv, heads) = (
            Transform::PermuteRotary { heads: 4 },
            Transform::PermuteRotary { heads: 32 },
        );
        let tensors = vec![
            planned("embedding", Transform::Copy, &[2048, 32_000], &[0]),
            planned("q", heads, &[2048, 2048], &[300_000_000]),
            planned("k", kv, &[2048, 256], &[400_000_000]),
            planned("down", Transform::Copy, &[5632, 2048], &[500_000_000]),
        ];
        // From f32 to f32, which takes most.
        let plan = plan(tensors);
        let route = Route::new(&plan, &[1 << 40], crate::stream::PIECE_WEIGHTS).expect("a route");
        let largest = route.largest(&plan);
        let bytes = largest.stored + largest.out + 4 * largest.weights;
        for (threads, most) in [(1, 9), (2, 14), (4, 24), (64, 40)] {
            let total = super::super::execute::buffers(threads, &largest) * bytes;
            assert!(total < most << 20, "{threads}: {total}");
        }
    }

    #[test]
    fn groups_of_two_outputs_fit_into_one_piece() {
        let tensors = vec![
            planned("a", Transform::PermuteRotary { heads: 6 }, &[1, 24], &[0]),
            planned("b", Transform::PermuteRotary { heads: 4 }, &[1, 24], &[0]),
        ];
        let route = Route::new(&plan(tensors), &[1000], 1).expect("a route");
        assert_eq!(route.files[0][0].step, 12);
        assert_eq!(route.pieces(0).count(), 2);
    }
}
