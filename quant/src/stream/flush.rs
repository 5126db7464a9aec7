//! Flushes written bytes to the disk while the rest is still being computed.
//!
//! By default, the system collects written bytes in memory. The wait for the disk then comes at the end, and
//! on a small machine the written bytes displace everything else from the page cache. Here the disk is never
//! more than a few steps behind, and flushed bytes are dropped from the page cache to make space for the next
//! ones.

use std::cell::Cell;
use std::io;
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use rustix::fs::{Advice, fadvise};

use siskin_model::atomic_file::{AtomicFile, AtomicFileError};

/// Bytes between two flushes.
const STEP: u64 = 16 << 20;

/// A thread that flushes the file. While it flushes one step, at most one more step waits in its channel.
pub(super) struct Flusher<'scope> {
    steps: SyncSender<()>,
    thread: ScopedJoinHandle<'scope, Result<(), AtomicFileError>>,
    /// Bytes written since the last step.
    waiting: Cell<u64>,
}

impl<'scope> Flusher<'scope> {
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        target: &'env AtomicFile,
    ) -> io::Result<Self> {
        let (steps, told) = sync_channel(1);
        let thread = thread::Builder::new().stack_size(super::workers::STACK);
        Ok(Self {
            steps,
            thread: thread.spawn_scoped(scope, move || flush(target, &told))?,
            waiting: Cell::new(0),
        })
    }

    /// Records that `bytes` more bytes were written; waits if the disk is too far behind.
    pub(super) fn wrote(&self, bytes: u64) {
        let waiting = self.waiting.get() + bytes;
        self.waiting.set(waiting);
        if waiting >= STEP {
            self.waiting.set(0);
            let _ = self.steps.send(()); // after an error the thread is gone; `finish` reports the error
        }
    }

    /// Stops the thread and returns its error. The system reports an error only once, so a later flush may
    /// miss it.
    pub(super) fn finish(self) -> Result<(), AtomicFileError> {
        drop(self.steps);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn flush(target: &AtomicFile, steps: &Receiver<()>) -> Result<(), AtomicFileError> {
    let file = target.file();
    let mut clean = 0;
    while steps.recv().is_ok() {
        let end = rustix::fs::tell(file).map_err(|e| target.error(e.into()))?;
        file.sync_data().map_err(|e| target.error(e))?;
        // This is a hint: if it fails, the bytes stay in the page cache.
        let _ = fadvise(file, clean, NonZeroU64::new(end - clean), Advice::DontNeed);
        clean = end;
    }
    Ok(())
}
