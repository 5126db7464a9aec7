//! What this process may still map, and what the system may still promise to it: getrlimit(2), and
//! `overcommit_memory` in proc_sys_vm(5).

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::Root;
use crate::memory::kib_field;

/// Limits of a process beside memory itself. `None` if there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes that it may still map (`ulimit -v`).
    pub address_bytes: Option<u64>,
    /// Private bytes that it may still have, used or not: `ulimit -d`, or what a system with strict overcommit has left.
    pub promise_bytes: Option<u64>,
}

/// The value of `overcommit_memory` for a system that promises no more than it has.
const STRICT: u64 = 2;

impl Limits {
    pub(super) fn probe(root: &Root) -> Self {
        let status = root.text("proc/self/status").unwrap_or_default();
        // Limits are asked of the system: a fixture's belong to no process.
        let limit = |resource: Resource, used: &str| {
            let limit = root.is_system().then(|| getrlimit(resource).current)??;
            Some(limit.saturating_sub(kib_field(&status, used).unwrap_or(0)))
        };
        let (data, strict) = (limit(Resource::Data, "VmData"), strict(root));
        Limits {
            address_bytes: limit(Resource::As, "VmSize"),
            promise_bytes: data.into_iter().chain(strict).min(),
        }
    }
}

/// What a system with strict overcommit may still promise.
fn strict(root: &Root) -> Option<u64> {
    if root.number("proc/sys/vm/overcommit_memory") != Some(STRICT) {
        return None;
    }
    let text = root.text("proc/meminfo")?;
    let most = kib_field(&text, "CommitLimit")?;
    Some(most.saturating_sub(kib_field(&text, "Committed_AS").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_overcommit_is_a_limit_and_others_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |entry: &str, text: &str| {
            let path = folder.path().join(entry);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("proc/meminfo", "CommitLimit:  1000 kB\nCommitted_AS:  400 kB\n");
        for (mode, want) in [("0\n", None), ("1\n", None), ("2\n", Some(600 << 10))] {
            write("proc/sys/vm/overcommit_memory", mode);
            let limits = Limits::probe(&Root::at(folder.path()));
            assert_eq!(
                (limits.address_bytes, limits.promise_bytes),
                (None, want),
                "{mode}"
            );
        }
    }
}
