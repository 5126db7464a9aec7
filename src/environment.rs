//! Variables that libraries read once, before `main`: to change them, the program has to start again.

use std::collections::BTreeMap;
use std::ffi::OsString;

use siskin::device::settings::{Resolved, WaitPolicy};

/// libgomp's variables for waiting; a value set by the user wins.
const WAIT: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// How often a thread of libgomp looks before it sleeps: about 100 microseconds, longer than most waits for the other
/// threads of a matrix product. libgomp's own 300,000 are 14 ms on x86, where a look takes 140 cycles: programs that
/// share the CPUs then wait for threads that only look.
const SPINS: &str = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
    "2000"
} else {
    "50000"
};

/// The stack of libgomp's threads, and its size. Without it the limit for the main thread (`ulimit -s`) counts, which
/// may be too small, or more than the limit of the address space (`ulimit -v`) leaves.
const STACK: (&str, &str) = ("OMP_STACKSIZE", "1M");

/// glibc's variable that asks for huge pages in large allocations, and its value (glibc 2.35).
const HUGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Smaller weights fit into the CPU's caches and TLBs.
const LARGE: u64 = 64 << 20;

type Variables = Vec<(&'static str, &'static str)>;

/// Starts the program again, with the same arguments, if threads would wait or be stacked by libgomp's own rules. A
/// command that computes calls this first: by then nothing has been read, written or started, so nothing is lost; the
/// process stays the same. If the system refuses, it goes on as it is.
pub(crate) fn prepare() {
    start_again(usual());
}

/// Starts the program again, with the same arguments, if `settings` ask for variables that are not set yet.
pub(crate) fn apply(settings: &Resolved, weight_bytes: u64) {
    let mut wanted = wanted(settings, weight_bytes);
    // What `prepare` has set is there already.
    wanted.retain(|(name, value)| std::env::var_os(name).is_none_or(|now| now != *value));
    start_again(wanted);
}

fn start_again(wanted: Variables) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    if wanted.is_empty() {
        return;
    }
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    // The number of looks would win over the policy.
    if wanted.iter().any(|(name, _)| *name == WAIT[0]) {
        environment.remove(&OsString::from(WAIT[1]));
    }
    environment.extend(
        wanted
            .into_iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let _ = siskin::restart(&program, &arguments, environment.into_iter());
}

/// The variables that put `settings` in force in a new process.
pub(crate) fn wanted(settings: &Resolved, weight_bytes: u64) -> Variables {
    let mut wanted = usual();
    let policy = match settings.values.wait_policy {
        WaitPolicy::Default => None,
        WaitPolicy::Active => Some("active"),
        WaitPolicy::Passive => Some("passive"),
    };
    if let Some(policy) = policy.filter(|_| waiting_is_free()) {
        wanted.retain(|(name, _)| *name != WAIT[1]);
        wanted.push((WAIT[0], policy));
    }
    // Read weights are anonymous memory: large pages from the start spare moving them there afterwards.
    if cfg!(target_env = "gnu") && !settings.values.mmap && weight_bytes >= LARGE && is_free(HUGE_PAGES.0) {
        wanted.push(HUGE_PAGES);
    }
    wanted
}

/// What every process that computes gets, if the user has not set it.
fn usual() -> Variables {
    let mut usual = Variables::new();
    if WAIT.iter().all(|name| is_free(name)) {
        usual.push((WAIT[1], SPINS));
    }
    if is_free(STACK.0) && is_free("GOMP_STACKSIZE") {
        usual.push(STACK);
    }
    usual
}

/// Whether the user has left open how threads wait.
fn waiting_is_free() -> bool {
    is_free(WAIT[0]) && std::env::var_os(WAIT[1]).is_none_or(|looks| looks == SPINS)
}

fn is_free(name: &str) -> bool {
    std::env::var_os(name).is_none()
}
