//! Signals that come before the service serves.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal};

use super::client::until;
use crate::util::siskin_that_hears_signals;

/// A pipe's end that takes nothing more, so that who writes to it waits; and the other end.
fn full() -> (UnixStream, UnixStream) {
    let (mut end, other) = UnixStream::pair().expect("two ends");
    end.set_nonblocking(true).expect("set");
    for size in [4096, 1] {
        while end.write(&[b' '; 4096][..size]).is_ok() {}
    }
    end.set_nonblocking(false).expect("set");
    (end, other)
}

/// Whether the process has a handler for the signal (proc(5), `SigCgt`).
fn hears(child: &Child, signal: Signal) -> Option<()> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    (mask & (1 << (signal.as_raw() - 1)) != 0).then_some(())
}

#[test]
fn a_signal_before_it_serves_ends_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let (stderr, _reader) = full();
        // Its settings are printed before anything is loaded; there it waits.
        let mut command = siskin_that_hears_signals(["serve", "--port", "0", "--explain"]);
        // With these variables it need not start itself again.
        command.envs([("GOMP_SPINCOUNT", "2000"), ("OMP_STACKSIZE", "1M")]);
        command.stdout(Stdio::null()).stderr(OwnedFd::from(stderr));
        let mut child = command.spawn().expect("the program starts");
        until("a handler", || hears(&child, signal));
        // A child that was not waited for still has its id, so the signal cannot reach another process.
        let send = |signal| rustix::process::kill_process(Pid::from_child(&child), signal).expect("sent");
        // Its keys are read later anyway.
        send(Signal::HUP);
        send(signal);
        let status = until("the end", || child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0), "{signal:?}: {status:?}");
    }
}
