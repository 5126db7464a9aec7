//! What ends the process without an error value: a panic, an abort of llama.cpp, memory that the system does not give.
//! Each still ends with one line and exit code 1.

use std::panic::{PanicHookInfo, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Resource, getrlimit};
use signal_hook::consts::SIGABRT;

use crate::render::text;

/// Stack of the thread that carries a command out if the system's limit is lower than [`ENOUGH_STACK`].
const STACK: usize = 8 << 20;
/// What commands need at most, with a large margin.
const ENOUGH_STACK: u64 = 2 << 20;

/// The first panic: where, and what it said. Panics that a caller turns into an error are not printed.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Carries the command out, with a stack that is large enough, and ends with one line whatever happens.
pub(crate) fn guard(command: fn() -> ExitCode) -> ExitCode {
    std::panic::set_hook(Box::new(remember));
    siskin::on_abort(end);
    // `abort` raises this signal: Rust if memory for a small thing cannot be had, the C++ library, glibc. Each has
    // printed why.
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, 1, Arc::new(AtomicBool::new(true)));
    if getrlimit(Resource::As).current.is_some() {
        siskin::share_one_heap();
    }
    let small = getrlimit(Resource::Stack)
        .current
        .is_some_and(|bytes| bytes < ENOUGH_STACK);
    let thread = std::thread::Builder::new().stack_size(STACK);
    let ended = match small.then(|| thread.spawn(command)) {
        Some(Ok(thread)) => thread.join(),
        // If there is no thread to be had, the stack may still do.
        None | Some(Err(_)) => catch_unwind(command),
    };
    ended.unwrap_or_else(|_| {
        let first = PANIC.lock().ok().and_then(|mut first| first.take());
        say!(
            "siskin: this is a bug in siskin, please report it: {}",
            first.unwrap_or_else(|| "a panic without a word".into())
        );
        ExitCode::FAILURE
    })
}

fn remember(panic: &PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("a panic without a word");
    let place = panic
        .location()
        .map_or(String::new(), |place| format!(" ({place})"));
    if let Ok(mut first) = PANIC.try_lock() {
        first.get_or_insert_with(|| text::escaped(&format!("{said}{place}").replace('\n', " ")));
    }
}

/// llama.cpp cannot go on, and would abort.
fn end(reason: &str) {
    static ENDED: AtomicBool = AtomicBool::new(false);
    // Several threads may come here; one speaks.
    if !ENDED.swap(true, Ordering::SeqCst) {
        say!("siskin: llama.cpp ended the run: {}", text::escaped(reason));
    }
    signal_hook::low_level::exit(1);
}
