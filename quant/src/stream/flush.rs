//! Sends what was written to the disk while the rest is still computed.
//!
//! Left to itself, a system lets written bytes pile up in memory: the wait for the disk comes at the end, and on a
//! small machine everything else that was cached has gone by then. Here the disk is never more than some steps
//! behind, and bytes that it has are given up to be used again for the next ones.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use rustix::fs::{Advice, fadvise};

use siskin_model::atomic_file::{AtomicFile, AtomicFileError};

/// Bytes between two waits for the disk.
const STEP: u64 = 16 << 20;

/// A thread that waits for the disk, at most one step behind the one before.
pub(super) struct Flusher<'scope> {
    steps: SyncSender<()>,
    thread: ScopedJoinHandle<'scope, Result<(), AtomicFileError>>,
    /// Bytes written since the last step.
    waiting: Cell<u64>,
}

impl<'scope> Flusher<'scope> {
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, target: &'env AtomicFile) -> Self {
        let (steps, told) = sync_channel(1);
        Self {
            steps,
            thread: scope.spawn(move || flush(target, &told)),
            waiting: Cell::new(0),
        }
    }

    /// Tells that so many bytes more were written; waits where the disk is too far behind.
    pub(super) fn wrote(&self, bytes: u64) {
        let waiting = self.waiting.get() + bytes;
        self.waiting.set(waiting);
        if waiting >= STEP {
            self.waiting.set(0);
            let _ = self.steps.send(()); // a thread that met an error has left; `finish` tells it
        }
    }

    /// Ends the thread and gives the error it met: the system tells one only once, so a later flush may not see it.
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
        // A hint: where it is refused, the bytes stay cached.
        let _ = fadvise(file, clean, NonZeroU64::new(end - clean), Advice::DontNeed);
        clean = end;
    }
    Ok(())
}
