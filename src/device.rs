//! What the machine has, and what this process takes of it.

pub mod memory;

/// CPUs this process may use: affinity and cgroup quota are heeded.
pub fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
