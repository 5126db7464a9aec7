//! Variables that libraries read once, before `main`: to change them, the program has to start again.

use std::os::unix::process::CommandExt;

use anyhow::Context;
use siskin::device::settings::{Resolved, WaitPolicy};

/// libgomp's variables for waiting; a value set by the user wins.
const WAIT: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// glibc's variable that asks for huge pages in large allocations, and its value (glibc 2.35).
const HUGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Smaller weights fit into the CPU's caches and TLBs.
const LARGE: u64 = 64 << 20;

/// Starts the program again, with the same arguments, if `settings` ask for variables that are not set yet. By then
/// nothing has been read, written or started, so nothing is lost; the process stays the same.
pub(crate) fn apply(settings: &Resolved, weight_bytes: u64) -> anyhow::Result<()> {
    let wanted = wanted(settings, weight_bytes);
    if wanted.is_empty() {
        return Ok(());
    }
    let doing = "starting again with another environment";
    let program = std::env::current_exe().context(doing)?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .envs(wanted)
        .exec();
    Err(error).context(doing)
}

/// The variables that put `settings` in force in a new process.
pub(crate) fn wanted(settings: &Resolved, weight_bytes: u64) -> Vec<(&'static str, &'static str)> {
    let is_free = |name: &str| std::env::var_os(name).is_none();
    let mut wanted = Vec::new();
    let policy = match settings.values.wait_policy {
        WaitPolicy::Default => None,
        WaitPolicy::Active => Some("active"),
        WaitPolicy::Passive => Some("passive"),
    };
    wanted.extend(
        policy
            .filter(|_| WAIT.iter().all(|name| is_free(name)))
            .map(|value| (WAIT[0], value)),
    );
    // Read weights are anonymous memory: large pages from the start spare moving them there afterwards.
    if cfg!(target_env = "gnu") && !settings.values.mmap && weight_bytes >= LARGE && is_free(HUGE_PAGES.0) {
        wanted.push(HUGE_PAGES);
    }
    wanted
}
