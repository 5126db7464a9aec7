//! The memory budget: from a model's shape, a machine and what was asked for to a plan of every byte, before anything
//! is loaded.
//!
//! Pure: nothing here reads a file or asks the system.

mod choose;
mod cost;
mod limit;
mod models;
mod refusal;

use serde::Serialize;

pub use crate::values::DEFAULT_CONTEXT;
pub use choose::{plan, plan_pair};
pub use cost::{Item, items};
pub use limit::{Constraints, MemoryLimit};
pub use models::draft_values;
pub use refusal::{BudgetError, Overcommit, Resource};

use crate::values::Values;

/// A plan: settings, what they take, and why they were chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The settings; the plan decides `context`, `cache_type`, `ubatch`, `repack` and `mmap`.
    pub settings: Values,
    /// What each part takes.
    pub items: Vec<Item>,
    /// All parts together: the predicted peak of resident memory, in bytes.
    pub total_bytes: u64,
    /// Memory that this process may take.
    pub usable_bytes: u64,
    /// Memory that is left free on purpose.
    pub reserve_bytes: u64,
    /// False if the plan was forced and does not fit.
    pub fits: bool,
    /// Why each setting is what it is.
    pub reasons: Vec<Reason>,
}

/// Why a setting is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The setting, by the name of its flag.
    pub setting: &'static str,
    /// The reason.
    pub reason: String,
}

impl Plan {
    /// What the system does with a plan that does not fit.
    pub fn overcommit(&self) -> Overcommit {
        let weights = self.items.iter().find(|item| item.what == "weights");
        let weights = weights.map_or(0, |item| item.bytes);
        Overcommit::expected(self.settings.mmap, weights, self.usable_bytes)
    }
}

/// Bytes in MiB, for reasons and errors.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests;
