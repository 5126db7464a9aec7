//! OpenMP's wait policy: libgomp reads it once, before `main`, so another one needs the program to start anew.

use std::os::unix::process::CommandExt;

use anyhow::Context;
use siskin::device::profile::WaitPolicy;

/// Variables with which the user decides himself.
const OWN: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// Starts the program anew, with the same arguments, where this policy is not yet in force. Nothing has been read,
/// written or started by then, so nothing is lost; the process stays the same one.
pub(crate) fn apply(policy: WaitPolicy) -> anyhow::Result<()> {
    let value = match policy {
        WaitPolicy::Default => return Ok(()),
        WaitPolicy::Active => "active",
        WaitPolicy::Passive => "passive",
    };
    if OWN.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let program = std::env::current_exe().context("starting anew with another OpenMP wait policy")?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(OWN[0], value)
        .exec();
    Err(error).context("starting anew with another OpenMP wait policy")
}
