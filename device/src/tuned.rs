//! What `siskin tune` found, kept between runs: one JSON file under `$XDG_STATE_HOME/siskin/`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siskin_model::shape::Shape;

use super::probe::Machine;
use super::store::Store;
use super::values::Overrides;

pub use super::store::{DamagedStore, ForgetError, SaveError};

/// The file's form; another number is another form.
const STORE: Store<Tuned> = Store::of_form(3);

/// The best settings measured for a kind of model on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The settings.
    pub settings: Overrides,
    /// Tokens a second of the prompt, with these settings.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of decoding, with these settings.
    pub decode_tokens_per_second: f64,
    /// When, in seconds since 1970.
    pub measured_at: u64,
    /// What passes over several tokens cost with these settings; empty if they were not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_costs: Vec<PassCost>,
}

/// What a pass of one sequence over several tokens costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PassCost {
    /// Tokens in the context before.
    pub depth: u32,
    /// Tokens computed together, with logits after each.
    pub tokens: u32,
    /// T(n): the time relative to that of one token.
    pub relative_time: f64,
}

impl Tuned {
    /// T(n): the time of a pass over `tokens` tokens at `depth` relative to a pass over one, for speculative decoding.
    /// Between two depths that were measured it is interpolated, beyond them it is that of the nearest. `None` if as
    /// many tokens were not measured at any depth.
    pub fn pass_cost(&self, tokens: u32, depth: u32) -> Option<f64> {
        let costs = || self.pass_costs.iter().filter(|cost| cost.tokens == tokens);
        let below = costs()
            .filter(|cost| cost.depth <= depth)
            .max_by_key(|cost| cost.depth);
        let above = costs()
            .filter(|cost| cost.depth >= depth)
            .min_by_key(|cost| cost.depth);
        match (below, above) {
            (Some(below), Some(above)) if below.depth < above.depth => {
                let place = f64::from(depth - below.depth) / f64::from(above.depth - below.depth);
                Some(below.relative_time + place * (above.relative_time - below.relative_time))
            }
            (below, above) => Some(below.or(above)?.relative_time),
        }
    }
}

/// What a result holds for: this device, this shape of model, this siskin.
pub fn key(machine: &Machine, shape: &Shape) -> String {
    let cpu = machine.cpus.name.as_deref().unwrap_or("unknown");
    let board = machine.board.model.as_deref().unwrap_or("unknown");
    let ty = shape.file_type.map_or("other".to_owned(), |ty| ty.to_string());
    let sizes = [
        shape.layers,
        shape.width,
        shape.ffn,
        shape.heads,
        shape.key_width,
        shape.vocabulary,
    ];
    let sizes = sizes.map(|n| n.to_string()).join("x");
    let (arch, cpus, version) = (&shape.arch, machine.cpus.available, env!("CARGO_PKG_VERSION"));
    format!("{board}|{cpu}|{cpus} cpus|{arch} {sizes} {ty}|siskin {version}")
}

/// Where results are kept: `$XDG_STATE_HOME/siskin/tuned.json`, by default under `~/.local/state`.
pub fn path() -> Option<PathBuf> {
    Some(crate::paths::state()?.join("tuned.json"))
}

/// The result for `key`, if there is one. A file that is not there holds none.
///
/// # Errors
/// The file is damaged, or of another version.
pub fn load(path: &Path, key: &str) -> Result<Option<Tuned>, DamagedStore> {
    STORE.load(path, key)
}

/// Looks, before anything is measured, whether a result could be saved.
///
/// # Errors
/// As [`save`]'s.
pub fn check(path: &Path) -> Result<(), SaveError> {
    STORE.check(path)
}

/// Adds a result in one step: until the new file is whole, the old one stays.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save(path: &Path, key: &str, tuned: &Tuned) -> Result<(), SaveError> {
    STORE.save(path, key, tuned)
}

/// Removes a result. Returns whether there was one.
///
/// # Errors
/// The file is damaged, or cannot be written.
pub fn forget(path: &Path, key: &str) -> Result<bool, ForgetError> {
    STORE.forget(path, key)
}

#[cfg(test)]
mod tests;
