//! The error if nothing fits: what it would take, and what would fit.

use serde::Serialize;
use siskin_model::FileType;
use siskin_model::shape::Shape;

use super::cost::total;
use super::limit::{Constraints, MemoryLimit, widest};
use super::mib;
use crate::values::Values;

/// Nothing that was asked for fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this needs {need}, but only {limit} may be used ({usable} usable, less {reserve} kept free)",
    need = mib(*need_bytes), limit = mib(usable_bytes.saturating_sub(*reserve_bytes)),
    usable = mib(*usable_bytes), reserve = mib(*reserve_bytes)
)]
pub struct BudgetError {
    /// What the smallest plan takes.
    pub need_bytes: u64,
    /// Memory that this process may take.
    pub usable_bytes: u64,
    /// What is kept free of it.
    pub reserve_bytes: u64,
    /// The largest context that would fit with everything else as asked, if one does.
    pub largest_context: Option<u32>,
    /// The largest file type of this model that would fit, if one does.
    pub smaller_type: Option<FileType>,
    /// What happens if it is run anyway.
    pub overcommit: Overcommit,
}

/// What the system does with a model that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overcommit {
    /// Mapped weights are larger than all memory.
    RereadsWeights,
    /// Mapped weights compete with everything else.
    DropsWeights,
    /// Weights are in anonymous memory.
    Swaps,
}

impl Overcommit {
    pub(super) fn expected(mmap: bool, weight_bytes: u64, usable_bytes: u64) -> Self {
        match (mmap, weight_bytes > usable_bytes) {
            (true, true) => Overcommit::RereadsWeights,
            (true, false) => Overcommit::DropsWeights,
            (false, _) => Overcommit::Swaps,
        }
    }
}

impl std::fmt::Display for Overcommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Overcommit::RereadsWeights => {
                "the weights do not stay in memory, and are read from disk again for every token"
            }
            Overcommit::DropsWeights => "the system drops weights from memory and reads them again, or swaps",
            Overcommit::Swaps => "the system swaps, or ends the program",
        })
    }
}

/// The error, with what would fit instead of `smallest`, the last candidate.
pub(super) fn refusal(
    shape: &Shape,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
    smallest: &Values,
) -> BudgetError {
    let least = Values {
        context: 256.min(shape.training_context),
        ..*smallest
    };
    let largest_context = (total(shape, &least) <= limit.bytes())
        .then(|| widest(shape, &least, limit.bytes()).context)
        // A context that is not smaller than the one asked for would be no advice.
        .filter(|&context| {
            constraints
                .fixed
                .context
                .is_none_or(|asked| asked == 0 || context < asked)
        });
    let lighter = shape.by_type.iter().find(|(_, bytes)| {
        let lighter = Shape {
            weight_bytes: *bytes,
            repackable_bytes: *bytes,
            ..shape.clone()
        };
        *bytes < shape.weight_bytes && total(&lighter, smallest) <= limit.bytes()
    });
    BudgetError {
        need_bytes: total(shape, smallest),
        usable_bytes: limit.usable_bytes,
        reserve_bytes: limit.reserve_bytes,
        largest_context,
        smaller_type: lighter.map(|row| row.0),
        overcommit: Overcommit::expected(smallest.mmap, shape.weight_bytes, limit.usable_bytes),
    }
}
