//! The memory budget: from a model's shape, a machine and wishes to a plan of every byte, before anything is loaded.
//!
//! Pure: nothing here reads a file or asks the system.

mod choose;
mod cost;
mod facts;

use serde::Serialize;

pub use choose::{BudgetError, DEFAULT_CONTEXT, Favor, Room, Wishes, plan};
pub use cost::{Extras, Item, Settings, items, kv_bytes, kv_name};
pub use facts::{FactsError, ModelFacts};

/// A plan: settings, what they take, and why they were chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// What each part takes.
    pub items: Vec<Item>,
    /// All parts together: the predicted peak of resident memory.
    pub total_bytes: u64,
    /// What there is.
    pub usable_bytes: u64,
    /// What is left free on purpose.
    pub reserve_bytes: u64,
    /// False where it was asked for with `--force` and does not fit.
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

/// Bytes in binary units, for reasons and errors.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests;
