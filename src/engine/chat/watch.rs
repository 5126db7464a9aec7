//! Work that is given up where it takes too much time or memory.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::device::memory::Memory;

/// The longest such work may take.
const TIME: Duration = Duration::from_secs(4);
/// How much the process's memory may grow meanwhile, in bytes.
const MEMORY: u64 = 384 << 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// The stack it runs on: values are printed and freed by recursion, as deep as they are.
const STACK: usize = 256 << 20;

/// Does `work` on a thread of its own and gives what it gives; `None` where it panicked or was given up. A thread
/// cannot be stopped from outside: given up, it goes on until the process ends, which should be soon.
pub(super) fn watched<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let before = anonymous();
    let start = Instant::now();
    let thread = thread::Builder::new().stack_size(STACK);
    // Nobody listens any more where the work was given up.
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
