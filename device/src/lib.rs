//! What a machine has, how a model is best run on it, and whether it fits: all of it known before anything is loaded.
//!
//! ```text
//! /proc, /sys ─► probe ─► profile ─┐
//!            tuned store ──────────┼─► settings::resolve ─► Resolved { values, origins, plan }
//!            flags, environment ───┘          │
//! GGUF header ─► Shape ───────────────────► budget
//! ```
//!
//! [`settings`] has the one family of settings. [`mod@budget`] plans every byte of memory, pure. [`probe`] reads the
//! machine from a root that tests replace; [`profile`] has the devices of `targets/`; [`tuned`] keeps what measuring
//! found, [`pages`] what the size of pages costs. [`energy`] reads meters.

#![deny(unsafe_code)]

pub mod budget;
pub mod energy;
pub mod isa;
pub mod memory;
pub mod pages;
pub mod paths;
pub mod probe;
pub mod profile;
pub mod settings;
mod store;
pub mod tuned;
mod values;

/// CPUs this process may use: affinity and the control group's quota count.
pub fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
