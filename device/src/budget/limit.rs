//! What a plan may take, and what it may not change.

use super::models::Models;
use super::refusal::Resource;
use crate::probe::Limits;
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
    /// If reading the weights does not fit, map them.
    pub may_map: bool,
}

/// Memory a plan may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// What this process may take.
    pub usable_bytes: u64,
    /// What is to be left free of it.
    pub reserve_bytes: u64,
    /// Bytes that this process may still map (`ulimit -v`); `None` for no limit.
    pub address_bytes: Option<u64>,
    /// Private bytes that the system may still promise to it (`ulimit -d`, strict overcommit); `None` for no limit.
    pub promise_bytes: Option<u64>,
}

impl MemoryLimit {
    /// `usable_bytes`, of which `reserve_bytes` are left free, but no more than an eighth: a group of 256 MB is made for
    /// the program in it.
    pub fn new(usable_bytes: u64, reserve_bytes: u64) -> Self {
        MemoryLimit {
            usable_bytes,
            reserve_bytes: reserve_bytes.min(usable_bytes / 8),
            address_bytes: None,
            promise_bytes: None,
        }
    }

    /// With the limits of this process, too.
    #[must_use]
    pub fn within(self, limits: &Limits) -> Self {
        MemoryLimit {
            address_bytes: limits.address_bytes,
            promise_bytes: limits.promise_bytes,
            ..self
        }
    }

    /// Whether the models fit with `settings`.
    pub(super) fn allows(&self, models: Models<'_>, settings: &Values) -> bool {
        models.total(settings) <= self.bytes() && self.short_of(models, settings).is_none()
    }

    /// What else than memory `settings` need more of than there is: its name, the need, and the limit, in bytes.
    pub(super) fn short_of(&self, models: Models<'_>, settings: &Values) -> Option<(Resource, u64, u64)> {
        let (addresses, promised) = (models.addresses(settings), models.promised(settings));
        let limits = [
            (Resource::AddressSpace, addresses, self.address_bytes),
            (Resource::Promises, promised, self.promise_bytes),
        ];
        let known = limits
            .into_iter()
            .filter_map(|(what, need, limit)| Some((what, need, limit?)));
        known.into_iter().find(|(_, need, limit)| need > limit)
    }

    /// What a plan may take.
    pub fn bytes(&self) -> u64 {
        self.usable_bytes.saturating_sub(self.reserve_bytes)
    }
}

/// The largest context of `settings` that stays below `limit`, in steps of 256, up to the training length.
pub(super) fn widest(models: Models<'_>, settings: &Values, limit: &MemoryLimit) -> Values {
    let training_context = models.target.training_context;
    let with = |context| Values { context, ..*settings };
    let (mut fits, mut too_large) = (settings.context / 256, training_context / 256 + 1);
    while too_large > fits + 1 {
        let middle = fits.midpoint(too_large);
        if limit.allows(models, &with(middle * 256)) {
            fits = middle;
        } else {
            too_large = middle;
        }
    }
    with((fits * 256).clamp(settings.context.min(training_context), training_context))
}
