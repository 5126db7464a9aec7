//! Memory: how much there is, and how much this process may use (proc_meminfo(5), cgroups(7)).

use serde::Serialize;

use super::Root;
use super::cgroup::Groups;
use crate::memory::kib_field;

/// Memory sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ram {
    /// All the RAM that the kernel manages.
    pub total_bytes: u64,
    /// Memory that new programs can use without swapping (`MemAvailable`).
    pub available_bytes: u64,
    /// Memory that this process may use: the least of `available_bytes` and the room under every limit.
    pub usable_bytes: u64,
    /// Control groups that limit memory, innermost first.
    pub limits: Vec<Limit>,
    /// The size of all swap.
    pub swap_bytes: u64,
    /// The part of the swap that is compressed memory (zram).
    pub zram_bytes: u64,
}

/// A control group's memory limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The group's folder, from the root.
    pub group: String,
    /// The limit in bytes.
    pub bytes: u64,
    /// Bytes still free under the limit.
    pub room_bytes: u64,
}

impl Ram {
    pub(super) fn probe(root: &Root, groups: &Groups) -> Self {
        let (total, available, swap) = meminfo(root).unwrap_or_else(|| ask_the_kernel(root));
        let limits: Vec<Limit> = groups
            .memory_limits(root)
            .into_iter()
            .map(|limit| Limit {
                group: limit.group,
                bytes: limit.bytes,
                room_bytes: limit.room,
            })
            .collect();
        let least = limits.iter().map(|limit| limit.room_bytes).min();
        Ram {
            total_bytes: total,
            available_bytes: available,
            usable_bytes: least.map_or(available, |room| room.min(available)),
            limits,
            swap_bytes: swap,
            zram_bytes: zram(root),
        }
    }
}

/// Total, available and swap bytes from `/proc/meminfo`.
fn meminfo(root: &Root) -> Option<(u64, u64, u64)> {
    let text = root.text("proc/meminfo")?;
    let field = |name: &str| kib_field(&text, name);
    let total = field("MemTotal")?;
    let available = field("MemAvailable").or_else(|| {
        root.note("/proc/meminfo: has no MemAvailable; siskin uses MemFree + Cached instead".into());
        field("MemFree")?.checked_add(field("Cached").unwrap_or(0))
    })?;
    Some((total, available, field("SwapTotal").unwrap_or(0)))
}

/// Total, free and swap bytes from sysinfo(2), which needs no `/proc` but does not count caches as free.
fn ask_the_kernel(root: &Root) -> (u64, u64, u64) {
    if !root.is_system() {
        root.note("/proc/meminfo: cannot be read; siskin assumes no free memory".into());
        return (0, 0, 0);
    }
    root.note("/proc/meminfo: cannot be read; siskin uses sysinfo(2), which does not count caches".into());
    let info = rustix::system::sysinfo();
    // The fields' widths differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    let bytes = |count| (count as u64).saturating_mul(u64::from(info.mem_unit));
    (bytes(info.totalram), bytes(info.freeram), bytes(info.totalswap))
}

/// Bytes of swap on zram devices, from `/proc/swaps`.
fn zram(root: &Root) -> u64 {
    let swaps = root.text("proc/swaps").unwrap_or_default();
    let sizes = swaps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let device = fields.next()?;
        let kib: u64 = fields.nth(1)?.parse().ok()?;
        device
            .rsplit('/')
            .next()?
            .starts_with("zram")
            .then_some(kib * 1024)
    });
    sizes.sum()
}
