//! Reads what a machine has from `/proc` and `/sys`, under a root that tests replace.

mod board;
mod cgroup;
mod cpu;
mod heat;
mod limits;
mod ram;
mod root;

use serde::Serialize;

pub use board::Board;
pub use cpu::{Cpus, Detail};
pub use heat::{Heat, Throttle, Zone};
pub use limits::Limits;
pub use ram::{Limit, Ram};
pub use root::Root;

use super::isa::CpuArch;

/// A machine as this process sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The machine's name.
    pub board: Board,
    /// Its CPUs, and which of them this process may use.
    pub cpus: Cpus,
    /// Its memory, and how much this process may use.
    pub ram: Ram,
    /// What else limits this process.
    pub limits: Limits,
    /// Its temperatures and throttling state.
    pub heat: Heat,
    /// Entries that could not be read, and the values used instead.
    pub notes: Vec<String>,
}

impl Machine {
    /// Reads everything under `root`. An entry that cannot be read is left out or replaced, with a note.
    pub fn probe(root: &Root) -> Self {
        let board = Board::probe(root);
        let groups = cgroup::Groups::current(root);
        let cpus = Cpus::probe(root, &groups);
        let ram = Ram::probe(root, &groups);
        let limits = Limits::probe(root);
        let heat = Heat::probe(root);
        Machine {
            board,
            cpus,
            ram,
            limits,
            heat,
            notes: root.notes(),
        }
    }
}

impl CpuArch {
    /// The architecture this program was built for; `None` if siskin has no profile for it.
    pub fn current() -> Option<Self> {
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
