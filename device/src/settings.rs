//! How a model is run: one family of settings.
//!
//! | struct | holds |
//! | --- | --- |
//! | [`Values`] | a value for every setting |
//! | [`Overrides`] | a value for some: typed, tuned, or written in a profile |
//! | [`Resolved`] | the values in force, where each came from, and the memory plan |
//!
//! All three follow from the table in `values.rs`. To add a setting: a line there, its flag in the program's
//! `session_args.rs`, and the place that reads it. Everything between (files of `siskin tune`, results of `siskin
//! bench`, `--explain`) follows the table.

mod resolve;

use serde::Serialize;

pub use crate::values::{
    Affinity, CacheType, DEFAULT_CONTEXT, FlashAttention, Kernels, Origin, Origins, Overrides, Priority, Row,
    UnknownName, Values, WaitPolicy,
};
pub use resolve::{SettingsError, Sources, resolve};

use crate::budget::Plan;

/// Everything that is decided before a model is loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resolved {
    /// The values in force.
    pub values: Values,
    /// Where each came from.
    pub origins: Origins,
    /// What they take, and why; `None` if the model's header does not state enough to plan.
    pub plan: Option<Plan>,
}

impl Resolved {
    /// Every setting for people: the name of its flag, its value, where it came from.
    pub fn rows(&self) -> Vec<Row> {
        self.origins.rows(&self.values)
    }

    /// Replaces the values that `layer` has.
    fn apply(&mut self, layer: &Overrides, origin: Origin) {
        self.origins.apply(&mut self.values, layer, origin);
    }

    /// The context in tokens; `None` if nobody asked for one and there was no plan to choose one.
    pub fn context(&self) -> Option<u32> {
        let chosen = self.plan.is_some() || self.origins.context != Origin::Default;
        chosen.then_some(self.values.context)
    }
}

#[cfg(test)]
mod tests;
