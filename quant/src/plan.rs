//! The whole conversion as data: the name, sources, transform, type, shape and offset of every tensor, known
//! before any tensor is read.

use crate::view::View;
use siskin_model::TensorType;
use siskin_model::arch::{Role, Transform};
use siskin_model::gguf::Metadata;

/// The version of the block formats (`GGML_QNT_VERSION`), written as `general.quantization_version`.
pub(crate) const QUANTIZATION_VERSION: u32 = 2;

/// A checkpoint tensor that is a source of an output tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Name of the tensor in the checkpoint.
    pub name: String,
    /// Location of its bytes.
    pub view: View,
}

/// A tensor of the output file.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// GGUF name.
    pub name: String,
    /// The sources, in order; empty for [`Transform::Generated`].
    pub sources: Vec<Source>,
    /// How the rows of the sources become rows of this tensor.
    pub transform: Transform,
    /// Its function in the network.
    pub role: Role,
    /// Index of the block it belongs to, if any.
    pub layer: Option<u32>,
    /// Output type.
    pub ty: TensorType,
    /// Output shape in ggml's order: the row length first.
    pub shape: Vec<u64>,
    /// Offset of the first byte from the start of the GGUF file's data section.
    pub offset: u64,
}

/// A conversion, before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All keys of the output, in order.
    pub metadata: Metadata,
    /// All tensors of the output, in file order.
    pub tensors: Vec<PlannedTensor>,
}

impl PlannedTensor {
    /// Number of rows, and weights per row, as the transform counts them: a permuted vector has rows of one
    /// weight each, any other vector is a single row.
    pub fn rows(&self) -> (u64, u64) {
        let (&len, outer) = self.shape.split_first().unwrap_or((&1, &[]));
        let permuted = matches!(
            self.transform,
            Transform::PermuteRotary { .. } | Transform::RegroupQkv { .. }
        );
        if outer.is_empty() && permuted {
            (len, 1)
        } else {
            (outer.iter().product(), len)
        }
    }

    /// The smallest number of consecutive output rows that come from one contiguous run of rows in one
    /// source. Groups start at multiples of this number.
    pub fn group_rows(&self) -> u64 {
        let rows = self.rows().0;
        match self.transform {
            Transform::PermuteRotary { heads } => rows / heads.max(1),
            Transform::RegroupQkv { heads } => rows / (3 * heads.max(1)),
            Transform::Copy | Transform::Stack | Transform::Generated { .. } => 1,
        }
        .max(1)
    }

    /// The origin of output row `row`: index of the source, and row in it.
    pub fn source_row(&self, row: u64) -> (usize, u64) {
        let group = self.group_rows();
        match self.transform {
            Transform::Copy | Transform::Generated { .. } => (0, row),
            Transform::Stack => (row as usize, 0),
            // [heads, n, 2] <- [heads, 2, n]
            Transform::PermuteRotary { .. } => {
                let (head, within) = (row / group, row % group);
                (0, head * group + (within % 2) * (group / 2) + within / 2)
            }
            // [3, heads, head_dim] <- [heads, 3, head_dim]
            Transform::RegroupQkv { heads } => {
                let (part, head, within) = (row / (heads * group), row / group % heads, row % group);
                (0, (head * 3 + part) * group + within)
            }
        }
    }

    /// The first output row of the group whose rows in source `source` begin at row `row`: the inverse of
    /// [`Self::source_row`].
    pub fn output_row(&self, source: usize, row: u64) -> u64 {
        let group = self.group_rows();
        match self.transform {
            Transform::Copy | Transform::Generated { .. } | Transform::PermuteRotary { .. } => row,
            Transform::Stack => source as u64,
            Transform::RegroupQkv { heads } => {
                let (head, part) = (row / (3 * group), row / group % 3);
                (part * heads + head) * group + row % group
            }
        }
    }

    /// Size of the tensor in the file in bytes, without padding.
    pub fn bytes(&self) -> u64 {
        self.ty
            .tensor_bytes(&self.shape)
            .expect("a planned tensor's type fits its rows")
    }

    /// Number of weights.
    pub fn weights(&self) -> u64 {
        self.shape.iter().product()
    }
}

impl Plan {
    /// Size of the data section in bytes: up to the end of the last tensor, padded to the alignment.
    pub fn data_bytes(&self) -> u64 {
        let end = self
            .tensors
            .iter()
            .map(|t| t.offset + t.bytes())
            .max()
            .unwrap_or(0);
        end.next_multiple_of(siskin_model::gguf::DEFAULT_ALIGNMENT)
    }

    /// Number of weights in all tensors.
    pub fn weights(&self) -> u64 {
        self.tensors.iter().map(PlannedTensor::weights).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(transform: Transform, shape: &[u64]) -> PlannedTensor {
        PlannedTensor {
            name: "t".into(),
            sources: vec![],
            transform,
            role: Role::Other,
            layer: None,
            ty: TensorType::F32,
            shape: shape.to_vec(),
            offset: 0,
        }
    }

    /// Source rows in output order, computed by the reshape that documents the transform.
    fn by_reshape(transform: &Transform, rows: u64) -> Vec<u64> {
        let mut out = Vec::new();
        match *transform {
            Transform::PermuteRotary { heads } => {
                let n = rows / heads / 2;
                for head in 0..heads {
                    for pair in 0..n {
                        out.extend([head * 2 * n + pair, head * 2 * n + n + pair]);
                    }
                }
            }
            Transform::RegroupQkv { heads } => {
                let dim = rows / heads / 3;
                for part in 0..3 {
                    for head in 0..heads {
                        out.extend((0..dim).map(|i| head * 3 * dim + part * dim + i));
                    }
                }
            }
            _ => out.extend(0..rows),
        }
        out
    }

    #[test]
    fn rows_are_permuted_as_the_reshapes_say() {
        let cases = [
            (Transform::Copy, vec![4, 6]),
            (Transform::PermuteRotary { heads: 2 }, vec![4, 16]),
            (Transform::PermuteRotary { heads: 3 }, vec![24]),
            (Transform::RegroupQkv { heads: 2 }, vec![8, 24]),
            (Transform::RegroupQkv { heads: 4 }, vec![48]),
        ];
        for (transform, shape) in cases {
            let want = by_reshape(&transform, *shape.last().expect("a shape"));
            let tensor = planned(transform, &shape);
            let (rows, _) = tensor.rows();
            let got: Vec<u64> = (0..rows).map(|row| tensor.source_row(row).1).collect();
            assert_eq!(got, want, "{tensor:?}");
            // A group's rows come from one contiguous run, whose first row is the origin of the group's first
            // row.
            for group in got.chunks(tensor.group_rows() as usize) {
                let mut sorted = group.to_vec();
                sorted.sort_unstable();
                assert!(sorted.windows(2).all(|w| w[1] == w[0] + 1), "{tensor:?}");
                assert_eq!(sorted[0], group[0], "{tensor:?}");
                let first = got.iter().position(|row| *row == group[0]);
                assert_eq!(first, Some(tensor.output_row(0, group[0]) as usize), "{tensor:?}");
            }
        }
    }

    #[test]
    fn a_stack_takes_a_row_from_each_source() {
        let tensor = planned(Transform::Stack, &[64, 3]);
        assert_eq!(tensor.rows(), (3, 64));
        assert_eq!(
            (0..3).map(|r| tensor.source_row(r)).collect::<Vec<_>>(),
            [(0, 0), (1, 0), (2, 0)]
        );
        assert_eq!([0, 1, 2].map(|source| tensor.output_row(source, 0)), [0, 1, 2]);
    }
}
