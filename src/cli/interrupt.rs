//! Ctrl-C, SIGTERM and SIGHUP ask a command to end; it ends cleanly at the next safe point.

use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Nothing is being done that would have to be ended cleanly.
static WAITING: AtomicBool = AtomicBool::new(false);
static SIGNAL: AtomicI32 = AtomicI32::new(SIGINT);
/// The terminal as it was before anyone edited lines on it.
static TERMINAL: OnceLock<Termios> = OnceLock::new();

/// Listens from now on; the flag is set at the first signal. A second one, or any while [`waiting`], ends the
/// process at once.
pub(crate) fn listen() -> &'static AtomicBool {
    static LISTENER: OnceLock<()> = OnceLock::new();
    LISTENER.get_or_init(|| {
        outlive_file_size_limit();
        if let Ok(now) = termios::tcgetattr(std::io::stdin().as_fd()) {
            let _ = TERMINAL.set(now);
        }
        // Where no handler can be set, signals end the process as they always do.
        let heeded = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|signal| !is_ignored(*signal));
        let Ok(mut signals) = Signals::new(heeded) else {
            return;
        };
        std::thread::spawn(move || signals.forever().for_each(take));
    });
    &INTERRUPTED
}

/// Lets a write beyond the limit on file sizes (`ulimit -f`) fail as other writes do, instead of ending the process.
fn outlive_file_size_limit() {
    static BEYOND: AtomicBool = AtomicBool::new(false);
    let _ = signal_hook::flag::register(SIGXFSZ, &BEYOND);
}

/// True where whoever started the process wants a signal ignored, as nohup does.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

fn take(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
    if INTERRUPTED.swap(true, Ordering::Relaxed) || WAITING.load(Ordering::Relaxed) {
        if let Some(terminal) = TERMINAL.get() {
            let _ = termios::tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, terminal);
        }
        low_level::exit(exit_code().into());
    }
}

/// Exit code of a command that a signal ended, as shells count it: 128 + the signal's number.
pub(crate) fn exit_code() -> u8 {
    u8::try_from(128 + SIGNAL.load(Ordering::Relaxed)).unwrap_or(u8::MAX)
}

/// True where the signal was Ctrl-C, which asks for less than the others: what is being done, not all, should end.
pub(crate) fn by_keyboard() -> bool {
    SIGNAL.load(Ordering::Relaxed) == SIGINT
}

/// Forgets a signal that was heeded.
pub(crate) fn forget() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Does `wait`, which a signal may end together with the process.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    WAITING.store(true, Ordering::Relaxed);
    let result = wait();
    WAITING.store(false, Ordering::Relaxed);
    result
}
