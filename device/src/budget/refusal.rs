//! The error if nothing fits: what it would take, and what would fit.

use serde::Serialize;
use siskin_model::FileType;
use siskin_model::shape::Shape;

use super::limit::{Constraints, MemoryLimit, widest};
use super::models::Models;
use super::{Plan, mib};
use crate::values::Values;

/// Nothing that was asked for fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct BudgetError {
    /// What there is too little of.
    pub resource: Resource,
    /// What the smallest plan takes of it.
    pub need_bytes: u64,
    /// How much of it this process may take.
    pub usable_bytes: u64,
    /// What is kept free of it.
    pub reserve_bytes: u64,
    /// The largest context that would fit with everything else as asked, if one does.
    pub largest_context: Option<u32>,
    /// The largest file type of this model that would fit, if one does.
    pub smaller_type: Option<FileType>,
    /// What happens if it is run anyway.
    pub overcommit: Overcommit,
    /// The smallest plan, which does not fit.
    pub plan: Box<Plan>,
}

/// What a plan takes, and a system limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Memory.
    Memory,
    /// Addresses: `ulimit -v`.
    AddressSpace,
    /// Private memory, used or not: `ulimit -d`, or a system that promises no more than it has.
    Promises,
}

impl BudgetError {
    fn text(&self) -> String {
        let (need, usable, reserve) = (self.need_bytes, self.usable_bytes, self.reserve_bytes);
        let limit = mib_below(usable.saturating_sub(reserve));
        let (usable, need) = (mib_below(usable), mib(need));
        match self.resource {
            Resource::Memory => format!(
                "this needs {need}, but only {limit} may be used ({usable} usable, less {} kept free)",
                mib(reserve)
            ),
            Resource::AddressSpace => {
                format!(
                    "this needs {need} of address space, but a limit of this process leaves only {usable}"
                )
            }
            Resource::Promises => {
                format!("this needs {need} of private memory, but the system promises only {usable} more")
            }
        }
    }
}

/// Whole MiB of a limit: rounded down, so that a need that is larger never looks equal.
fn mib_below(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
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
    models: Models<'_>,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
    plan: Plan,
) -> BudgetError {
    let (shape, smallest) = (models.target, &plan.settings);
    let least = Values {
        context: 256.min(shape.training_context),
        ..*smallest
    };
    let largest_context = limit
        .allows(models, &least)
        .then(|| widest(models, &least, limit).context)
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
        let lighter = Models {
            target: &lighter,
            ..models
        };
        *bytes < shape.weight_bytes && limit.allows(lighter, smallest)
    });
    let memory = (Resource::Memory, plan.total_bytes, limit.usable_bytes);
    let (resource, need_bytes, usable_bytes) = match limit.short_of(models, smallest) {
        Some(short) if plan.total_bytes <= limit.bytes() => short,
        _ => memory,
    };
    BudgetError {
        resource,
        need_bytes,
        usable_bytes,
        reserve_bytes: match resource {
            Resource::Memory => limit.reserve_bytes,
            _ => 0,
        },
        largest_context,
        smaller_type: lighter.map(|row| row.0),
        overcommit: plan.overcommit(),
        plan: Box::new(plan),
    }
}
