//! What the thread does between requests.

use std::sync::atomic::AtomicBool;

use siskin_runtime::scheduler::Scheduler;

use super::worker::Worker;

/// Work that waits until nothing is computed.
pub(crate) trait Idle: Send {
    /// The prefix that is to be saved next: its sequence.
    fn choose(&mut self, scheduler: &Scheduler) -> Option<usize>;
    /// Saves it.
    fn save(&mut self, worker: &mut Worker, sequence: &usize, abort: &AtomicBool);
}
