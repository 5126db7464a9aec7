//! Which machine results are of: the probe's facts that a reader needs.

use super::result::Machine;
use crate::device::probe;

/// What the probe found. `isa`: what llama.cpp was compiled with.
pub(super) fn of(probed: &probe::Machine, isa: Vec<String>) -> Machine {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".into());
    // A control group may leave less of the memory than there is.
    let limits = probed.ram.limits.iter().map(|limit| limit.bytes);
    Machine {
        board: probed.board.model.clone(),
        cpu: probed.cpus.name.clone().unwrap_or_else(|| "unknown CPU".into()),
        architecture: std::env::consts::ARCH.into(),
        isa,
        cpus: probed.cpus.available,
        ram_bytes: limits.chain([probed.ram.total_bytes]).min().unwrap_or(0),
        kernel: format!("{} {}", std::env::consts::OS, release.trim()),
    }
}
