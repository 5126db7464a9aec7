//! Sums of squares of what tensors are multiplied with.

use std::collections::BTreeMap;

use crate::engine::MulMat;

/// What one tensor was multiplied with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// For each column of each matrix of the tensor, the sum of the squares.
    pub squares: Vec<f64>,
    /// Rows that were added for each matrix.
    pub count: u64,
}

/// Sums of squares for each tensor.
#[derive(Debug, Default)]
pub(super) struct Collector {
    output: bool,
    tensors: BTreeMap<String, Sums>,
}

impl Collector {
    /// Nothing yet; with `output`, the output matrix is wanted too.
    pub(super) fn new(output: bool) -> Self {
        Collector {
            output,
            tensors: BTreeMap::new(),
        }
    }

    /// The first tensor whose sums are not finite.
    pub(super) fn broken(&self) -> Option<&str> {
        let broken = |sums: &Sums| sums.squares.iter().any(|sum| !sum.is_finite());
        let mut names = self.tensors.iter().filter(|(_, sums)| broken(sums));
        names.next().map(|(name, _)| name.as_str())
    }

    /// What was collected.
    pub(super) fn into_sums(self) -> BTreeMap<String, Sums> {
        self.tensors
    }

    /// Whether products with this tensor are to be collected.
    pub(super) fn wants(&self, tensor: &str) -> bool {
        let output = || matches!(tensor, "output.weight" | "token_embd.weight");
        tensor.starts_with("blk.") || self.output && output()
    }

    /// Adds the rows that a tensor was multiplied with.
    pub(super) fn add(&mut self, tensor: &str, product: &MulMat<'_>) {
        let sums = match self.tensors.get_mut(tensor) {
            Some(sums) => sums,
            None => self.tensors.entry(tensor.to_owned()).or_default(),
        };
        let columns = product.columns();
        sums.squares.resize(columns * product.matrices(), 0.0);
        for (matrix, row) in product.rows() {
            let squares = &mut sums.squares[matrix * columns..][..columns];
            for (square, x) in squares.iter_mut().zip(row) {
                *square += f64::from(*x) * f64::from(*x);
            }
        }
        sums.count += (product.count() / product.matrices()) as u64;
    }
}
