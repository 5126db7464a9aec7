//! Ctrl-C and SIGTERM ask the command to end; it ends cleanly at the next safe point.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Listens from now on; the flag is set at the first signal, and a second one ends the process at once.
pub(crate) fn listen() -> &'static AtomicBool {
    // A process that already has a handler keeps it: this is called once a process.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(super::exit::INTERRUPTED.into());
        }
    });
    &INTERRUPTED
}
