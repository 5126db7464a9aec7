//! Ctrl-C, SIGTERM and SIGHUP end the program at once, except while it does what must be ended cleanly: then they set a
//! flag, and a second one ends it at once.
//!
//! The handlers only store numbers, so no thread is needed, and the flag is set before any system call returns.

use std::os::fd::AsFd;
#[cfg(feature = "pull")]
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

/// What asks a program to end.
const ASK_TO_END: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// A signal came.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The next signal ends the process: nothing has to be ended cleanly, or it is the second one.
static AT_ONCE: AtomicBool = AtomicBool::new(true);
/// The signal that came last.
static SIGNAL: AtomicUsize = AtomicUsize::new(SIGINT as usize);
/// A line editor has changed the terminal's settings, which must be restored before the process ends.
static EDITING: AtomicBool = AtomicBool::new(false);

/// Handles signals from now on. A service that is asked to end before it serves has nothing to finish: it ends well.
/// SIGHUP asks it to read its keys again, which it has not read yet.
pub(crate) fn install(is_service: bool) {
    static HEARD: AtomicBool = AtomicBool::new(false);
    // A write beyond the file-size limit (`ulimit -f`) fails like any other write, instead of ending the process.
    static BEYOND: AtomicBool = AtomicBool::new(false);
    let _ = flag::register(SIGXFSZ, &BEYOND);
    let ignored = ignored();
    for signal in ASK_TO_END {
        // One that the parent process set to be ignored, as nohup does, stays so.
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        if is_service {
            let _ = match signal {
                SIGHUP => flag::register(signal, &HEARD),
                signal => flag::register_conditional_shutdown(signal, 0, &AT_ONCE),
            };
            continue;
        }
        // In this order. If a handler cannot be set, the signal ends the process as usual.
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, &AT_ONCE);
        let _ = flag::register_usize(signal, &SIGNAL, signal as usize);
        let _ = flag::register(signal, &INTERRUPTED);
        let _ = flag::register(signal, &AT_ONCE);
    }
}

/// What must be ended cleanly begins: from now on the first signal only sets this flag. A service has handlers of its own
/// by then, and hears of every signal through them.
pub(crate) fn listen() -> &'static AtomicBool {
    // One that came before has ended the process.
    if !INTERRUPTED.load(Ordering::Relaxed) {
        AT_ONCE.store(false, Ordering::Relaxed);
    }
    &INTERRUPTED
}

/// The same flag for a library that keeps one of its own.
#[cfg(feature = "pull")]
pub(crate) fn shared() -> &'static Arc<AtomicBool> {
    static SHARED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let ignored = ignored();
        let heard = ASK_TO_END
            .iter()
            .filter(|signal| ignored & (1 << (**signal - 1)) == 0);
        for signal in heard {
            let _ = flag::register(*signal, Arc::clone(&flag));
        }
        flag
    });
    shared.store(listen().load(Ordering::Relaxed), Ordering::Relaxed);
    shared
}

/// The signals that are ignored, one bit each (proc(5), `SigIgn`).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// The exit code of a command that a signal ended, as shells count it: 128 + the signal's number.
pub(crate) fn exit_code() -> u8 {
    u8::try_from(128 + SIGNAL.load(Ordering::Relaxed)).unwrap_or(u8::MAX)
}

/// Whether the signal was Ctrl-C, which ends only the current action, while the others end the program.
pub(crate) fn by_keyboard() -> bool {
    SIGNAL.load(Ordering::Relaxed) == SIGINT as usize
}

/// Forgets a signal that has been handled.
pub(crate) fn forget() {
    AT_ONCE.store(false, Ordering::Relaxed);
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Runs `wait`, a line editor or a read, during which a signal ends the process. The terminal is left as it was.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    let editing = restores_terminal();
    EDITING.store(editing, Ordering::Relaxed);
    let before = AT_ONCE.swap(!editing, Ordering::Relaxed);
    let result = wait();
    EDITING.store(false, Ordering::Relaxed);
    AT_ONCE.store(before, Ordering::Relaxed);
    result
}

/// Whether a thread restores the terminal's settings if a signal comes while a line is edited.
fn restores_terminal() -> bool {
    static RESTORES: OnceLock<bool> = OnceLock::new();
    *RESTORES.get_or_init(|| {
        let Ok(settings) = termios::tcgetattr(std::io::stdin().as_fd()) else {
            return false;
        };
        let ignored = ignored();
        let heeded = ASK_TO_END
            .into_iter()
            .filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let Ok(signals) = Signals::new(heeded) else {
            return false;
        };
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        thread.spawn(move || restore(signals, &settings)).is_ok()
    })
}

fn restore(mut signals: Signals, settings: &Termios) {
    for signal in &mut signals {
        if EDITING.load(Ordering::Relaxed) {
            let _ = termios::tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, settings);
            low_level::exit(128 + signal);
        }
    }
}
