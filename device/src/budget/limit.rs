//! What a plan may take, and what it may not change.

use siskin_model::shape::Shape;

use super::cost::total;
use crate::values::{Overrides, Priority, Values};

/// What a plan may not change, and how far it may go.
#[derive(Debug, Clone, Copy)]
pub struct Constraints<'a> {
    /// Settings that were asked for by name. A context of 0 is the largest that fits, up to the training length.
    pub fixed: &'a Overrides,
    /// What matters most.
    pub priority: Priority,
    /// Plan even what does not fit.
    pub force: bool,
}

/// Memory a plan may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// What this process may take.
    pub usable_bytes: u64,
    /// What is to be left free of it.
    pub reserve_bytes: u64,
}

impl MemoryLimit {
    /// What a plan may take.
    pub fn bytes(&self) -> u64 {
        self.usable_bytes.saturating_sub(self.reserve_bytes)
    }
}

/// The largest context of `settings` that stays below `limit`, in steps of 256, up to the training length.
pub(super) fn widest(shape: &Shape, settings: &Values, limit: u64) -> Values {
    let with = |context| Values { context, ..*settings };
    let (mut fits, mut too_large) = (settings.context / 256, shape.training_context / 256 + 1);
    while too_large > fits + 1 {
        let middle = fits.midpoint(too_large);
        if total(shape, &with(middle * 256)) <= limit {
            fits = middle;
        } else {
            too_large = middle;
        }
    }
    with((fits * 256).clamp(
        settings.context.min(shape.training_context),
        shape.training_context,
    ))
}
