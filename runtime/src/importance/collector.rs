//! Sums of squares of the inputs that tensors are multiplied with.

use std::collections::BTreeMap;

use siskin_quant::imatrix::Sums;

use super::product::Product;

/// Sums of squares for each tensor, by name.
#[derive(Debug, Default)]
pub(super) struct Collector {
    output: bool,
    tensors: BTreeMap<String, Sums>,
}

impl Collector {
    /// An empty collector. `output` includes the output matrix.
    pub(super) fn new(output: bool) -> Self {
        Collector {
            output,
            tensors: BTreeMap::new(),
        }
    }

    /// The sums collected so far.
    pub(super) fn sums(&self) -> &BTreeMap<String, Sums> {
        &self.tensors
    }

    /// The sums collected, by name of the tensor.
    pub(super) fn into_sums(self) -> BTreeMap<String, Sums> {
        self.tensors
    }

    /// Whether products with this tensor are collected.
    pub(super) fn wants(&self, tensor: &str) -> bool {
        let output = || matches!(tensor, "output.weight" | "token_embd.weight");
        tensor.starts_with("blk.") || self.output && output()
    }

    /// Adds the rows that a tensor was multiplied with.
    pub(super) fn add(&mut self, tensor: &str, product: &Product<'_>) {
        let sums = match self.tensors.get_mut(tensor) {
            Some(sums) => sums,
            None => self.tensors.entry(tensor.to_owned()).or_default(),
        };
        sums.squares.resize(product.columns * product.matrices, 0.0);
        for (matrix, row) in product.rows() {
            let squares = &mut sums.squares[matrix * product.columns..][..product.columns];
            for (square, x) in squares.iter_mut().zip(row) {
                *square += f64::from(*x) * f64::from(*x);
            }
        }
        sums.count += (product.count() / product.matrices) as u64;
    }
}
