//! What the machine has, what this process takes of it, and how a device is best used.

pub mod budget;
pub mod isa;
pub mod memory;
pub mod probe;
pub mod profile;
pub mod settings;
pub mod tune;
pub mod tuned;

/// CPUs this process may use: affinity and cgroup quota are heeded.
pub fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
