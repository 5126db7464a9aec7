//! Gives work up if it takes too much time or memory.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use siskin_device::memory::Memory;

/// The longest time that such work may take.
const TIME: Duration = Duration::from_secs(4);
/// How much the process's memory may grow meanwhile, in bytes.
const MEMORY: u64 = 384 << 20;
/// The time between two checks.
const PAUSE: Duration = Duration::from_millis(5);
/// The stack, in bytes, that the work runs on: values are printed and freed recursively, as deep as they are
/// nested.
const STACK: usize = 256 << 20;

/// Runs `work` on its own thread and returns its result; `None` if it panicked or was given up. A thread
/// cannot be stopped from outside: when given up, it runs until the process ends, which should be soon.
pub(super) fn watched<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let before = anonymous();
    let start = Instant::now();
    let thread = thread::Builder::new().stack_size(STACK);
    // If the work was given up, the receiver is gone and the send fails.
    thread.spawn(move || drop(sender.send(work()))).ok()?;
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(done) => return Some(done),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if start.elapsed() > TIME || anonymous() > before.saturating_add(MEMORY) {
            return None;
        }
    }
}

fn anonymous() -> u64 {
    Memory::now().anonymous_bytes.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_or_given_up() {
        assert_eq!(watched(|| 7), Some(7));
        assert_eq!(watched(|| assert!(std::hint::black_box(false))), None);
        let eats = || {
            let mut blocks = Vec::new();
            while blocks.len() < 1024 {
                blocks.push(vec![1u8; 1 << 20]);
                thread::sleep(Duration::from_millis(1));
            }
            blocks.len()
        };
        assert_eq!(watched(eats), None);
    }
}
