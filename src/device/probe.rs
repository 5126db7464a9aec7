//! What a machine has: read from `/proc` and `/sys` under a root that tests replace.

mod board;
mod cgroup;
mod cpu;
mod heat;
mod ram;
mod root;

use serde::Serialize;

pub use board::Board;
pub use cpu::{Cpus, Detail};
pub use heat::{Heat, Throttle, Zone};
pub use ram::{Limit, Ram};
pub use root::Root;

use super::isa::CpuArch;

/// A machine as this process finds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// What it is called.
    pub board: Board,
    /// Its CPUs, and those this process may use.
    pub cpus: Cpus,
    /// Its memory, and what this process may take.
    pub ram: Ram,
    /// Its temperatures.
    pub heat: Heat,
    /// What could not be read, and what was taken instead.
    pub notes: Vec<String>,
}

impl Machine {
    /// Reads everything under `root`. What cannot be read is left out or replaced, and noted.
    pub fn probe(root: &Root) -> Self {
        let board = Board::probe(root);
        let groups = cgroup::Groups::of_this_process(root);
        let cpus = Cpus::probe(root, &groups);
        let ram = Ram::probe(root, &groups);
        let heat = Heat::probe(root);
        Machine {
            board,
            cpus,
            ram,
            heat,
            notes: root.notes(),
        }
    }
}

impl CpuArch {
    /// The architecture this program was built for; `None` where siskin has no profile for it.
    pub fn of_this_program() -> Option<Self> {
        match std::env::consts::ARCH {
            "aarch64" => Some(CpuArch::Aarch64),
            "arm" => Some(CpuArch::Arm),
            "x86_64" => Some(CpuArch::X86_64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
