//! Ctrl-C, SIGTERM and SIGHUP ask a command to end; it ends cleanly at the next safe point.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether the program only waits, so that nothing has to be ended cleanly.
static WAITING: AtomicBool = AtomicBool::new(false);
static SIGNAL: AtomicI32 = AtomicI32::new(SIGINT);
/// Stack of the thread that waits for signals.
const STACK: usize = 128 << 10;
/// The terminal's settings before a line editor changed them.
static TERMINAL: OnceLock<Termios> = OnceLock::new();

/// Listens for signals from now on; the first one sets the flag. A second one, or any one during [`waiting`],
/// ends the process at once.
pub(crate) fn listen() -> &'static AtomicBool {
    static LISTENER: OnceLock<()> = OnceLock::new();
    LISTENER.get_or_init(|| {
        outlive_file_size_limit();
        if let Ok(now) = termios::tcgetattr(std::io::stdin().as_fd()) {
            let _ = TERMINAL.set(now);
        }
        // If no thread or no handler can be had, signals end the process as usual.
        let (sender, receiver) = mpsc::channel::<Signals>();
        let heed = move || {
            receiver
                .into_iter()
                .for_each(|mut signals| signals.forever().for_each(take))
        };
        if thread::Builder::new().stack_size(STACK).spawn(heed).is_err() {
            return;
        }
        let handled = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|signal| !is_ignored(*signal));
        if let Ok(signals) = Signals::new(handled) {
            let _ = sender.send(signals); // the thread waits for it
        }
    });
    &INTERRUPTED
}

/// Lets a write beyond the file-size limit (`ulimit -f`) fail like any other write, instead of ending the
/// process.
fn outlive_file_size_limit() {
    static BEYOND: AtomicBool = AtomicBool::new(false);
    let _ = signal_hook::flag::register(SIGXFSZ, &BEYOND);
}

/// Whether the parent process set a signal to be ignored, as nohup does.
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

/// The exit code of a command that a signal ended, as shells count it: 128 + the signal's number.
pub(crate) fn exit_code() -> u8 {
    u8::try_from(128 + SIGNAL.load(Ordering::Relaxed)).unwrap_or(u8::MAX)
}

/// Whether the signal was Ctrl-C, which ends only the current action, while the others end the program.
pub(crate) fn by_keyboard() -> bool {
    SIGNAL.load(Ordering::Relaxed) == SIGINT
}

/// Forgets a signal that has been handled.
pub(crate) fn forget() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Runs `wait`, during which a signal may end the process.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    WAITING.store(true, Ordering::Relaxed);
    let result = wait();
    WAITING.store(false, Ordering::Relaxed);
    result
}
